// core/base/text.h -- numbers to the end of a text, without what a formatting library makes of it.
//
// For texts of every message and for files that would take ten seconds to compile.
#pragma once

#include <charconv>
#include <cstdint>
#include <string>

namespace backstay {

// Filled up to `digits` characters.
inline void AppendNumber(std::string& output, uint64_t number, size_t digits = 1, char pad = '0',
                         int base = 10) {
  char text[64];
  const char* end = std::to_chars(text, text + sizeof(text), number, base).ptr;
  const auto bytes = static_cast<size_t>(end - text);
  output.append(bytes < digits ? digits - bytes : 0, pad);
  output.append(text, bytes);
}

}  // namespace backstay
