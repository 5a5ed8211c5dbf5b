// core/event/event_text.cc -- digits, escapes, and what is UTF-8.
#include "core/event/event_text.h"

#include <algorithm>
#include <iterator>

#include "core/base/check.h"
#include "core/base/text.h"
#include "core/smtp/utf8.h"

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

// Of the whole sequence that `text` is: two bytes or three.
uint32_t CharacterOf(std::string_view text) {
  uint32_t character = static_cast<uint8_t>(text[0]) & (text.size() == 2 ? 0x1f : 0x0f);
  for (const char byte : text.substr(1)) {
    character = (character << 6) | (static_cast<uint8_t>(byte) & 0x3f);
  }
  return character;
}

// What a terminal obeys instead of showing it, what some programs take for the end of a line, and
// what makes text look like other text: C1 controls, marks and overrides of direction, separators,
// characters without width.
bool Misleads(uint32_t character) {
  constexpr struct {
    uint32_t first;
    uint32_t last;
  } kRanges[] = {{0x80, 0x9f},     {0xad, 0xad},     {0x61c, 0x61c},  {0x200b, 0x200f},
                 {0x2028, 0x202e}, {0x2060, 0x206f}, {0xfeff, 0xfeff}};
  return std::any_of(std::begin(kRanges), std::end(kRanges), [character](const auto& range) {
    return range.first <= character && character <= range.last;
  });
}

}  // namespace

void AppendSeconds(absl::Duration duration, size_t decimals, std::string& out) {
  ASSERT(decimals <= 3);
  auto thousandths =
      static_cast<uint64_t>(std::max<int64_t>(absl::ToInt64Milliseconds(duration), 0));
  AppendNumber(out, thousandths / 1000);
  if (decimals == 0) {
    return;
  }
  thousandths %= 1000;
  for (size_t left = decimals; left < 3; ++left) {
    thousandths /= 10;
  }
  out.push_back('.');
  AppendNumber(out, thousandths, decimals);
}

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
    } else if (bytes < 4 && Misleads(CharacterOf(text.substr(0, bytes)))) {
      AppendEscape(CharacterOf(text.substr(0, bytes)), out);
    } else {
      out.append(text.substr(0, bytes));
    }
    text.remove_prefix(std::max<size_t>(bytes, 1));
  }
}

void AppendPrintable(std::string_view text, std::string& out) {
  for (const char character : text) {
    out.push_back(character >= ' ' && character < 0x7f ? character : '?');
  }
}

}  // namespace backstay
