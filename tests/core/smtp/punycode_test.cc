// tests/core/smtp/punycode_test.cc -- the samples of RFC 3492 s7.1, and names that are in use.
#include "core/smtp/punycode.h"

#include <gtest/gtest.h>

#include <string>

namespace backstay {
namespace {

std::string Ascii(std::string_view label) {
  std::string output;
  AppendAsciiLabel(label, output);
  return output;
}

TEST(Punycode, NamesThatAreInUse) {
  EXPECT_EQ(Ascii("b\xc3\xbc"
                  "cher"),
            "xn--bcher-kva");
  EXPECT_EQ(Ascii("m\xc3\xbcnchen"), "xn--mnchen-3ya");
  EXPECT_EQ(Ascii("\xd1\x80\xd1\x84"), "xn--p1ai");
  EXPECT_EQ(Ascii("\xe4\xb8\xad\xe5\x9b\xbd"), "xn--fiqs8s");
  EXPECT_EQ(Ascii("\xc3\xbc"), "xn--tda");
  EXPECT_EQ(Ascii("\xf0\x9f\x93\xa7"), "xn--du8h");
}

TEST(Punycode, SamplesOfTheRfc) {
  // (A) Arabic (Egyptian)
  EXPECT_EQ(Ascii("\xd9\x84\xd9\x8a\xd9\x87\xd9\x85\xd8\xa7\xd8\xa8\xd8\xaa\xd9\x83\xd9\x84\xd9\x85"
                  "\xd9\x88\xd8\xb4\xd8\xb9\xd8\xb1\xd8\xa8\xd9\x8a\xd8\x9f"),
            "xn--egbpdaj6bu4bxfgehfvwxn");
  // (L) 3<nen>B<gumi><kinpachi><sensei>, in lower case as a label is
  EXPECT_EQ(Ascii("3\xe5\xb9\xb4"
                  "b\xe7\xb5\x84\xe9\x87\x91\xe5\x85\xab\xe5\x85\x88\xe7\x94\x9f"),
            "xn--3b-ww4c5e180e575a65lsy2b");
  // (Q) <pafii>de<runba>
  EXPECT_EQ(Ascii("\xe3\x83\x91\xe3\x83\x95\xe3\x82\xa3\xe3\x83\xbc"
                  "de\xe3\x83\xab\xe3\x83\xb3\xe3\x83\x90"),
            "xn--de-jg4avhby1noc0d");
}

TEST(Punycode, AsciiLettersAreInLowerCase) {
  EXPECT_EQ(Ascii("B\xc3\xbc"
                  "CHER"),
            "xn--bcher-kva");
}

}  // namespace
}  // namespace backstay
