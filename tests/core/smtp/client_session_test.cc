// tests/core/smtp/client_session_test.cc -- transactions that go as they should.
#include "core/smtp/client_session.h"

#include <gtest/gtest.h>

#include "tests/core/smtp/client_fixture.h"

namespace backstay {
namespace {

using Kind = Outcome::Kind;
using Phase = ClientSession::Phase;
using Failure = ClientSession::Failure;

TEST(ClientSession, GreetsWithEhlo) {
  ClientFixture f;
  EXPECT_EQ(f.Hear(), "");
  EXPECT_EQ(f.session.phase(), Phase::kGreeting);
  EXPECT_EQ(f.Say("220-mx1.example.com\r\n220 ESMTP"), "EHLO mx2.example.net\r\n");
  EXPECT_EQ(f.session.phase(), Phase::kEhlo);
  EXPECT_EQ(f.Say("250-mx1.example.com\r\n250-PIPELINING\r\n250 SIZE 5000"), "");
  EXPECT_EQ(f.session.phase(), Phase::kReady);
  EXPECT_TRUE(f.session.extensions().pipelining);
  EXPECT_EQ(f.session.extensions().size_max, 5000u);
}

TEST(ClientSession, FallsBackToHelo) {
  ClientFixture f;
  f.Say("220 mx1.example.com");
  EXPECT_EQ(f.Say("502 what?"), "HELO mx2.example.net\r\n");
  EXPECT_EQ(f.Say("250-mx1\r\n250 PIPELINING"), "");
  EXPECT_EQ(f.session.phase(), Phase::kReady);
  EXPECT_FALSE(f.session.extensions().pipelining);  // HELO offers nothing, whatever its text
}

TEST(ClientSession, StepByStepWithoutPipelining) {
  ClientFixture f;
  f.Greet({});
  EXPECT_EQ(f.Start(2), "MAIL FROM:<s@example.org>\r\n");
  EXPECT_EQ(f.Say("250 ok"), "RCPT TO:<r0@example.com>\r\n");
  EXPECT_EQ(f.Say("250 ok"), "RCPT TO:<r1@example.com>\r\n");
  EXPECT_EQ(f.Say("250 ok"), "DATA\r\n");
  EXPECT_EQ(f.Say("354 go"), "");
  EXPECT_EQ(f.session.phase(), Phase::kContent);
  f.session.WriteContent(AsBytes("Subject: x\r\n\r\nbody\r\n"));
  f.session.EndContent();
  EXPECT_EQ(f.Hear(), "Subject: x\r\n\r\nbody\r\n.\r\n");
  EXPECT_EQ(f.session.phase(), Phase::kFinal);
  f.Say("250 2.0.0 queued");
  EXPECT_EQ(f.session.phase(), Phase::kReady);
  for (size_t position = 0; position < 2; ++position) {
    EXPECT_EQ(f.outcome(position).kind, Kind::kDelivered);
    EXPECT_EQ(f.outcome(position).phase, Outcome::Phase::kEndOfData);
    EXPECT_EQ(f.outcome(position).code, 250);
    EXPECT_EQ(f.outcome(position).enhanced, "2.0.0");
    EXPECT_EQ(f.outcome(position).text, "queued");
    EXPECT_TRUE(f.outcome(position).own);
  }
}

TEST(ClientSession, AQuestionEndsBehindTheLastRcpt) {
  for (const bool pipelining : {false, true}) {
    ClientFixture question;
    question.Greet({pipelining ? "PIPELINING" : "HELP", "SIZE 5000"});
    question.envelope.AddRecipient().address = "a@example.com";
    question.envelope.AddRecipient().address = "b@example.com";
    question.session.StartQuestion(question.envelope, {0, 1});
    if (pipelining) {
      question.Say("250 ok\r\n250 2.1.5 yes\r\n550 5.1.1 no");
    } else {
      question.Say("250 ok");
      question.Say("250 2.1.5 yes");
      question.Say("550 5.1.1 no");
    }
    EXPECT_TRUE(
        question.wire.ends_with("MAIL FROM:<>\r\nRCPT TO:<a@example.com>\r\n"
                                "RCPT TO:<b@example.com>\r\n"))
        << question.wire;
    ASSERT_EQ(question.session.phase(), Phase::kReady);
    EXPECT_EQ(question.outcome(0).kind, Kind::kDelivered);
    EXPECT_EQ(question.outcome(0).phase, Outcome::Phase::kRcpt);
    EXPECT_EQ(question.outcome(1).kind, Kind::kFailed);
    // The next one begins with RSET, and may be a message.
    question.session.StartTransaction(question.envelope, {0}, 10, false);
    EXPECT_TRUE(question.Hear().starts_with("RSET\r\n"));
  }
}

TEST(ClientSession, ARefusedNullSenderDecidesNoRecipientOfAQuestion) {
  ClientFixture f;
  f.Greet({"PIPELINING"});
  f.envelope.AddRecipient().address = "a@example.com";
  f.session.StartQuestion(f.envelope, {0});
  f.Say("550 5.7.1 no bounces here\r\n503 need MAIL");
  ASSERT_EQ(f.session.phase(), Phase::kReady);
  EXPECT_EQ(f.outcome(0).phase, Outcome::Phase::kMail);
}

TEST(ClientSession, OneWriteWithPipelining) {
  ClientFixture f;
  f.Greet({"PIPELINING"});
  EXPECT_EQ(f.Start(2),
            "MAIL FROM:<s@example.org>\r\nRCPT TO:<r0@example.com>\r\n"
            "RCPT TO:<r1@example.com>\r\nDATA\r\n");
  EXPECT_EQ(f.Say("250 ok\r\n550 5.1.1 unknown\r\n250 ok\r\n354 go"), "");
  EXPECT_EQ(f.session.phase(), Phase::kContent);
  EXPECT_EQ(f.outcome(1).kind, Kind::kDeferred);  // not decided yet
  f.session.EndContent();
  f.Say("250 ok");
  EXPECT_EQ(f.outcome(0).kind, Kind::kFailed);
  EXPECT_EQ(f.outcome(0).phase, Outcome::Phase::kRcpt);
  EXPECT_EQ(f.outcome(0).code, 550);
  EXPECT_EQ(f.outcome(0).enhanced, "5.1.1");
  EXPECT_EQ(f.outcome(0).text, "unknown");
  EXPECT_EQ(f.outcome(1).kind, Kind::kDelivered);
}

TEST(ClientSession, ManyRecipientsGoInGroupsOfAHundred) {
  ClientFixture f;
  f.Greet({"PIPELINING"});
  const std::string first = f.Start(150);
  EXPECT_TRUE(first.ends_with("RCPT TO:<r99@example.com>\r\n"));
  std::string answers = "250 ok";
  for (int rcpt = 0; rcpt < 100; ++rcpt) {
    answers += "\r\n250 ok";
  }
  const std::string second = f.Say(answers);
  EXPECT_TRUE(second.starts_with("RCPT TO:<r100@example.com>\r\n"));
  EXPECT_TRUE(second.ends_with("RCPT TO:<r149@example.com>\r\nDATA\r\n"));
  answers = "354 go";
  for (int rcpt = 0; rcpt < 50; ++rcpt) {
    answers = "250 ok\r\n" + answers;
  }
  f.Say(answers);
  EXPECT_EQ(f.session.phase(), Phase::kContent);
}

TEST(ClientSession, OnlyTheRecipientsAskedForAreSent) {
  ClientFixture f;
  f.Greet({"PIPELINING"});
  f.Start(4);
  f.Say("250 ok\r\n250 ok\r\n250 ok\r\n250 ok\r\n250 ok\r\n354 go");
  f.session.EndContent();
  f.Say("250 ok");
  f.indexes = {3, 1};
  EXPECT_EQ(f.StartAgain(),
            "MAIL FROM:<s@example.org>\r\nRCPT TO:<r3@example.com>\r\n"
            "RCPT TO:<r1@example.com>\r\nDATA\r\n");
  EXPECT_EQ(f.session.outcomes().size(), 2u);
}

TEST(ClientSession, ParametersFollowTheOffer) {
  ClientFixture f;
  f.Greet({"SIZE 0", "8BITMIME"});
  f.envelope.body = BodyType::k8BitMime;
  f.envelope.AddRecipient().address = "r@example.com";
  f.indexes = {0};
  EXPECT_EQ(f.StartAgain(4711), "MAIL FROM:<> SIZE=4711 BODY=8BITMIME\r\n");
}

TEST(ClientSession, NoParameterThatWasNotOffered) {
  ClientFixture f;
  f.Greet({});
  f.envelope.body = BodyType::k8BitMime;
  f.envelope.AddRecipient().address = "r@example.com";
  f.indexes = {0};
  EXPECT_EQ(f.StartAgain(4711), "MAIL FROM:<>\r\n");
}

TEST(ClientSession, SevenBitMailHasNoBodyParameter) {
  ClientFixture f;
  f.Greet({"8BITMIME"});
  EXPECT_EQ(f.Start(1), "MAIL FROM:<s@example.org>\r\n");
}

TEST(ClientSession, TooLargeForThePrimaryFailsUnsent) {
  ClientFixture f;
  f.Greet({"PIPELINING", "SIZE 1000"});
  EXPECT_EQ(f.Start(2, 1001), "");
  EXPECT_EQ(f.session.phase(), Phase::kReady);
  for (size_t position = 0; position < 2; ++position) {
    EXPECT_EQ(f.outcome(position).kind, Kind::kFailed);
    EXPECT_EQ(f.outcome(position).enhanced, "5.3.4");
    EXPECT_EQ(f.outcome(position).code, 0);
    EXPECT_TRUE(f.outcome(position).own);
  }
  EXPECT_NE(f.Start(1, 1000), "");  // exactly the limit goes
}

TEST(ClientSession, WhatNeedsSmtpUtf8FailsUnsent) {
  ClientFixture f;
  f.Greet({"PIPELINING"});
  f.envelope.smtputf8 = true;
  f.envelope.AddRecipient().address = "r@example.com";
  f.indexes = {0};
  EXPECT_EQ(f.StartAgain(), "");
  EXPECT_EQ(f.outcome(0).enhanced, "5.6.7");
  f.envelope.smtputf8 = false;
  f.envelope.reverse_path = "\xc3\xa9@example.org";
  EXPECT_EQ(f.StartAgain(), "");
  EXPECT_EQ(f.outcome(0).enhanced, "5.6.7");
}

TEST(ClientSession, Utf8GoesToAPrimaryThatTakesIt) {
  ClientFixture f;
  f.Greet({"PIPELINING", "SMTPUTF8", "DSN"});
  f.envelope.smtputf8 = true;
  f.envelope.reverse_path = "\xc3\xa9@example.org";
  f.envelope.recipients = {{"\xc3\xa8@example.com", "utf-8;\xc3\xa8@example.com", Notify::kNever}};
  f.indexes = {0};
  EXPECT_EQ(f.StartAgain(),
            "MAIL FROM:<\xc3\xa9@example.org> SMTPUTF8\r\n"
            "RCPT TO:<\xc3\xa8@example.com> NOTIFY=NEVER ORCPT=utf-8;\xc3\xa8@example.com\r\n"
            "DATA\r\n");
}

TEST(ClientSession, AnAddressThatIsNoneFailsAloneAndUnsent) {
  ClientFixture f;
  f.Greet({});
  for (const std::string_view address :
       {"a@b", "x@y>\r\nRSET", "c@d", "\xc3\xa9@f", "no address"}) {
    f.envelope.AddRecipient().address = address;
    f.indexes.push_back(static_cast<uint32_t>(f.indexes.size()));
  }
  f.StartAgain();
  EXPECT_EQ(f.Say("250 ok"), "RCPT TO:<a@b>\r\n");
  EXPECT_EQ(f.Say("250 ok"), "RCPT TO:<c@d>\r\n");
  EXPECT_EQ(f.Say("250 ok"), "DATA\r\n");
  f.Say("354 go");
  f.session.EndContent();
  f.Say("250 ok");
  EXPECT_EQ(f.outcome(0).kind, Kind::kDelivered);
  EXPECT_EQ(f.outcome(1).enhanced, "5.1.3");
  EXPECT_EQ(f.outcome(2).kind, Kind::kDelivered);
  EXPECT_EQ(f.outcome(3).enhanced, "5.6.7");
  EXPECT_EQ(f.outcome(4).kind, Kind::kFailed);
}

TEST(ClientSession, ASenderThatIsNoneFailsTheMessageUnsent) {
  ClientFixture f;
  f.Greet({"PIPELINING"});
  f.envelope.reverse_path = "a@b> SIZE=1\r\nRSET";
  f.envelope.AddRecipient().address = "r@example.com";
  f.indexes = {0};
  EXPECT_EQ(f.StartAgain(), "");
  EXPECT_EQ(f.session.phase(), Phase::kReady);
  EXPECT_EQ(f.outcome(0).kind, Kind::kFailed);
  EXPECT_EQ(f.outcome(0).enhanced, "5.1.7");
}

TEST(ClientSession, ContentIsStuffedOnTheWay) {
  ClientFixture f;
  f.Greet({"PIPELINING"});
  f.Start(1, 100, /*has_dot_lines=*/true);
  f.Say("250 ok\r\n250 ok\r\n354 go");
  f.session.WriteContent(AsBytes(".Header: x\r"));
  f.session.WriteContent(AsBytes("\n.\r\nlast"));
  f.session.EndContent();
  EXPECT_EQ(f.Hear(), "..Header: x\r\n..\r\nlast\r\n.\r\n");
}

TEST(ClientSession, AcceptedTransactionsNeedNoReset) {
  ClientFixture f;
  f.Greet({"PIPELINING"});
  for (const std::string_view last : {"250 ok", "450 later", "550 no"}) {
    EXPECT_EQ(f.Start(1), "MAIL FROM:<s@example.org>\r\nRCPT TO:<r0@example.com>\r\nDATA\r\n");
    f.Say("250 ok\r\n250 ok\r\n354 go");
    f.session.EndContent();
    f.Say(last);
    EXPECT_EQ(f.session.phase(), Phase::kReady);
  }
  EXPECT_EQ(f.outcome(0).kind, Kind::kFailed);
}

TEST(ClientSession, IsExhaustedByTheMailsThatThePrimaryAllows) {
  ClientFixture f;
  f.Greet({"PIPELINING", "LIMITS MAILMAX=2"});
  EXPECT_FALSE(f.session.exhausted());
  f.Start(1);
  f.Say("550 no\r\n503 no\r\n503 no");
  EXPECT_EQ(f.session.phase(), Phase::kReady);
  EXPECT_FALSE(f.session.exhausted());
  f.Start(1);
  EXPECT_TRUE(f.session.exhausted());
}

TEST(ClientSession, QuitEndsWithoutBlame) {
  ClientFixture f;
  f.Greet({});
  f.session.Quit();
  EXPECT_EQ(f.Hear(), "QUIT\r\n");
  EXPECT_EQ(f.session.phase(), Phase::kQuit);
  f.Say("221 bye");
  EXPECT_EQ(f.session.phase(), Phase::kFailed);
  EXPECT_EQ(f.session.failure(), Failure::kNone);
}

TEST(ClientSession, QuitDoesNotCareHowItIsAnswered) {
  for (const std::string_view answer : {"500 what?\r\n", "nonsense\r\n", ""}) {
    ClientFixture f;
    f.Greet({});
    f.session.Quit();
    f.SayRaw(answer);
    f.session.ConnectionLost();
    EXPECT_EQ(f.session.phase(), Phase::kFailed);
    EXPECT_EQ(f.session.failure(), Failure::kNone) << answer;
  }
}

}  // namespace
}  // namespace backstay
