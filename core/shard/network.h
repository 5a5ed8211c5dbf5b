// core/shard/network.h -- a CIDR block of IPv4 or IPv6 addresses: parsed, asked, printed.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "io/socket_address.h"

namespace backstay {

class Network {
 public:
  // "192.0.2.0/24", "2001:db8::/32", or an address alone, which is a block of one. A block with
  // bits set behind its prefix is refused, because it is more often a slip than a wish.
  static absl::StatusOr<Network> Parse(std::string_view text);

  // The port of `address` does not matter.
  bool Contains(const SocketAddress& address) const;
  std::string ToString() const;

  friend bool operator==(const Network&, const Network&) = default;

 private:
  SocketAddress address_;  // port 0; no bit set behind prefix_bits_
  int prefix_bits_ = 0;
};

// In any of them.
bool Contains(const std::vector<Network>& networks, const SocketAddress& address);

}  // namespace backstay
