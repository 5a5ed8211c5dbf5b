// tests/core/smtp/server_session_test.cc -- dialogues: what a client says, what it hears.
#include "core/smtp/server_session.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/base/mark.h"
#include "tests/core/smtp/session_fixture.h"

namespace backstay {
namespace {

TEST(ServerSession, TakesAMessage) {
  Dialogue dialogue;
  dialogue.session.Greet();
  dialogue.Collect();
  EXPECT_EQ(dialogue.transcript, "220 mx2.example.net ESMTP backstay\r\n");
  dialogue.ExpectOpen("220");
  dialogue.FeedEach({"EHLO client.example\r\n", "MAIL FROM:<a@b> SIZE=10 BODY=8BITMIME\r\n",
                     "RCPT TO:<v@our>\r\n", "DATA\r\n"});
  dialogue.ExpectOpen("250|250 2.1.0|250 2.1.5|354");
  EXPECT_TRUE(dialogue.session.in_data());
  dialogue.Feed("Subject: x\r\n\r\n..dot\r\n.\r\n");
  dialogue.ExpectOpen("250 2.0.0");
  dialogue.Feed("QUIT\r\n");
  dialogue.ExpectClosed("221 2.0.0");
  EXPECT_EQ(dialogue.intake.calls, "MRDE");
  EXPECT_EQ(dialogue.intake.messages, std::vector<std::string>{"Subject: x\r\n\r\n.dot\r\n"});
  EXPECT_TRUE(dialogue.intake.has_dot_lines);
  EXPECT_EQ(dialogue.intake.size_bytes, 10u);
  EXPECT_EQ(dialogue.intake.body, BodyType::k8BitMime);
  EXPECT_TRUE(dialogue.session.extended());
  EXPECT_EQ(dialogue.session.helo(), "client.example");
}

TEST(ServerSession, NothingIsConsumedWhileAnEndOfDataIsUnanswered) {
  Dialogue dialogue;
  dialogue.StartData();
  const std::string_view pipelined = "x\r\n.\r\nMAIL FROM:<c@d>\r\n";
  EXPECT_EQ(dialogue.session.Consume(AsBytes(pipelined)), 6u);
  EXPECT_TRUE(dialogue.session.awaiting_finish());
  EXPECT_EQ(dialogue.session.Consume(AsBytes(pipelined.substr(6))), 0u);
  EXPECT_EQ(dialogue.session.output(), "");
  dialogue.session.FinishData(Reply{250, "2.0.0", "Ok: queued as X"});
  EXPECT_EQ(dialogue.session.output(), "250 2.0.0 Ok: queued as X\r\n");
  EXPECT_FALSE(dialogue.session.in_transaction());
  dialogue.Feed(pipelined.substr(6));
  dialogue.ExpectOpen("250 2.0.0|250 2.1.0");
}

TEST(ServerSession, OrderOfCommandsIsHeld) {
  struct Case {
    std::vector<std::string> lines;
    std::string replies;
  };
  const std::vector<Case> cases = {
      {{"MAIL FROM:<a@b>\r\n"}, "503 5.5.1"},
      {{"RCPT TO:<v@our>\r\n"}, "503 5.5.1"},
      {{"DATA\r\n"}, "503 5.5.1"},
      {{"HELO c\r\n", "RCPT TO:<v@our>\r\n"}, "250|503 5.5.1"},
      {{"HELO c\r\n", "DATA\r\n"}, "250|503 5.5.1"},
      {{"EHLO c\r\n", "MAIL FROM:<>\r\n", "MAIL FROM:<>\r\n"}, "250|250 2.1.0|503 5.5.1"},
      {{"EHLO c\r\n", "MAIL FROM:<>\r\n", "DATA\r\n"}, "250|250 2.1.0|554 5.5.1"},
      {{"EHLO c\r\n", "MAIL FROM:<>\r\n", "RCPT TO:<refused@our>\r\n", "DATA\r\n"},
       "250|250 2.1.0|550 5.1.1|554 5.5.1"},
      {{"EHLO c\r\n", "MAIL FROM:<>\r\n", "EHLO d\r\n", "RCPT TO:<v@our>\r\n"},
       "250|250 2.1.0|250|503 5.5.1"},
      {{"EHLO c\r\n", "MAIL FROM:<>\r\n", "EHLO\r\n", "RCPT TO:<v@our>\r\n"},
       "250|250 2.1.0|501 5.5.4|250 2.1.5"},
      {{"EHLO c\r\n", "MAIL FROM:<>\r\n", "RSET\r\n", "RCPT TO:<v@our>\r\n"},
       "250|250 2.1.0|250 2.0.0|503 5.5.1"},
      {{"EHLO c\r\n", "MAIL FROM:<refused@b>\r\n", "RCPT TO:<v@our>\r\n"},
       "250|550 5.1.1|503 5.5.1"},
      {{"EHLO c\r\n", "MAIL FROM:<>\r\n", "RCPT TO:<nodata@our>\r\n", "DATA\r\n",
        "RCPT TO:<v@our>\r\n"},
       "250|250 2.1.0|250 2.1.5|452 4.3.1|503 5.5.1"},
      {{"EHLO c\r\n", "MAIL FROM:<>\r\n", "RCPT TO:<v@our>\r\n", "DATA x\r\n", "DATA\r\n", ".\r\n",
        "RCPT TO:<v@our>\r\n"},
       "250|250 2.1.0|250 2.1.5|501 5.5.4|354|250 2.0.0|503 5.5.1"},
  };
  for (const Case& test : cases) {
    SCOPED_TRACE(test.replies);
    Dialogue dialogue;
    dialogue.FeedEach(test.lines);
    dialogue.ExpectOpen(test.replies);
  }
}

TEST(ServerSession, ArgumentsAreJudged) {
  struct Case {
    std::string line;
    std::string reply;
  };
  const std::vector<Case> cases = {
      {"EHLO\r\n", "501 5.5.4"},
      {"HELO a b\r\n", "501 5.5.4"},
      {"HELO (a)\r\n", "501 5.5.4"},
      {"EHLO <a>\r\n", "501 5.5.4"},
      {"EHLO a\x01\r\n", "501 5.5.4"},
      {"EHLO \xc3\xbc\r\n", "501 5.5.2"},
      {"EHLO " + std::string(256, 'a') + "\r\n", "501 5.5.4"},
      {"EHLO " + std::string(255, 'a') + "\r\n", "250"},
      {"EHLO [192.0.2.1]\r\n", "250"},
      {"EHLO [IPv6:2001:db8::1]\r\n", "250"},
      {"EHLO under_score\r\n", "250"},
      {"EHLO localhost.\r\n", "250"},
      {"MAIL\r\n", "501 5.5.4"},
      {"MAIL FROM\r\n", "501 5.5.4"},
      {"MAIL TO:<a@b>\r\n", "501 5.5.4"},
      {"MAIL FROM:\r\n", "501 5.1.7"},
      {"MAIL FROM:a@b\r\n", "501 5.1.7"},
      {"MAIL FROM:<a@b>x\r\n", "501 5.1.7"},
      {"MAIL FROM:<a@b\r\n", "501 5.1.7"},
      {"MAIL \xc3\xbc\r\n", "501 5.5.2"},
      {"mail from: <a@b>\r\n", "250 2.1.0"},
      {"RSET x\r\n", "501 5.5.4"},
      {"NOOP x\r\n", "250 2.0.0"},
      {"NOOP \xc3\xbc\r\n", "250 2.0.0"},
      {"VRFY\r\n", "501 5.5.4"},
      {"VRFY root\r\n", "252 2.5.0"},
      {"EXPN list\r\n", "502 5.5.1"},
      {"HELP\r\n", "214 2.0.0"},
      {"HELP \xfc\r\n", "214 2.0.0"},
      {"QUIT now\r\n", "501 5.5.4"},
      {"AUTH PLAIN\r\n", "502 5.5.1"},
      {"STARTTLS\r\n", "502 5.5.1"},
      {"XCLIENT NAME=x\r\n", "550 5.7.0"},
      {"XFORWARD NAME=x\r\n", "502 5.5.1"},
      {"ETRN x\r\n", "502 5.5.1"},
      {"TURN\r\n", "502 5.5.1"},
      {"SAML FROM:<a@b>\r\n", "502 5.5.1"},
      {"FOO\r\n", "500 5.5.2"},
      {"\r\n", "500 5.5.2"},
      {"  \r\n", "500 5.5.2"},
      {"\xfc\r\n", "501 5.5.2"},
      {"NO\rOP\r\n", "500 5.5.2"},
      {std::string("NOOP\0\r\n", 7), "500 5.5.2"},
  };
  for (const Case& test : cases) {
    SCOPED_TRACE(test.line);
    Dialogue dialogue;
    dialogue.Feed("EHLO c\r\n");
    dialogue.TakeReplies();
    dialogue.Feed(test.line);
    dialogue.ExpectOpen(test.reply);
  }
}

TEST(ServerSession, RecipientsAreJudged) {
  struct Case {
    std::string line;
    std::string reply;
  };
  const std::vector<Case> cases = {
      {"RCPT\r\n", "501 5.5.4"},
      {"RCPT FROM:<v@our>\r\n", "501 5.5.4"},
      {"RCPT TO:v@our\r\n", "501 5.1.3"},
      {"RCPT TO:<v@our> <w@our>\r\n", "501 5.5.4"},
      {"RCPT TO:<v@our>,<w@our>\r\n", "501 5.1.3"},
      {"RCPT TO:<>\r\n", "501 5.1.3"},
      {"RCPT TO:<v%other@our>\r\n", "550 5.7.1"},
      {"RCPT TO:<\"v@other\"@our>\r\n", "550 5.7.1"},
      {"RCPT TO:<\xc3\xbc@our>\r\n", "553 5.6.7"},
      {"RCPT TO:<later@our>\r\n", "451 4.3.0"},
      {"RCPT TO:<refused@our>\r\n", "550 5.1.1"},
      {"rcpt to: <@x:v@our> \r\n", "250 2.1.5"},
      {"RCPT TO:<Postmaster>\r\n", "250 2.1.5"},
  };
  for (const Case& test : cases) {
    SCOPED_TRACE(test.line);
    Dialogue dialogue;
    dialogue.FeedEach({"EHLO c\r\n", "MAIL FROM:<a@b>\r\n"});
    dialogue.TakeReplies();
    dialogue.Feed(test.line);
    dialogue.ExpectOpen(test.reply);
  }
}

TEST(ServerSession, AddressesReachTheIntakeByteForByte) {
  Dialogue dialogue;
  dialogue.FeedEach({"EHLO c\r\n", "MAIL FROM:<@x:\"A b\"@B.>\r\n",
                     "RCPT TO:<@x:\"V\\\" w\"@OUR.>\r\n", "RCPT TO:<postMaster>\r\n",
                     "RCPT TO:<postMaster>\r\n"});
  EXPECT_EQ(dialogue.intake.last_reverse_path, "\"A b\"@B.");
  EXPECT_EQ(dialogue.intake.recipients,
            (std::vector<std::string>{"\"V\\\" w\"@OUR.", "postMaster", "postMaster"}));
}

TEST(ServerSession, LegalPipeliningIsServedInOrder) {
  Dialogue dialogue;
  dialogue.Feed("EHLO c\r\n");
  dialogue.Feed("MAIL FROM:<a@b>\r\nRCPT TO:<v@our>\r\nRCPT TO:<refused@our>\r\nDATA\r\n");
  dialogue.ExpectOpen("250|250 2.1.0|250 2.1.5|550 5.1.1|354");
  dialogue.Feed("one\r\n.\r\nMAIL FROM:<a@b>\r\nRCPT TO:<v@our>\r\nDATA\r\n");
  dialogue.ExpectOpen("250 2.0.0|250 2.1.0|250 2.1.5|354");
  dialogue.Feed("two\r\n.\r\nQUIT\r\n");
  dialogue.ExpectClosed("250 2.0.0|221 2.0.0");
  EXPECT_EQ(dialogue.intake.messages, (std::vector<std::string>{"one\r\n", "two\r\n"}));
}

TEST(ServerSession, TextWaitingBehindDataEndsTheConnection) {
  const uint64_t marks = MarkCount("text waiting behind DATA");
  Dialogue dialogue;
  dialogue.Feed("EHLO c\r\n");
  dialogue.Feed("MAIL FROM:<a@b>\r\nRCPT TO:<v@our>\r\nDATA\r\nSubject: x\r\n\r\n.\r\nQUIT\r\n");
  dialogue.ExpectClosed("250|250 2.1.0|250 2.1.5|554 5.5.0");
  EXPECT_EQ(dialogue.intake.calls, "MRX");
  EXPECT_EQ(MarkCount("text waiting behind DATA"), marks + 1);
  // Also when DATA itself would be refused: the text behind it must not be read as commands.
  Dialogue refused;
  refused.Feed("EHLO c\r\n");
  refused.Feed("DATA\r\nMAIL FROM:<a@b>\r\n");
  refused.ExpectClosed("250|554 5.5.0");
  EXPECT_EQ(refused.intake.calls, "");
}

TEST(ServerSession, PipeliningAfterHeloEndsTheConnection) {
  const uint64_t marks = MarkCount("pipelining without EHLO");
  Dialogue at_once;
  at_once.Feed("HELO c\r\nMAIL FROM:<a@b>\r\n");
  at_once.ExpectClosed("250|554 5.5.0");
  Dialogue later;
  later.Feed("HELO c\r\n");
  later.Feed("MAIL FROM:<a@b>\r\nRCPT TO:<v@our>\r\n");
  later.ExpectClosed("250|250 2.1.0|554 5.5.0");
  EXPECT_EQ(later.intake.calls, "MX");
  EXPECT_EQ(MarkCount("pipelining without EHLO"), marks + 2);
  Dialogue behind_data;
  behind_data.FeedEach({"HELO c\r\n", "MAIL FROM:<a@b>\r\n", "RCPT TO:<v@our>\r\n", "DATA\r\n"});
  behind_data.TakeReplies();
  behind_data.Feed("x\r\n.\r\nQUIT\r\n");
  behind_data.ExpectClosed("250 2.0.0|554 5.5.0");
  EXPECT_EQ(behind_data.intake.calls, "MRDE");
  Dialogue extended_again;
  extended_again.FeedEach({"HELO c\r\n", "EHLO c\r\n"});
  extended_again.Feed("NOOP\r\nNOOP\r\n");
  extended_again.ExpectOpen("250|250|250 2.0.0|250 2.0.0");
}

TEST(ServerSession, ForeignProtocolsAreTurnedAway) {
  for (const std::string text : {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "POST / HTTP/1.0\r\n",
                                 "SSH-2.0-x\n", "Subject: x\r\n", "\x16\x03\x01\x02"}) {
    SCOPED_TRACE(text);
    Dialogue dialogue;
    dialogue.Feed(text);
    dialogue.ExpectClosed("554 5.5.0");
  }
}

TEST(ServerSession, BareNewlineEndsTheConnection) {
  Dialogue dialogue;
  dialogue.Feed("EHLO c\r\n");
  dialogue.Feed("MAIL FROM:<a@b>\r\nNOOP\nRCPT TO:<v@our>\r\n");
  dialogue.ExpectClosed("250|250 2.1.0|521 5.5.2");
  EXPECT_EQ(dialogue.intake.calls, "MX");
}

TEST(ServerSession, BdatEndsTheConnection) {
  Dialogue dialogue;
  dialogue.Feed("EHLO c\r\n");
  dialogue.Feed("BDAT 14 LAST\r\nMAIL FROM:<>\r\n");
  dialogue.ExpectClosed("250|502 5.5.1");
  EXPECT_EQ(dialogue.intake.calls, "");
}

TEST(ServerSession, EarlyTalkerIsTurnedAway) {
  Dialogue dialogue;
  dialogue.session.TalkedTooEarly();
  dialogue.Feed("EHLO c\r\nMAIL FROM:<a@b>\r\n");
  dialogue.ExpectClosed("554 5.5.0");
}

TEST(ServerSession, RefusalAtConnectClosesAndIgnoresTheRest) {
  Dialogue dialogue;
  dialogue.session.GreetWith(replies::kTooManyConnections);
  dialogue.Feed("EHLO c\r\n");
  dialogue.ExpectClosed("421 4.7.0");
}

TEST(ServerSession, CommandLinesHaveALimit) {
  const auto noop = [](size_t bytes) { return "NOOP " + std::string(bytes - 7, 'x') + "\r\n"; };
  Dialogue dialogue;
  for (const size_t bytes : {512u, 513u, 2048u, 4096u}) {
    dialogue.Feed(noop(bytes));
    dialogue.ExpectOpen("250 2.0.0");
  }
  dialogue.Feed(noop(4097));
  dialogue.ExpectOpen("500 5.5.2");
  dialogue.Feed(noop(8192));
  dialogue.ExpectOpen("500 5.5.2");
  dialogue.Feed(noop(8193));
  dialogue.ExpectClosed("500 5.5.2");
}

TEST(ServerSession, LineWithoutEndClosesAtEightKibibytes) {
  Dialogue dialogue;
  dialogue.Feed(std::string(8191, 'x'));
  dialogue.ExpectOpen("");
  dialogue.Feed("x");
  dialogue.ExpectClosed("500 5.5.2");
}

TEST(ServerSession, TwentyErrorsEndTheConnection) {
  Dialogue dialogue;
  for (unsigned i = 0; i < 19; ++i) {
    dialogue.Feed("FOO\r\n");
    dialogue.ExpectOpen("500 5.5.2");
    EXPECT_EQ(dialogue.pauses, i < 10 ? 0U : i - 9U) << i;
  }
  dialogue.Feed("FOO\r\n");
  dialogue.ExpectClosed("500 5.5.2|421 4.7.0");
}

TEST(ServerSession, HarvestingEndsTheConnectionAndTemporaryRefusalsDoNot) {
  Dialogue dialogue;
  dialogue.FeedEach({"EHLO c\r\n", "MAIL FROM:<a@b>\r\n"});
  dialogue.TakeReplies();
  for (int i = 0; i < 50; ++i) {
    dialogue.Feed("RCPT TO:<later@our>\r\n");
    dialogue.ExpectOpen("451 4.3.0");
  }
  for (int i = 0; i < 20; ++i) {
    dialogue.Feed("RCPT TO:<refused@our>\r\n");
  }
  EXPECT_TRUE(dialogue.session.wants_close());
  EXPECT_EQ(dialogue.intake.calls.back(), 'X');
}

TEST(ServerSession, AMessageForgivesErrorsAndJunk) {
  Dialogue dialogue;
  for (int round = 0; round < 4; ++round) {
    dialogue.StartData();
    dialogue.Feed(".\r\n");
    for (int i = 0; i < 19; ++i) {
      dialogue.Feed("FOO\r\n");
    }
    for (int i = 0; i < 99; ++i) {
      dialogue.Feed("NOOP\r\n");
    }
    EXPECT_FALSE(dialogue.session.wants_close());
    dialogue.TakeReplies();
  }
}

TEST(ServerSession, ARefusedMessageDoesNotForgive) {
  Dialogue dialogue;
  dialogue.finish_reply = replies::kCommitFailed;
  for (int i = 0; i < 99; ++i) {
    dialogue.Feed("NOOP\r\n");
  }
  dialogue.TakeReplies();
  dialogue.StartData();
  dialogue.Feed(".\r\n");
  dialogue.ExpectOpen("451 4.3.0");
  dialogue.Feed("NOOP\r\n");
  dialogue.ExpectClosed("421 4.7.0");
}

TEST(ServerSession, AHundredJunkCommandsAreServedAndNoMore) {
  for (const std::string line : {"NOOP\r\n", "RSET\r\n", "VRFY x\r\n", "HELP\r\n", "EHLO c\r\n"}) {
    Dialogue dialogue;
    for (int i = 0; i < 100; ++i) {
      dialogue.Feed(line);
    }
    EXPECT_FALSE(dialogue.session.wants_close());
    dialogue.TakeReplies();
    dialogue.Feed(line);
    dialogue.ExpectClosed("421 4.7.0");
  }
}

TEST(ServerSession, ConsumingStopsWhenRepliesAreNotRead) {
  ServerParams params = Dialogue::DefaultParams();
  params.recipients_max = 1000000;
  Dialogue dialogue(params);
  dialogue.FeedEach({"EHLO c\r\n", "MAIL FROM:<a@b>\r\n"});
  dialogue.TakeReplies();
  std::string flood;
  for (int i = 0; i < 10000; ++i) {
    flood += "RCPT TO:<v@our>\r\n";
  }
  const size_t taken = dialogue.session.Consume(AsBytes(flood));
  EXPECT_LT(taken, flood.size());
  EXPECT_GE(dialogue.session.output().size(), ServerSession::kOutputBytesMax);
  EXPECT_LT(dialogue.session.output().size(), ServerSession::kOutputBytesMax + 100);
  EXPECT_EQ(dialogue.session.Consume(AsBytes(flood).subspan(taken)), 0u);
  dialogue.session.DropOutput(1000);
  EXPECT_GT(dialogue.session.Consume(AsBytes(flood).subspan(taken)), 0u);
}

TEST(ServerSession, RecipientsBeyondTheLimitAreDeferredAndTheFirstKept) {
  Dialogue dialogue;
  dialogue.FeedEach({"EHLO c\r\n", "MAIL FROM:<a@b>\r\n"});
  for (int i = 0; i < 4; ++i) {
    dialogue.Feed("RCPT TO:<v@our>\r\n");
  }
  dialogue.ExpectOpen("250|250 2.1.0|250 2.1.5|250 2.1.5|250 2.1.5|452 4.5.3");
  dialogue.FeedEach({"DATA\r\n", ".\r\n"});
  dialogue.ExpectOpen("354|250 2.0.0");
  EXPECT_EQ(dialogue.intake.recipients.size(), 3u);
}

TEST(ServerSession, RecipientsFarBeyondTheLimitEndTheConnection) {
  Dialogue dialogue;
  dialogue.FeedEach({"EHLO c\r\n", "MAIL FROM:<a@b>\r\n"});
  int accepted = 0;
  while (!dialogue.session.wants_close() && accepted < 100000) {
    dialogue.Feed("RCPT TO:<v@our>\r\n");
    ++accepted;
  }
  EXPECT_EQ(accepted, 3 + 1000 + 20);
}

TEST(ServerSession, VerdictsThatCloseCloseAndResetTheTransaction) {
  Dialogue mail;
  mail.FeedEach({"EHLO c\r\n", "MAIL FROM:<closing@b>\r\n"});
  mail.ExpectClosed("250|421 4.3.2");
  EXPECT_EQ(mail.intake.calls, "M");
  Dialogue rcpt;
  rcpt.FeedEach({"EHLO c\r\n", "MAIL FROM:<a@b>\r\n", "RCPT TO:<closing@our>\r\n"});
  rcpt.ExpectClosed("250|250 2.1.0|421 4.3.2");
  EXPECT_EQ(rcpt.intake.calls, "MRX");
  Dialogue data;
  data.StartData();
  data.finish_reply = replies::kServerFull;
  data.Feed(".\r\nNOOP\r\n");
  data.ExpectClosed("421 4.3.2");
  EXPECT_EQ(data.intake.calls, "MRDE");
}

TEST(ServerSession, DuplicateRecipientsArePassedOn) {
  Dialogue dialogue;
  dialogue.FeedEach(
      {"EHLO c\r\n", "MAIL FROM:<a@b>\r\n", "RCPT TO:<v@our>\r\n", "RCPT TO:<v@our>\r\n"});
  dialogue.ExpectOpen("250|250 2.1.0|250 2.1.5|250 2.1.5");
  EXPECT_EQ(dialogue.intake.calls, "MRR");
}

TEST(ServerSession, TimeOutAndShutDownCloseAtOnceOutsideAnAnswer) {
  Dialogue idle;
  idle.session.TimedOut();
  idle.Collect();
  idle.ExpectClosed("421 4.4.2");
  idle.session.ShutDown();
  idle.Collect();
  idle.ExpectClosed("");
  Dialogue data;
  data.StartData();
  data.Feed("half a mess");
  data.session.ShutDown();
  data.Collect();
  data.ExpectClosed("421 4.3.2");
  EXPECT_EQ(data.intake.calls, "MRDX");
}

TEST(ServerSession, TheMessageIsAnsweredBeforeShuttingDown) {
  Dialogue dialogue;
  dialogue.finishes = false;
  dialogue.StartData();
  dialogue.Feed("x\r\n.\r\n");
  dialogue.session.ShutDown();
  dialogue.Collect();
  dialogue.ExpectOpen("");
  dialogue.session.FinishData(replies::kOk);
  dialogue.Collect();
  dialogue.ExpectClosed("250 2.0.0|421 4.3.2");
}

}  // namespace
}  // namespace backstay
