// core/base/bytes.h -- views of bytes, and little-endian numbers in them.
//
// Owns: nothing. A Bytes is never stored beyond the call it came with (STYLE 36).
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

namespace backstay {

using Bytes = std::span<const uint8_t>;
using MutableBytes = std::span<uint8_t>;

inline Bytes AsBytes(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

inline std::string_view AsText(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

static_assert(std::endian::native == std::endian::little,
              "the on-disk numbers are little-endian and are copied as they lie");

template <typename Number>
Number LoadLittle(const uint8_t* from) {
  Number value;
  std::memcpy(&value, from, sizeof(value));
  return value;
}

template <typename Number>
void StoreLittle(uint8_t* to, Number value) {
  std::memcpy(to, &value, sizeof(value));
}

}  // namespace backstay
