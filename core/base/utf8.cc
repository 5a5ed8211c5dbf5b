// core/base/utf8.cc -- the table of RFC 3629 s4, byte by byte.
#include "core/base/utf8.h"

#include <algorithm>
#include <iterator>

namespace backstay {

size_t Utf8Bytes(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  if (lead < 0x80) {
    return 1;
  }
  const size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || length > text.size()) {
    return 0;
  }
  const auto second = static_cast<unsigned char>(text[1]);
  const unsigned char low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
  const unsigned char high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
  if (second < low || second > high) {
    return 0;
  }
  for (size_t i = 2; i < length; ++i) {
    if ((static_cast<unsigned char>(text[i]) & 0xc0) != 0x80) {
      return 0;
    }
  }
  return length;
}

uint32_t CharacterOf(std::string_view text) {
  constexpr uint8_t kLeadBits[] = {0x7f, 0x1f, 0x0f, 0x07};
  uint32_t character = static_cast<uint8_t>(text[0]) & kLeadBits[text.size() - 1];
  for (const char byte : text.substr(1)) {
    character = (character << 6) | (static_cast<uint8_t>(byte) & 0x3f);
  }
  return character;
}

bool Misleads(std::string_view text) {
  const uint32_t character = CharacterOf(text);
  constexpr struct {
    uint32_t first;
    uint32_t last;
  } kRanges[] = {{0, 0x1f},        {0x7f, 0x9f},     {0xad, 0xad},     {0x61c, 0x61c},
                 {0x200b, 0x200f}, {0x2028, 0x202e}, {0x2060, 0x206f}, {0xfeff, 0xfeff}};
  return std::any_of(std::begin(kRanges), std::end(kRanges), [character](const auto& range) {
    return range.first <= character && character <= range.last;
  });
}

bool IsUtf8(std::string_view text) {
  while (!text.empty()) {
    const size_t bytes = Utf8Bytes(text);
    if (bytes == 0) {
      return false;
    }
    text.remove_prefix(bytes);
  }
  return true;
}

}  // namespace backstay
