// core/smtp/numeric_address.h -- an IP address as text, judged and turned into bytes.
//
// The same form as SocketAddress::bytes(), which core/smtp does not know.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace backstay {

struct NumericAddress {
  std::array<uint8_t, 16> bytes{};  // an IPv4 address fills the first four
  bool is_v6 = false;
  friend bool operator==(const NumericAddress&, const NumericAddress&) = default;
};

// "192.0.2.1" or "2001:db8::1", all of it. Nothing else: no brackets, no scope, no short forms.
std::optional<NumericAddress> ParseNumericAddress(std::string_view text, bool is_v6);

}  // namespace backstay
