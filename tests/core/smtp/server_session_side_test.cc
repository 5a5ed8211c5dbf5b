// tests/core/smtp/server_session_side_test.cc -- ETRN and XCLIENT: for whom, and what follows.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/core/smtp/session_fixture.h"

namespace backstay {
namespace {

struct SideCase {
  std::string line;
  std::string reply;
};

TEST(ServerSession, EtrnIsForThoseWithTheRight) {
  Dialogue dialogue;
  dialogue.FeedEach({"EHLO c\r\n", "ETRN our\r\n"});
  dialogue.ExpectOpen("250|502 5.5.1");
  EXPECT_EQ(dialogue.transcript.find("ETRN"), std::string::npos);
  dialogue.intake.rights.etrn = true;
  dialogue.FeedEach({"EHLO c\r\n", "ETRN our\r\n", "ETRN other\r\n"});
  dialogue.ExpectOpen("250|250 2.0.0|459 4.7.1");
  EXPECT_NE(dialogue.transcript.find("\r\n250-ETRN\r\n"), std::string::npos);
  EXPECT_EQ(dialogue.intake.told, "etrn our|etrn other|");
}

TEST(ServerSession, EtrnNamesADomain) {
  const std::vector<SideCase> cases = {
      {"ETRN @our\r\n", "250 2.0.0"},
      {"ETRN our.\r\n", "459 4.7.1"},
      {"ETRN\r\n", "501 5.5.4"},
      {"ETRN @\r\n", "501 5.5.4"},
      {"ETRN our other\r\n", "501 5.5.4"},
      {"ETRN <our>\r\n", "501 5.5.4"},
      {"ETRN [10.0.0.1]\r\n", "501 5.5.4"},
      {"ETRN a@our\r\n", "501 5.5.4"},
      {"ETRN -our\r\n", "501 5.5.4"},
      {"ETRN #our\r\n", "458 4.3.0"},
      {"ETRN \xc3\xbc\r\n", "501 5.5.2"},
  };
  for (const SideCase& test : cases) {
    SCOPED_TRACE(test.line);
    Dialogue dialogue;
    dialogue.intake.rights.etrn = true;
    dialogue.FeedEach({"EHLO c\r\n", test.line});
    dialogue.ExpectOpen("250|" + test.reply);
  }
}

TEST(ServerSession, EtrnStandsOutsideOfTransactions) {
  Dialogue dialogue;
  dialogue.intake.rights.etrn = true;
  dialogue.FeedEach(
      {"ETRN our\r\n", "HELO c\r\n", "MAIL FROM:<a@b>\r\n", "ETRN our\r\n", "RCPT TO:<v@our>\r\n"});
  dialogue.ExpectOpen("503 5.5.1|250|250 2.1.0|503 5.5.1|250 2.1.5");
  EXPECT_EQ(dialogue.intake.calls, "MR");
}

TEST(ServerSession, XclientIsForThoseWithTheRight) {
  Dialogue dialogue;
  dialogue.FeedEach({"EHLO c\r\n", "XCLIENT NAME=x\r\n"});
  dialogue.ExpectOpen("250|550 5.7.0");
  EXPECT_EQ(dialogue.transcript.find("XCLIENT"), std::string::npos);
  dialogue.intake.rights.xclient = true;
  dialogue.FeedEach({"EHLO c\r\n", "XCLIENT NAME=x HELO=y\r\n"});
  dialogue.ExpectOpen("250|220");
  EXPECT_EQ(dialogue.intake.told, "name x helo y|");
}

TEST(ServerSession, XclientBeginsTheSessionAnew) {
  Dialogue dialogue;
  dialogue.intake.rights.xclient = true;
  dialogue.FeedEach({"EHLO c\r\n", "XCLIENT NAME=x\r\n", "MAIL FROM:<a@b>\r\n"});
  dialogue.ExpectOpen("250|220|503 5.5.1");
  EXPECT_TRUE(dialogue.transcript.find("220 mx2.example.net ESMTP") != std::string::npos);
  EXPECT_EQ(dialogue.session.helo(), "");
  dialogue.FeedEach({"XCLIENT NAME=y\r\n", "EHLO d\r\n", "MAIL FROM:<a@b>\r\n",
                     "XCLIENT NAME=z\r\n", "RCPT TO:<v@our>\r\n"});
  dialogue.ExpectOpen("220|250|250 2.1.0|503 5.5.1|250 2.1.5");
  EXPECT_EQ(dialogue.intake.calls, "CCMR");
}

TEST(ServerSession, XclientThatIsWrongChangesNothing) {
  for (const std::string line : {"XCLIENT\r\n", "XCLIENT NAME\r\n", "XCLIENT X=y\r\n",
                                 "XCLIENT NAME=a NAME=b\r\n", "XCLIENT ADDR=1.2.3\r\n"}) {
    SCOPED_TRACE(line);
    Dialogue dialogue;
    dialogue.intake.rights.xclient = true;
    dialogue.FeedEach({"EHLO c\r\n", line, "MAIL FROM:<a@b>\r\n"});
    dialogue.ExpectOpen("250|501 5.5.4|250 2.1.0");
  }
}

TEST(ServerSession, XclientMayBeRefusedForTheClientItNames) {
  Dialogue dialogue;
  dialogue.intake.rights.xclient = true;
  dialogue.FeedEach({"EHLO c\r\n", "XCLIENT NAME=closing\r\n"});
  dialogue.ExpectClosed("250|421 4.7.0");
}

TEST(ServerSession, NobodyTalksBeforeTheGreetingOfXclient) {
  Dialogue dialogue;
  dialogue.intake.rights.xclient = true;
  dialogue.FeedEach({"EHLO c\r\n", "XCLIENT NAME=x\r\nEHLO d\r\n"});
  dialogue.ExpectClosed("250|554 5.5.0");
  EXPECT_EQ(dialogue.intake.calls, "");
}

TEST(ServerSession, EtrnAndXclientAreJunkAfterAHundred) {
  Dialogue dialogue;
  dialogue.intake.rights = {.etrn = true, .xclient = true};
  for (uint32_t count = 0; count < ServerSession::kJunkMax / 2; ++count) {
    dialogue.FeedEach({"XCLIENT NAME=x\r\n", "EHLO c\r\n"});
  }
  dialogue.TakeReplies();
  dialogue.Feed("ETRN our\r\n");
  dialogue.ExpectClosed("421 4.7.0");
}

ServerParams UnderStress() {
  ServerParams params = Dialogue::DefaultParams();
  params.under_stress = true;
  return params;
}

// Reliability row 38.
TEST(ServerSession, UnderStressTheFirstErrorEndsTheConnection) {
  for (const char* error : {"FOO\r\n", "\r\n", "BAR baz\r\n", "MAIL\r\n"}) {
    Dialogue dialogue(UnderStress());
    dialogue.Feed("EHLO c\r\n");
    dialogue.TakeReplies();
    dialogue.Feed(error);
    const std::string replies = dialogue.TakeReplies();
    EXPECT_EQ(replies.substr(replies.find('|')), "|421 4.7.0") << error;
    EXPECT_TRUE(dialogue.session.wants_close()) << error;
  }
}

// Nor is a stale address among others: a list that has one would never get through.
TEST(ServerSession, UnderStressAnUnknownRecipientKeepsNobodyElseOut) {
  Dialogue recipient(UnderStress());
  recipient.FeedEach(
      {"EHLO c\r\n", "MAIL FROM:<a@b>\r\n", "RCPT TO:<refused@our>\r\n", "RCPT TO:<v@our>\r\n"});
  recipient.ExpectOpen("250|250 2.1.0|550 5.1.1|250 2.1.5");
}

TEST(ServerSession, WhatFollowsFromARefusalIsNoErrorUnderStress) {
  Dialogue mail(UnderStress());
  mail.FeedEach({"EHLO c\r\n", "MAIL FROM:<later@b>\r\nRCPT TO:<v@our>\r\nDATA\r\n", "NOOP\r\n"});
  mail.ExpectOpen("250|451 4.3.0|503 5.5.1|503 5.5.1|250 2.0.0");
  Dialogue data(UnderStress());
  data.FeedEach({"EHLO c\r\n", "MAIL FROM:<a@b>\r\nRCPT TO:<later@our>\r\nDATA\r\n", "NOOP\r\n"});
  data.ExpectOpen("250|250 2.1.0|451 4.3.0|554 5.5.1|250 2.0.0");
  for (uint32_t count = 3; count < ServerSession::kErrorsMax; ++count) {
    mail.Feed("RCPT TO:<v@our>\r\n");
  }
  mail.TakeReplies();
  EXPECT_FALSE(mail.session.wants_close());
  mail.Feed("RCPT TO:<v@our>\r\n");
  mail.ExpectClosed("503 5.5.1|421 4.7.0");
}

TEST(ServerSession, StressHoldsForSessionsThatAreThereAndNoLongerThanItLasts) {
  Dialogue dialogue;
  dialogue.FeedEach({"EHLO c\r\n", "FOO\r\n"});
  dialogue.Reload(UnderStress());
  for (uint32_t count = 1; count < ServerSession::kJunkMaxUnderStress; ++count) {
    dialogue.Feed("NOOP\r\n");
  }
  dialogue.TakeReplies();
  dialogue.Reload(Dialogue::DefaultParams());
  dialogue.FeedEach({"FOO\r\n", "NOOP\r\n"});
  dialogue.ExpectOpen("500 5.5.2|250 2.0.0");
  dialogue.Reload(UnderStress());
  dialogue.Feed("NOOP\r\n");
  dialogue.ExpectClosed("421 4.7.0");
}

}  // namespace
}  // namespace backstay
