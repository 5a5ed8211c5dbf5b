// core/shard/network.cc -- prefix arithmetic on the sixteen bytes of an address.
#include "core/shard/network.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "core/base/log.h"

namespace backstay {
namespace {

int BitsMax(const SocketAddress& address) {
  return address.is_v6() ? 128 : 32;
}

SocketAddress Prefix(const SocketAddress& address, int prefix_bits) {
  std::array<uint8_t, 16> bytes = address.bytes();
  for (int index = 0; index < 16; ++index) {
    const int kept_bits = std::clamp(prefix_bits - index * 8, 0, 8);
    bytes[static_cast<size_t>(index)] &= static_cast<uint8_t>(0xff00 >> kept_bits);
  }
  if (address.is_v6()) {
    return SocketAddress::V6(bytes, 0);
  }
  return SocketAddress::V4({bytes[0], bytes[1], bytes[2], bytes[3]}, 0);
}

std::optional<int> ParsePrefixBits(std::string_view text, int bits_max) {
  int bits = 0;
  const char* end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, bits);
  if (error != std::errc() || at != end || bits < 0 || bits > bits_max) {
    return std::nullopt;
  }
  return bits;
}

}  // namespace

absl::StatusOr<Network> Network::Parse(std::string_view text) {
  const size_t slash = text.find('/');
  const std::optional<SocketAddress> address = SocketAddress::Parse(text.substr(0, slash), 0);
  if (!address.has_value() || address->port() != 0) {
    return absl::InvalidArgumentError(fmt::format(
        "\"{}\" is not a network (write \"192.0.2.0/24\" or \"2001:db8::/32\")", Escaped(text)));
  }
  Network network;
  network.prefix_bits_ = BitsMax(*address);
  if (slash != std::string_view::npos) {
    const auto bits = ParsePrefixBits(text.substr(slash + 1), BitsMax(*address));
    if (!bits.has_value()) {
      return absl::InvalidArgumentError(fmt::format("\"{}\": the prefix length must be 0 to {}",
                                                    Escaped(text), BitsMax(*address)));
    }
    network.prefix_bits_ = *bits;
  }
  network.address_ = Prefix(*address, network.prefix_bits_);
  if (network.address_ != address->WithPort(0)) {
    return absl::InvalidArgumentError(
        fmt::format("\"{}\" has bits set behind its prefix (the network would be \"{}\")",
                    Escaped(text), network.ToString()));
  }
  return network;
}

bool Network::Contains(const SocketAddress& address) const {
  return address.is_v6() == address_.is_v6() && Prefix(address, prefix_bits_) == address_;
}

std::string Network::ToString() const {
  return fmt::format("{}/{}", address_.AddressString(), prefix_bits_);
}

bool Contains(const std::vector<Network>& networks, const SocketAddress& address) {
  return std::any_of(networks.begin(), networks.end(),
                     [&](const Network& network) { return network.Contains(address); });
}

}  // namespace backstay
