// core/smtp/xtext.cc -- one reader for those who ask and those who decode.
#include "core/smtp/xtext.h"

#include <cstddef>

#include "core/base/check.h"
#include "core/smtp/ascii.h"

namespace backstay {
namespace {

constexpr std::string_view kHexDigits = "0123456789ABCDEF";  // RFC 3461: capital letters only

// The character that `text` begins with, taken off; NUL when it is none that xtext may stand for.
char TakeCharacter(std::string_view& text) {
  char c = text.front();
  text.remove_prefix(1);
  if (c == '+') {
    const size_t high = text.empty() ? std::string_view::npos : kHexDigits.find(text[0]);
    const size_t low = text.size() < 2 ? std::string_view::npos : kHexDigits.find(text[1]);
    if (high == std::string_view::npos || low == std::string_view::npos) {
      return '\0';
    }
    text.remove_prefix(2);
    c = static_cast<char>(high << 4 | low);
    return IsPrintable(c) ? c : '\0';
  }
  return IsPrintable(c) && c != ' ' && c != '=' ? c : '\0';
}

}  // namespace

bool IsXtext(std::string_view text) {
  while (!text.empty()) {
    if (TakeCharacter(text) == '\0') {
      return false;
    }
  }
  return true;
}

std::optional<std::string> DecodeXtext(std::string_view text) {
  std::string decoded;
  while (!text.empty()) {
    const char c = TakeCharacter(text);
    if (c == '\0') {
      return std::nullopt;
    }
    decoded.push_back(c);
  }
  return decoded;
}

void AppendXtext(std::string_view text, std::string& output) {
  for (const char c : text) {
    ASSERT(IsPrintable(c));
    if (c != ' ' && c != '+' && c != '=') {
      output.push_back(c);
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    output.append({'+', kHexDigits[byte >> 4], kHexDigits[byte & 0xf]});
  }
}

}  // namespace backstay
