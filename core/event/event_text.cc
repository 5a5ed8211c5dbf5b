// core/event/event_text.cc -- digits, escapes, and what is UTF-8.
#include "core/event/event_text.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "core/base/check.h"

namespace backstay {
namespace {

// Bytes of the UTF-8 sequence at the beginning of `text`; 0: there is none (RFC 3629 s4: no
// overlong forms, no surrogates, nothing beyond U+10FFFF).
size_t Utf8Bytes(std::string_view text) {
  const auto byte = [text](size_t at) {
    return at < text.size() ? static_cast<uint8_t>(text[at]) : uint8_t{0};
  };
  const auto continues = [&](size_t from, size_t to) {
    for (size_t at = from; at < to; ++at) {
      if ((byte(at) & 0xc0) != 0x80) {
        return size_t{0};
      }
    }
    return to;
  };
  const uint8_t first = byte(0);
  const uint8_t second = byte(1);
  if (first < 0x80) {
    return 1;
  }
  if (first >= 0xc2 && first <= 0xdf) {
    return continues(1, 2);
  }
  if (first >= 0xe0 && first <= 0xef) {
    const bool bad = (first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f);
    return bad ? 0 : continues(1, 3);
  }
  if (first >= 0xf0 && first <= 0xf4) {
    const bool bad = (first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f);
    return bad ? 0 : continues(1, 4);
  }
  return 0;
}

constexpr bool IsPlain(char character) {
  return character >= ' ' && character < 0x7f && character != '"' && character != '\\';
}

void AppendEscape(uint8_t byte, std::string& out) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  out.append("\\u00").push_back(kDigits[byte >> 4]);
  out.push_back(kDigits[byte & 15]);
}

}  // namespace

void AppendNumber(uint64_t number, std::string& out) {
  std::array<char, 20> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
  out.append(digits.data(), end);
}

void AppendPadded(uint64_t number, size_t digits, char pad, std::string& out) {
  size_t wide = 1;
  for (uint64_t rest = number; rest >= 10; rest /= 10) {
    ++wide;
  }
  out.append(digits > wide ? digits - wide : 0, pad);
  AppendNumber(number, out);
}

void AppendSeconds(absl::Duration duration, size_t decimals, std::string& out) {
  ASSERT(decimals <= 3);
  auto thousandths =
      static_cast<uint64_t>(std::max<int64_t>(absl::ToInt64Milliseconds(duration), 0));
  AppendNumber(thousandths / 1000, out);
  if (decimals == 0) {
    return;
  }
  thousandths %= 1000;
  for (size_t left = decimals; left < 3; ++left) {
    thousandths /= 10;
  }
  out.push_back('.');
  AppendPadded(thousandths, decimals, '0', out);
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
