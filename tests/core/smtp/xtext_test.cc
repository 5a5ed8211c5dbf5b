// tests/core/smtp/xtext_test.cc -- both directions, and what is refused.
#include "core/smtp/xtext.h"

#include <gtest/gtest.h>

#include <string>

namespace backstay {
namespace {

TEST(Xtext, AnyPrintableTextComesBack) {
  std::string all;
  for (char c = ' '; c <= '~'; ++c) {
    all.push_back(c);
  }
  std::string encoded;
  AppendXtext(all, encoded);
  EXPECT_EQ(encoded.find_first_of(" ="), std::string::npos);
  EXPECT_TRUE(encoded.starts_with("+20!\"#$%&'()*+2B,-./"));
  EXPECT_TRUE(IsXtext(encoded));
  EXPECT_EQ(DecodeXtext(encoded), all);
}

TEST(Xtext, IsDecodedToTheByte) {
  EXPECT_EQ(DecodeXtext(""), "");
  EXPECT_EQ(DecodeXtext("a+2Bb+3Dc"), "a+b=c");
  EXPECT_EQ(DecodeXtext("+20+7E"), " ~");
  EXPECT_EQ(DecodeXtext("+2B2B"), "+2B");
}

TEST(Xtext, WhatStandsForControlBytesIsRefused) {
  for (const std::string text :
       {"+", "a+", "+2", "+2b", "+GG", "+ 2", "a=b", "a b", "+00", "+0D+0A", "+1F", "+7F", "+80",
        "+FF", "\t", "\r", "\x7f", "\xc3\xbc"}) {
    EXPECT_FALSE(IsXtext(text)) << text;
    EXPECT_FALSE(DecodeXtext(text).has_value()) << text;
  }
}

}  // namespace
}  // namespace backstay
