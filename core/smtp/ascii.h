// core/smtp/ascii.h -- character classes of SMTP: ASCII only, no locale.
#pragma once

#include <cstddef>
#include <string_view>

namespace backstay {

constexpr bool IsDigit(char c) {
  return c >= '0' && c <= '9';
}
constexpr bool IsLetter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
constexpr bool IsAlphanumeric(char c) {
  return IsLetter(c) || IsDigit(c);
}
constexpr bool IsBlank(char c) {
  return c == ' ' || c == '\t';
}
constexpr bool IsPrintable(char c) {
  return c >= ' ' && c <= '~';
}

constexpr bool IsAscii(std::string_view text) {
  for (const char c : text) {
    if (static_cast<unsigned char>(c) >= 0x80) {
      return false;
    }
  }
  return true;
}

constexpr char ToLower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

constexpr bool EqualsIgnoringCase(std::string_view left, std::string_view right) {
  if (left.size() != right.size()) {
    return false;
  }
  for (size_t i = 0; i < left.size(); ++i) {
    if (ToLower(left[i]) != ToLower(right[i])) {
      return false;
    }
  }
  return true;
}

// Without blanks at both ends.
constexpr std::string_view Trimmed(std::string_view text) {
  while (!text.empty() && IsBlank(text.front())) {
    text.remove_prefix(1);
  }
  while (!text.empty() && IsBlank(text.back())) {
    text.remove_suffix(1);
  }
  return text;
}

}  // namespace backstay
