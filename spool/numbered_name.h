// spool/numbered_name.h -- names like "segment-0000002a": a prefix and eight hexadecimal digits.
//
// Pure. See: FORMAT.md 1.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace backstay {

constexpr size_t kNumberedDigits = 8;

// The number; nothing for a name of another form. One number has one name: no capitals.
inline std::optional<uint32_t> ParseNumberedName(std::string_view prefix, std::string_view name) {
  if (name.size() != prefix.size() + kNumberedDigits || !name.starts_with(prefix)) {
    return std::nullopt;
  }
  uint32_t number = 0;
  for (const char digit : name.substr(prefix.size())) {
    const bool is_decimal = digit >= '0' && digit <= '9';
    if (!is_decimal && (digit < 'a' || digit > 'f')) {
      return std::nullopt;
    }
    number = number << 4 | static_cast<uint32_t>(is_decimal ? digit - '0' : digit - 'a' + 10);
  }
  return number;
}

}  // namespace backstay
