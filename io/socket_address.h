// io/socket_address.h -- an IPv4 or IPv6 address with a port; parsed and printed.
//
// An IPv4-mapped IPv6 address is stored as the IPv4 address it means, so one client has one
// identity.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace backstay {

class SocketAddress {
 public:
  SocketAddress() = default;
  static SocketAddress V4(std::array<uint8_t, 4> address, uint16_t port);
  static SocketAddress V6(std::array<uint8_t, 16> address, uint16_t port);
  // "192.0.2.1:25", "[2001:db8::1]:25"; with `default_port` also without the port (and then IPv6
  // without brackets). Numeric only, no names. Nothing on bad input.
  static std::optional<SocketAddress> Parse(std::string_view text,
                                            std::optional<uint16_t> default_port = std::nullopt);

  bool is_v6() const { return is_v6_; }
  bool is_loopback() const;
  uint16_t port() const { return port_; }
  // 16 bytes; an IPv4 address fills the first four, the rest is zero.
  const std::array<uint8_t, 16>& bytes() const { return bytes_; }
  SocketAddress WithPort(uint16_t port) const;

  std::string ToString() const;       // with port, as Parse takes it
  std::string AddressString() const;  // without port and brackets
  // As RFC 5321 s4.1.3 writes it, without brackets: "192.0.2.1" or "IPv6:2001:db8::1".
  std::string AddressLiteral() const;

  friend auto operator<=>(const SocketAddress&, const SocketAddress&) = default;

 private:
  std::array<uint8_t, 16> bytes_{};
  uint16_t port_ = 0;
  bool is_v6_ = false;
};

}  // namespace backstay
