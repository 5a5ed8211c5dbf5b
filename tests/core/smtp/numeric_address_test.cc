// tests/core/smtp/numeric_address_test.cc -- addresses as text, and what looks like one.
#include "core/smtp/numeric_address.h"

#include <gtest/gtest.h>

#include <string>

namespace backstay {
namespace {

TEST(NumericAddress, IsReadIntoItsBytes) {
  const auto v4 = ParseNumericAddress("192.0.2.1", false);
  ASSERT_TRUE(v4.has_value());
  EXPECT_EQ(*v4, (NumericAddress{.bytes = {192, 0, 2, 1}, .is_v6 = false}));
  const auto v6 = ParseNumericAddress("2001:db8::1", true);
  ASSERT_TRUE(v6.has_value());
  NumericAddress expected{.bytes = {0x20, 0x01, 0x0d, 0xb8}, .is_v6 = true};
  expected.bytes[15] = 1;
  EXPECT_EQ(*v6, expected);
  EXPECT_TRUE(ParseNumericAddress("::ffff:192.0.2.1", true).has_value());
}

TEST(NumericAddress, NothingElseIsOne) {
  for (const std::string& text :
       {std::string(), std::string("192.0.2"), std::string("192.0.2.256"),
        std::string("192.0.2.01"), std::string("1.2.3.4 "), std::string(" 1.2.3.4"),
        std::string("1.2.3.4\0", 8), std::string("0x1.2.3.4"), std::string("::1"),
        std::string(50, '1')}) {
    EXPECT_FALSE(ParseNumericAddress(text, false).has_value()) << text;
  }
  for (const char* text : {"", "192.0.2.1", "[::1]", "fe80::1%eth0", "12345::", "1::2::3", ":"}) {
    EXPECT_FALSE(ParseNumericAddress(text, true).has_value()) << text;
  }
}

}  // namespace
}  // namespace backstay
