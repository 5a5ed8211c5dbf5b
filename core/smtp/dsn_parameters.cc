// core/smtp/dsn_parameters.cc -- one rule of the grammar a function.
#include "core/smtp/dsn_parameters.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "core/base/check.h"
#include "core/base/utf8.h"
#include "core/smtp/ascii.h"
#include "core/smtp/envelope.h"
#include "core/smtp/xtext.h"

namespace backstay {
namespace {

constexpr size_t kEnvelopeIdBytesMax = 100;         // RFC 3461 s4.4
constexpr size_t kOriginalRecipientBytesMax = 500;  // RFC 3461 s4.2

struct Word {
  std::string_view text;
  uint8_t bit;
};
constexpr std::array<Word, 4> kWords = {{{"NEVER", Notify::kNever},
                                         {"SUCCESS", Notify::kSuccess},
                                         {"FAILURE", Notify::kFailure},
                                         {"DELAY", Notify::kDelay}}};

uint8_t BitOf(std::string_view text) {
  const auto* word = std::find_if(kWords.begin(), kWords.end(), [text](const Word& candidate) {
    return EqualsIgnoringCase(candidate.text, text);
  });
  return word == kWords.end() ? uint8_t{0} : word->bit;
}

bool IsAtom(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return IsAlphanumeric(c) ||
           std::string_view("!#$%&'*-/?^_`{|}~").find(c) != std::string_view::npos;
  });
}

// EmbeddedUnicodeChar of RFC 6533 s3, "\x{2B}", from behind the backslash on.
bool TakeEmbedded(std::string_view& text) {
  constexpr size_t kDigitsMax = 6;
  const size_t end = text.find('}');
  if (!text.starts_with("x{") || end == std::string_view::npos || end - 2 > kDigitsMax) {
    return false;
  }
  const std::string_view digits = text.substr(2, end - 2);
  uint32_t point = 0;
  const auto [stop, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), point, 16);
  const bool whole = error == std::errc() && stop == digits.data() + digits.size();
  const bool capital =
      std::none_of(digits.begin(), digits.end(), [](char c) { return c >= 'a' && c <= 'f'; });
  text.remove_prefix(end + 1);
  const bool is_scalar = point <= 0x10ffff && (point < 0xd800 || point > 0xdfff);
  return whole && capital && is_scalar && point >= 0x20 && point != 0x7f;
}

// utf-8-addr-xtext of RFC 6533 s3, and utf-8-addr-unitext under SMTPUTF8.
bool IsUtf8Address(std::string_view text, bool utf8) {
  if (!IsUtf8(text)) {
    return false;
  }
  while (!text.empty()) {
    const char c = text.front();
    text.remove_prefix(1);
    if (c == '\\') {
      if (!TakeEmbedded(text)) {
        return false;
      }
      continue;
    }
    const bool eight_bit = static_cast<unsigned char>(c) >= 0x80;
    if (eight_bit ? !utf8 : !IsPrintable(c) || c == ' ' || c == '+' || c == '=') {
      return false;
    }
  }
  return true;
}

}  // namespace

std::optional<uint8_t> ParseNotify(std::string_view value) {
  unsigned notify = 0;
  for (size_t begin = 0; begin <= value.size();) {
    const size_t end = std::min(value.find(',', begin), value.size());
    const uint8_t bit = BitOf(value.substr(begin, end - begin));
    if (bit == 0 || (notify & bit) != 0) {
      return std::nullopt;
    }
    notify |= bit;
    begin = end + 1;
  }
  if ((notify & Notify::kNever) != 0 && notify != Notify::kNever) {
    return std::nullopt;
  }
  return static_cast<uint8_t>(notify);
}

std::string NotifyText(uint8_t notify) {
  ASSERT(notify != 0);
  std::string text;
  for (const Word& word : kWords) {
    if ((notify & word.bit) != 0) {
      text.append(text.empty() ? "" : ",").append(word.text);
    }
  }
  return text;
}

bool IsEnvelopeId(std::string_view value) {
  return !value.empty() && value.size() <= kEnvelopeIdBytesMax && IsXtext(value);
}

bool IsOriginalRecipient(std::string_view value, bool utf8) {
  const size_t semicolon = value.find(';');
  if (semicolon == std::string_view::npos || value.size() > kOriginalRecipientBytesMax) {
    return false;
  }
  const std::string_view type = value.substr(0, semicolon);
  const std::string_view address = value.substr(semicolon + 1);
  if (!IsAtom(type) || address.empty()) {
    return false;
  }
  return EqualsIgnoringCase(type, "utf-8") ? IsUtf8Address(address, utf8) : IsXtext(address);
}

}  // namespace backstay
