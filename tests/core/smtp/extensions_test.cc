// tests/core/smtp/extensions_test.cc -- the EHLO reply and MAIL's parameters.
#include "core/smtp/extensions.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace backstay {
namespace {

TEST(Extensions, EhloReplyListsWhatIsServed) {
  std::string output;
  AppendEhloReply("mx2.example.net", {.message_bytes_max = 52428800, .recipients_max = 1000},
                  output);
  EXPECT_EQ(output,
            "250-mx2.example.net\r\n250-PIPELINING\r\n250-SIZE 52428800\r\n250-8BITMIME\r\n"
            "250-ENHANCEDSTATUSCODES\r\n250-SMTPUTF8\r\n250-DSN\r\n250-LIMITS RCPTMAX=1000\r\n"
            "250-VRFY\r\n250 HELP\r\n");
}

TEST(Extensions, EhloReplyOffersTlsWhereThereIsAny) {
  std::string output;
  AppendEhloReply("mx2.example.net", {.message_bytes_max = 1, .starttls = true}, output);
  EXPECT_NE(output.find("\r\n250-STARTTLS\r\n"), std::string::npos) << output;
}

TEST(Extensions, MailParameters) {
  constexpr uint64_t kLimit = 1000;
  struct Case {
    std::string text;
    ParameterFault fault;
  };
  const std::vector<Case> cases = {
      {"", ParameterFault::kNone},
      {"  \t ", ParameterFault::kNone},
      {" SIZE=0", ParameterFault::kNone},
      {" SIZE=1000", ParameterFault::kNone},
      {" size=00000000000000001000", ParameterFault::kNone},
      {" SIZE=1001", ParameterFault::kTooLarge},
      {" SIZE=18446744073709551615", ParameterFault::kTooLarge},
      {" SIZE=18446744073709551616", ParameterFault::kTooLarge},
      {" SIZE=184467440737095516160", ParameterFault::kBad},
      {" SIZE=-1", ParameterFault::kBad},
      {" SIZE=1x", ParameterFault::kBad},
      {" SIZE=", ParameterFault::kBad},
      {" SIZE", ParameterFault::kBad},
      {" SIZE=1 SIZE=1", ParameterFault::kBad},
      {" BODY=7BIT", ParameterFault::kNone},
      {" Body=8bitmime  SIZE=5", ParameterFault::kNone},
      {" BODY=BINARYMIME", ParameterFault::kBad},
      {" BODY=7BIT BODY=8BITMIME", ParameterFault::kBad},
      {" BODY", ParameterFault::kBad},
      {" SMTPUTF8", ParameterFault::kNone},
      {" smtputf8 SIZE=1", ParameterFault::kNone},
      {" SMTPUTF8=1", ParameterFault::kBad},
      {" SMTPUTF8 SMTPUTF8", ParameterFault::kBad},
      {" RET=HDRS", ParameterFault::kNone},
      {" RET=full", ParameterFault::kNone},
      {" RET=HEADERS", ParameterFault::kBad},
      {" RET", ParameterFault::kBad},
      {" RET=FULL RET=FULL", ParameterFault::kBad},
      {" ENVID=a+2Bb", ParameterFault::kNone},
      {" ENVID", ParameterFault::kBad},
      {" ENVID=a+", ParameterFault::kBad},
      {" ENVID=a ENVID=b", ParameterFault::kBad},
      {" NOTIFY=NEVER", ParameterFault::kUnknown},
      {" AUTH=<>", ParameterFault::kUnknown},
      {" X-Y=1", ParameterFault::kUnknown},
      {" =1", ParameterFault::kBad},
      {" -X=1", ParameterFault::kBad},
      {" X_Y=1", ParameterFault::kBad},
      {" X=", ParameterFault::kBad},
      {" X=1=2", ParameterFault::kBad},
      {" X=\x01", ParameterFault::kBad},
      {" X=\xc3\xbc", ParameterFault::kBad},
      {" SIZE=9999 X=1", ParameterFault::kTooLarge},
      {" X=1 SIZE=9999", ParameterFault::kUnknown},
  };
  for (const Case& test : cases) {
    MailParams params;
    EXPECT_EQ(static_cast<int>(ParseMailParams(test.text, kLimit, params)),
              static_cast<int>(test.fault))
        << test.text;
  }
}

TEST(Extensions, MailParametersArriveAtTheIntake) {
  MailParams params;
  EXPECT_EQ(ParseMailParams(" SIZE=77 BODY=8BITMIME RET=HDRS ENVID=x SMTPUTF8", 1000, params),
            ParameterFault::kNone);
  EXPECT_EQ(params.size_bytes, 77u);
  EXPECT_EQ(params.return_content, ReturnContent::kHeaders);
  EXPECT_EQ(params.envelope_id, "x");
  EXPECT_TRUE(params.smtputf8);
  EXPECT_EQ(params.body, BodyType::k8BitMime);
  MailParams none;
  EXPECT_EQ(ParseMailParams("", 1000, none), ParameterFault::kNone);
  EXPECT_EQ(none.size_bytes, std::nullopt);
  EXPECT_EQ(none.body, BodyType::k7Bit);
  MailParams unlimited;
  EXPECT_EQ(ParseMailParams(" SIZE=18446744073709551615", 0, unlimited), ParameterFault::kNone);
}

TEST(Extensions, RcptParameters) {
  struct Case {
    std::string text;
    bool utf8;
    ParameterFault fault;
    uint8_t notify = 0;
    std::string original_recipient = "";
  };
  const std::vector<Case> cases = {
      {"", false, ParameterFault::kNone},
      {"  ", false, ParameterFault::kNone},
      {" NOTIFY=NEVER", false, ParameterFault::kNone, Notify::kNever},
      {" orcpt=rfc822;a@b  notify=Failure,delay", false, ParameterFault::kNone,
       Notify::kFailure | Notify::kDelay, "rfc822;a@b"},
      {" ORCPT=utf-8;\xc3\xbc@b", true, ParameterFault::kNone, 0, "utf-8;\xc3\xbc@b"},
      {" ORCPT=utf-8;\xc3\xbc@b", false, ParameterFault::kBad},
      {" ORCPT=rfc822;\xc3\xbc@b", true, ParameterFault::kBad},
      {" NOTIFY==", false, ParameterFault::kBad},
      {" NOTIFY", false, ParameterFault::kBad},
      {" NOTIFY=NEVER NOTIFY=NEVER", false, ParameterFault::kBad},
      {" ORCPT", false, ParameterFault::kBad},
      {" ORCPT=rfc822;a ORCPT=rfc822;a", false, ParameterFault::kBad},
      {" SIZE=1", false, ParameterFault::kUnknown},
      {" X=\xc3\xbc", true, ParameterFault::kUnknown},
      {" X=\xc3\xbc", false, ParameterFault::kBad},
  };
  for (const Case& test : cases) {
    SCOPED_TRACE(test.text);
    RcptParams params;
    EXPECT_EQ(static_cast<int>(ParseRcptParams(test.text, test.utf8, params)),
              static_cast<int>(test.fault));
    if (test.fault == ParameterFault::kNone) {
      EXPECT_EQ(params.notify, test.notify);
      EXPECT_EQ(params.original_recipient, test.original_recipient);
    }
  }
}

}  // namespace
}  // namespace backstay
