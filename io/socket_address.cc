// io/socket_address.cc -- numeric addresses, to and from text.
#include "io/socket_address.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <system_error>

namespace backstay {
namespace {

constexpr std::array<uint8_t, 12> kMappedPrefix = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
constexpr size_t kPortDigitsMax = 5;

std::optional<uint16_t> ParsePort(std::string_view text) {
  uint16_t port = 0;
  if (text.size() > kPortDigitsMax) {
    return std::nullopt;
  }
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, port);
  if (error != std::errc() || stop != end) {
    return std::nullopt;
  }
  return port;
}

// inet_pton wants a terminated string; the longest address there is has 45 characters.
template <size_t kBytes>
std::optional<std::array<uint8_t, kBytes>> ParseNumeric(int family, std::string_view text) {
  std::array<char, INET6_ADDRSTRLEN> terminated{};
  if (text.size() >= terminated.size() || text.find('\0') != std::string_view::npos) {
    return std::nullopt;
  }
  std::copy(text.begin(), text.end(), terminated.begin());
  std::array<uint8_t, kBytes> address{};
  if (inet_pton(family, terminated.data(), address.data()) != 1) {
    return std::nullopt;
  }
  return address;
}

std::optional<SocketAddress> ParseV4(std::string_view address, uint16_t port) {
  const auto bytes = ParseNumeric<4>(AF_INET, address);
  return bytes.has_value() ? std::optional(SocketAddress::V4(*bytes, port)) : std::nullopt;
}

std::optional<SocketAddress> ParseV6(std::string_view address, uint16_t port) {
  const auto bytes = ParseNumeric<16>(AF_INET6, address);
  return bytes.has_value() ? std::optional(SocketAddress::V6(*bytes, port)) : std::nullopt;
}

// `text` begins with a bracket.
std::optional<SocketAddress> ParseBracketed(std::string_view text,
                                            std::optional<uint16_t> default_port) {
  const size_t closing = text.find(']');
  if (closing == std::string_view::npos) {
    return std::nullopt;
  }
  const std::string_view address = text.substr(1, closing - 1);
  const std::string_view behind = text.substr(closing + 1);
  if (behind.empty()) {
    return default_port.has_value() ? ParseV6(address, *default_port) : std::nullopt;
  }
  if (behind.front() != ':') {
    return std::nullopt;
  }
  const auto port = ParsePort(behind.substr(1));
  return port.has_value() ? ParseV6(address, *port) : std::nullopt;
}

}  // namespace

SocketAddress SocketAddress::V4(std::array<uint8_t, 4> address, uint16_t port) {
  SocketAddress made;
  std::copy(address.begin(), address.end(), made.bytes_.begin());
  made.port_ = port;
  return made;
}

SocketAddress SocketAddress::V6(std::array<uint8_t, 16> address, uint16_t port) {
  if (std::equal(kMappedPrefix.begin(), kMappedPrefix.end(), address.begin())) {
    return V4({address[12], address[13], address[14], address[15]}, port);
  }
  SocketAddress made;
  made.bytes_ = address;
  made.port_ = port;
  made.is_v6_ = true;
  return made;
}

std::optional<SocketAddress> SocketAddress::Parse(std::string_view text,
                                                  std::optional<uint16_t> default_port) {
  if (!text.empty() && text.front() == '[') {
    return ParseBracketed(text, default_port);
  }
  const size_t colon = text.find(':');
  if (colon == std::string_view::npos) {
    return default_port.has_value() ? ParseV4(text, *default_port) : std::nullopt;
  }
  if (text.find(':', colon + 1) != std::string_view::npos) {
    // Two colons: bare IPv6, whose last group cannot be told from a port.
    return default_port.has_value() ? ParseV6(text, *default_port) : std::nullopt;
  }
  const auto port = ParsePort(text.substr(colon + 1));
  return port.has_value() ? ParseV4(text.substr(0, colon), *port) : std::nullopt;
}

bool SocketAddress::is_loopback() const {
  if (!is_v6_) {
    return bytes_[0] == 127;
  }
  std::array<uint8_t, 16> loopback{};
  loopback[15] = 1;
  return bytes_ == loopback;
}

SocketAddress SocketAddress::WithPort(uint16_t port) const {
  SocketAddress changed = *this;
  changed.port_ = port;
  return changed;
}

std::string SocketAddress::ToString() const {
  return is_v6_ ? fmt::format("[{}]:{}", AddressString(), port_)
                : fmt::format("{}:{}", AddressString(), port_);
}

std::string SocketAddress::AddressString() const {
  std::array<char, INET6_ADDRSTRLEN> text{};
  inet_ntop(is_v6_ ? AF_INET6 : AF_INET, bytes_.data(), text.data(), text.size());
  return text.data();
}

std::string SocketAddress::AddressLiteral() const {
  return is_v6_ ? "IPv6:" + AddressString() : AddressString();
}

}  // namespace backstay
