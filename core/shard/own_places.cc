// core/shard/own_places.cc -- a listener on all addresses is one on each of this host's.
#include "core/shard/own_places.h"

#include <algorithm>
#include <array>
#include <cstdint>

namespace backstay {
namespace {

// What no connection may go to, whatever a name says: 0.0.0.0 means ourselves to the kernel.
bool IsPlaceOfAHost(const SocketAddress& place) {
  const std::array<uint8_t, 16>& bytes = place.bytes();
  if (place.is_v6()) {
    constexpr uint8_t kMulticast = 0xff;
    return bytes[0] != kMulticast && bytes != std::array<uint8_t, 16>();
  }
  constexpr uint8_t kMulticastAndAbove = 224;
  return bytes[0] != 0 && bytes[0] < kMulticastAndAbove;
}

}  // namespace

void OwnPlaces::Use(Io& io, const std::vector<SocketAddress>& listeners) {
  listeners_ = listeners;
  own_addresses_ = io.OwnAddresses();
}

PlaceVerdict OwnPlaces::Judge(const SocketAddress& place,
                              const std::vector<Network>& allowed) const {
  const bool is_own_address = std::find(own_addresses_.begin(), own_addresses_.end(),
                                        place.WithPort(0)) != own_addresses_.end();
  for (const SocketAddress& listener : listeners_) {
    const bool is_everywhere = listener.bytes() == std::array<uint8_t, 16>();
    const bool is_here =
        is_everywhere ? is_own_address || place.is_loopback() : listener.bytes() == place.bytes();
    if (is_here && listener.is_v6() == place.is_v6() && listener.port() == place.port()) {
      return PlaceVerdict::kOurs;
    }
  }
  const bool is_allowed = IsPlaceOfAHost(place) && (allowed.empty() || Contains(allowed, place));
  return is_allowed ? PlaceVerdict::kGood : PlaceVerdict::kNotAllowed;
}

}  // namespace backstay
