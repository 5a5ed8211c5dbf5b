// tests/core/smtp/server_session_tls_test.cc -- STARTTLS: when it is offered, refused and obeyed.
#include <gtest/gtest.h>

#include "core/smtp/server_session.h"
#include "tests/core/smtp/session_fixture.h"

namespace backstay {
namespace {

ServerParams WithTls() {
  ServerParams params = Dialogue::DefaultParams();
  params.starttls = true;
  return params;
}

bool Offered(Dialogue& dialogue) {
  dialogue.transcript.clear();
  dialogue.Feed("EHLO client.example\r\n");
  dialogue.Expect("250");
  return dialogue.transcript.find("250-STARTTLS\r\n") != std::string::npos;
}

void Secure(Dialogue& dialogue) {
  dialogue.FeedEach({"EHLO client.example\r\n", "STARTTLS\r\n"});
  dialogue.ExpectOpen("250|220 2.0.0");
  ASSERT_TRUE(dialogue.session.wants_tls());
  dialogue.session.StartedTls();
}

TEST(StartTls, IsOfferedUntilItIsActive) {
  Dialogue plain;
  EXPECT_FALSE(Offered(plain));
  Dialogue dialogue(WithTls());
  EXPECT_TRUE(Offered(dialogue));
  EXPECT_TRUE(Offered(dialogue));
  Secure(dialogue);
  EXPECT_FALSE(Offered(dialogue));
}

TEST(StartTls, IsRefusedWhereItCannotBe) {
  Dialogue plain;
  plain.FeedEach({"EHLO c\r\n", "STARTTLS\r\n"});
  plain.ExpectOpen("250|502 5.5.1");
  Dialogue dialogue(WithTls());
  dialogue.Feed("STARTTLS\r\n");
  dialogue.ExpectOpen("503 5.5.1");
  dialogue.FeedEach({"HELO c\r\n", "STARTTLS\r\n"});
  dialogue.ExpectOpen("250|503 5.5.1");
  dialogue.FeedEach({"EHLO c\r\n", "STARTTLS now\r\n"});
  dialogue.ExpectOpen("250|501 5.5.4");
  dialogue.FeedEach({"MAIL FROM:<a@b>\r\n", "STARTTLS\r\n", "RCPT TO:<v@our>\r\n", "STARTTLS\r\n"});
  dialogue.ExpectOpen("250 2.1.0|503 5.5.1|250 2.1.5|503 5.5.1");
  EXPECT_FALSE(dialogue.session.wants_tls());
  dialogue.Feed("RSET\r\n");
  dialogue.Expect("250 2.0.0");
  Secure(dialogue);
  dialogue.FeedEach({"EHLO c\r\n", "STARTTLS\r\n"});
  dialogue.ExpectOpen("250|503 5.5.1");
}

TEST(StartTls, ForgetsWhatWasSaidInClear) {
  Dialogue dialogue(WithTls());
  Secure(dialogue);
  EXPECT_TRUE(dialogue.session.secure());
  EXPECT_FALSE(dialogue.session.wants_tls());
  EXPECT_FALSE(dialogue.session.extended());
  EXPECT_EQ(dialogue.session.helo(), "");
  dialogue.Feed("MAIL FROM:<a@b>\r\n");
  dialogue.ExpectOpen("503 5.5.1");
  dialogue.StartData();
  dialogue.Feed("text\r\n.\r\n");
  dialogue.ExpectOpen("250 2.0.0");
  EXPECT_EQ(dialogue.intake.calls, "MRDE");
}

TEST(StartTls, ForgivesNoErrors) {
  Dialogue dialogue(WithTls());
  for (uint32_t count = 1; count < ServerSession::kErrorsMax; ++count) {
    dialogue.Feed("FOO\r\n");
  }
  dialogue.TakeReplies();
  Secure(dialogue);
  dialogue.Feed("FOO\r\n");
  dialogue.ExpectClosed("500 5.5.2|421 4.7.0");
}

TEST(StartTls, TextWaitingBehindItEndsTheConnection) {
  for (const char* command : {"STARTTLS\r\n", "STARTTLS now\r\n", "starttls\r\n"}) {
    for (const char* waiting : {"M", "EHLO c\r\nMAIL FROM:<a@b>\r\n", "\x16\x03\x01", "\r\n"}) {
      Dialogue dialogue(WithTls());
      dialogue.Feed("EHLO c\r\n");
      dialogue.Feed(std::string(command) + waiting);
      dialogue.ExpectClosed("250|554 5.5.0");
      EXPECT_FALSE(dialogue.session.wants_tls());
      EXPECT_EQ(dialogue.intake.calls, "");
    }
  }
}

// The 220 waits in the output, because the client has not read what was said before.
TEST(StartTls, TextBeforeThe220HasLeftEndsTheConnection) {
  Dialogue dialogue(WithTls());
  dialogue.Feed("EHLO c\r\n");
  ASSERT_EQ(dialogue.session.Consume(AsBytes("STARTTLS\r\n")), 10u);
  ASSERT_TRUE(dialogue.session.wants_tls());
  EXPECT_FALSE(dialogue.session.in_transaction());
  dialogue.Feed("MAIL FROM:<a@b>\r\n");
  dialogue.ExpectClosed("250|220 2.0.0|554 5.5.0");
  EXPECT_FALSE(dialogue.session.wants_tls());
}

TEST(StartTls, IsCommandsLikeAnyWhenItIsNotOffered) {
  Dialogue dialogue;
  dialogue.Feed("EHLO c\r\nSTARTTLS\r\nNOOP\r\n");
  dialogue.ExpectOpen("250|502 5.5.1|250 2.0.0");
}

}  // namespace
}  // namespace backstay
