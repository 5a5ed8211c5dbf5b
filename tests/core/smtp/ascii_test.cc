// tests/core/smtp/ascii_test.cc -- every byte falls into its classes, whatever the locale.
#include "core/smtp/ascii.h"

#include <gtest/gtest.h>

#include <string>

namespace backstay {
namespace {

TEST(Ascii, EachByteHasItsClasses) {
  const std::string lower = "abcdefghijklmnopqrstuvwxyz";
  const std::string upper = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
  for (int byte = 0; byte < 256; ++byte) {
    SCOPED_TRACE(byte);
    const char c = static_cast<char>(byte);
    const bool letter = (lower + upper).find(c) != std::string::npos;
    const bool digit = std::string("0123456789").find(c) != std::string::npos;
    EXPECT_EQ(IsLetter(c), letter);
    EXPECT_EQ(IsDigit(c), digit);
    EXPECT_EQ(IsAlphanumeric(c), letter || digit);
    EXPECT_EQ(IsBlank(c), byte == 9 || byte == 32);
    EXPECT_EQ(IsPrintable(c), byte >= 32 && byte <= 126);
    const size_t place = upper.find(c);
    EXPECT_EQ(ToLower(c), place == std::string::npos ? c : lower[place]);
  }
}

TEST(Ascii, CaseIsIgnoredAndLengthIsNot) {
  EXPECT_TRUE(EqualsIgnoringCase("From:", "fROM:"));
  EXPECT_TRUE(EqualsIgnoringCase("", ""));
  EXPECT_FALSE(EqualsIgnoringCase("From", "From:"));
  EXPECT_FALSE(EqualsIgnoringCase("[", "{"));  // one bit apart, as letters are
}

TEST(Ascii, TrimmingTakesBlanksAtTheEndsOnly) {
  EXPECT_EQ(Trimmed(" \ta b\t "), "a b");
  EXPECT_EQ(Trimmed(" \t "), "");
  EXPECT_EQ(Trimmed("\r\n"), "\r\n");
}

}  // namespace
}  // namespace backstay
