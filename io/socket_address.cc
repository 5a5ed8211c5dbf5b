// io/socket_address.cc -- parsing and printing by inet_pton and inet_ntop.
#include "io/socket_address.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "core/base/check.h"

namespace backstay {
namespace {

// RFC 4291 s2.5.5.2: ten zero bytes, two of 0xff, then the IPv4 address.
constexpr std::array<uint8_t, 12> kMappedPrefix = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

std::optional<uint16_t> ParsePort(std::string_view text) {
  uint16_t port = 0;
  const char* end = text.data() + text.size();
  const std::from_chars_result result = std::from_chars(text.data(), end, port);
  if (text.empty() || result.ec != std::errc() || result.ptr != end) {
    return std::nullopt;
  }
  return port;
}

}  // namespace

SocketAddress SocketAddress::V4(std::array<uint8_t, 4> address, uint16_t port) {
  SocketAddress result;
  std::copy(address.begin(), address.end(), result.bytes_.begin());
  result.port_ = port;
  return result;
}

SocketAddress SocketAddress::V6(std::array<uint8_t, 16> address, uint16_t port) {
  if (std::equal(kMappedPrefix.begin(), kMappedPrefix.end(), address.begin())) {
    return V4({address[12], address[13], address[14], address[15]}, port);
  }
  SocketAddress result;
  result.bytes_ = address;
  result.port_ = port;
  result.is_v6_ = true;
  return result;
}

std::optional<SocketAddress> SocketAddress::Parse(std::string_view text,
                                                  std::optional<uint16_t> default_port) {
  std::string_view host = text;
  std::optional<uint16_t> port = default_port;
  const size_t colon = text.rfind(':');
  if (text.starts_with('[')) {
    const size_t close = text.find(']');
    if (close == std::string_view::npos) {
      return std::nullopt;
    }
    host = text.substr(1, close - 1);
    const std::string_view rest = text.substr(close + 1);
    if (!rest.empty()) {
      port = rest.starts_with(':') ? ParsePort(rest.substr(1)) : std::nullopt;
    }
    if (host.find(':') == std::string_view::npos) {
      return std::nullopt;
    }
  } else if (colon != std::string_view::npos && text.find(':') == colon) {
    host = text.substr(0, colon);
    port = ParsePort(text.substr(colon + 1));
  } else if (colon != std::string_view::npos && !default_port.has_value()) {
    return std::nullopt;  // IPv6 without brackets: where would the port begin?
  }
  if (!port.has_value() || host.find('\0') != std::string_view::npos) {
    return std::nullopt;  // inet_pton would stop at the NUL
  }
  const std::string name(host);
  std::array<uint8_t, 4> v4;
  std::array<uint8_t, 16> v6;
  if (inet_pton(AF_INET, name.c_str(), v4.data()) == 1) {
    return V4(v4, *port);
  }
  if (inet_pton(AF_INET6, name.c_str(), v6.data()) == 1) {
    return V6(v6, *port);
  }
  return std::nullopt;
}

bool SocketAddress::is_loopback() const {
  if (!is_v6_) {
    return bytes_[0] == 127;
  }
  return bytes_[15] == 1 &&
         std::all_of(bytes_.begin(), bytes_.end() - 1, [](uint8_t byte) { return byte == 0; });
}

SocketAddress SocketAddress::WithPort(uint16_t port) const {
  SocketAddress result = *this;
  result.port_ = port;
  return result;
}

std::string SocketAddress::ToString() const {
  return is_v6_ ? fmt::format("[{}]:{}", AddressString(), port_)
                : fmt::format("{}:{}", AddressString(), port_);
}

std::string SocketAddress::AddressString() const {
  char text[INET6_ADDRSTRLEN];
  ASSERT(inet_ntop(is_v6_ ? AF_INET6 : AF_INET, bytes_.data(), text, sizeof(text)) != nullptr);
  return text;
}

std::string SocketAddress::AddressLiteral() const {
  return is_v6_ ? "IPv6:" + AddressString() : AddressString();
}

}  // namespace backstay
