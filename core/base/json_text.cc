// core/base/json_text.cc -- escapes, and what is UTF-8.
#include "core/base/json_text.h"

#include <algorithm>
#include <cstdint>

#include "core/base/utf8.h"

namespace backstay {
namespace {

constexpr bool IsPlain(char character) {
  return character >= ' ' && character < 0x7f && character != '"' && character != '\\';
}

void AppendEscape(uint32_t character, std::string& out) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  out.append("\\u");
  for (int shift = 12; shift >= 0; shift -= 4) {
    out.push_back(kDigits[(character >> shift) & 15]);
  }
}

}  // namespace

void AppendJsonText(std::string_view text, std::string& out) {
  while (!text.empty()) {
    const auto end = std::find_if_not(text.begin(), text.end(), IsPlain);
    const auto plain = static_cast<size_t>(end - text.begin());
    out.append(text.substr(0, plain));
    text.remove_prefix(plain);
    if (text.empty()) {
      return;
    }
    const auto byte = static_cast<uint8_t>(text[0]);
    const size_t bytes = Utf8Bytes(text);
    if (byte == '"' || byte == '\\') {
      out.append({'\\', text[0]});
    } else if (byte < 0x80) {
      AppendEscape(byte, out);
    } else if (bytes == 0) {
      out.append("\\ufffd");
    } else if (Misleads(text.substr(0, bytes))) {
      AppendEscape(CharacterOf(text.substr(0, bytes)), out);
    } else {
      out.append(text.substr(0, bytes));
    }
    text.remove_prefix(std::max<size_t>(bytes, 1));
  }
}

}  // namespace backstay
