// tests/core/base/text_test.cc -- numbers as text.
#include "core/base/text.h"

#include <gtest/gtest.h>

namespace backstay {
namespace {

std::string Appended(uint64_t number, size_t digits = 1, char pad = '0', int base = 10) {
  std::string text = "<";
  AppendNumber(text, number, digits, pad, base);
  return text + ">";
}

TEST(Text, NumbersAreAppendedAndFilledUp) {
  EXPECT_EQ(Appended(0), "<0>");
  EXPECT_EQ(Appended(7, 2), "<07>");
  EXPECT_EQ(Appended(123, 2), "<123>");
  EXPECT_EQ(Appended(0x2a, 8, '0', 16), "<0000002a>");
  EXPECT_EQ(Appended(UINT64_MAX), "<18446744073709551615>");
  EXPECT_EQ(Appended(1234, 3), "<1234>");
  EXPECT_EQ(Appended(0, 2, ' '), "< 0>");
}

}  // namespace
}  // namespace backstay
