// tests/core/smtp/dsn_parameters_test.cc -- the grammar of RFC 3461 and RFC 6533, as tables.
#include "core/smtp/dsn_parameters.h"

#include <gtest/gtest.h>

#include <string>

#include "core/smtp/envelope.h"

namespace backstay {
namespace {

TEST(DsnParameters, NotifyIsNeverOrAListWithoutRepeats) {
  EXPECT_EQ(ParseNotify("NEVER"), Notify::kNever);
  EXPECT_EQ(ParseNotify("success"), Notify::kSuccess);
  EXPECT_EQ(ParseNotify("Delay,FAILURE"), Notify::kDelay | Notify::kFailure);
  EXPECT_EQ(ParseNotify("SUCCESS,FAILURE,DELAY"),
            Notify::kSuccess | Notify::kFailure | Notify::kDelay);
  for (const char* value :
       {"", ",", "NEVER,", ",DELAY", "DELAY,,FAILURE", "NEVER,SUCCESS", "DELAY,NEVER",
        "DELAY,DELAY", "NEVER,NEVER", "ALWAYS", "DELAY;FAILURE", "DELAY FAILURE", "DELAYS"}) {
    EXPECT_FALSE(ParseNotify(value).has_value()) << value;
  }
}

TEST(DsnParameters, NotifyIsWrittenAsItIsRead) {
  EXPECT_EQ(NotifyText(Notify::kNever), "NEVER");
  EXPECT_EQ(NotifyText(Notify::kDelay | Notify::kSuccess), "SUCCESS,DELAY");
  for (uint8_t notify = 2; notify < 16; notify += 2) {
    EXPECT_EQ(ParseNotify(NotifyText(notify)), notify);
  }
}

TEST(DsnParameters, EnvelopeIdIsAHundredBytesOfXtext) {
  EXPECT_TRUE(IsEnvelopeId("QQ314159"));
  EXPECT_TRUE(IsEnvelopeId("a+20b"));
  EXPECT_TRUE(IsEnvelopeId(std::string(100, 'x')));
  EXPECT_FALSE(IsEnvelopeId(std::string(101, 'x')));
  for (const char* value : {"", "a b", "a=b", "a+00", "a+0D+0A", "a+0a", "\xc3\xbc"}) {
    EXPECT_FALSE(IsEnvelopeId(value)) << value;
  }
}

TEST(DsnParameters, OriginalRecipientHasATypeAndAnAddress) {
  EXPECT_TRUE(IsOriginalRecipient("rfc822;v@our.example", false));
  EXPECT_TRUE(IsOriginalRecipient("RFC822;a+2Bb+3D@our", false));
  EXPECT_TRUE(IsOriginalRecipient("x400;/c+3Dus/", false));
  EXPECT_TRUE(IsOriginalRecipient("rfc822;a;b", false));
  EXPECT_TRUE(IsOriginalRecipient("rfc822;" + std::string(493, 'x'), false));
  EXPECT_FALSE(IsOriginalRecipient("rfc822;" + std::string(494, 'x'), false));
  for (const char* value :
       {"", ";", "rfc822", "rfc822;", ";v@our", "rfc 822;v@our", "rfc.822;v@our", "rfc822;v our",
        "rfc822;+00", "rfc822;a+0D+0ARCPT", "rfc822;a=b", "rfc822;\xc3\xbc@our"}) {
    EXPECT_FALSE(IsOriginalRecipient(value, true)) << value;
  }
}

TEST(DsnParameters, Utf8AddressesAreWrittenOutOnlyUnderSmtpUtf8) {
  EXPECT_TRUE(IsOriginalRecipient("utf-8;v@our", false));
  EXPECT_TRUE(IsOriginalRecipient("UTF-8;\\x{FC}\\x{1F4E7}@our", false));
  EXPECT_TRUE(IsOriginalRecipient("utf-8;\\x{2B}\\x{3D}\\x{20}", false));
  EXPECT_FALSE(IsOriginalRecipient("utf-8;\xc3\xbc@our", false));
  EXPECT_TRUE(IsOriginalRecipient("utf-8;\xc3\xbc@our", true));
  for (const char* value :
       {"utf-8;", "utf-8;\\", "utf-8;\\x", "utf-8;\\x{}", "utf-8;\\x{0}", "utf-8;\\x{D}",
        "utf-8;\\x{7F}", "utf-8;\\x{fc}", "utf-8;\\x{FC", "utf-8;\\x{D800}", "utf-8;\\x{110000}",
        "utf-8;\\x{0000041}", "utf-8;\\x{-1}", "utf-8;a+20b", "utf-8;a=b", "utf-8;a b",
        "utf-8;\xc3", "utf-8;\xed\xa0\x80", "utf-8;\xc0\xaf"}) {
    EXPECT_FALSE(IsOriginalRecipient(value, true)) << value;
  }
}

}  // namespace
}  // namespace backstay
