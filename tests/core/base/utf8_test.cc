// tests/core/base/utf8_test.cc -- the edges of RFC 3629, and every scalar value.
#include "core/base/utf8.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>

namespace backstay {
namespace {

// Each code point in the shortest form, surrogates too.
std::string Encoded(uint32_t point) {
  const auto byte = [](uint32_t value) { return static_cast<char>(value); };
  const auto tail = [&](unsigned shift) { return byte(0x80 | ((point >> shift) & 0x3f)); };
  if (point < 0x80) {
    return {byte(point)};
  }
  if (point < 0x800) {
    return {byte(0xc0 | point >> 6), tail(0)};
  }
  if (point < 0x10000) {
    return {byte(0xe0 | point >> 12), tail(6), tail(0)};
  }
  return {byte(0xf0 | point >> 18), tail(12), tail(6), tail(0)};
}

TEST(Utf8, EveryScalarValueAndNoOther) {
  for (uint32_t point = 0; point < 0x111000; ++point) {
    const bool is_scalar = (point < 0xd800 || point > 0xdfff) && point <= 0x10ffff;
    if (IsUtf8("a" + Encoded(point) + "b") != is_scalar) {  // a million of ASSERT_EQ takes seconds
      FAIL() << std::hex << point;
    }
  }
}

TEST(Utf8, OverlongCutOrStrayBytesAreNone) {
  for (const std::string text :
       {"\xc0\xaf", "\xc1\xbf", "\xe0\x80\xaf", "\xe0\x9f\xbf", "\xf0\x80\x80\xaf",
        "\xf0\x8f\xbf\xbf", "\xc3", "\xe2\x82", "\xf0\x9f\x93", "\x80", "\xbf", "\xfe", "\xff",
        "\xc3\xc3", "\xe2\x82\x41", "\xc3\x28", "\xf8\x88\x80\x80\x80"}) {
    EXPECT_FALSE(IsUtf8(text)) << testing::PrintToString(text);
  }
  EXPECT_TRUE(IsUtf8(""));
  EXPECT_TRUE(IsUtf8(std::string(1, '\0')));
}

}  // namespace
}  // namespace backstay
