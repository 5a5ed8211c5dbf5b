// core/queue/client_key.h -- what counts as one client: an IPv4 address or an IPv6 /64.
//
// See:  DESIGN 3.2.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <cstring>
#include <utility>

namespace backstay {

struct ClientKey {
  uint64_t prefix = 0;  // the address, or the first half of an IPv6 address
  bool is_v6 = false;

  // As SocketAddress::bytes has them.
  static ClientKey Of(const std::array<uint8_t, 16>& address, bool is_v6) {
    ClientKey key;
    key.is_v6 = is_v6;
    std::memcpy(&key.prefix, address.data(), sizeof(key.prefix));
    return key;
  }
  friend auto operator<=>(const ClientKey&, const ClientKey&) = default;
  template <typename H>
  friend H AbslHashValue(H state, const ClientKey& key) {
    return H::combine(std::move(state), key.prefix, key.is_v6);
  }
};

}  // namespace backstay
