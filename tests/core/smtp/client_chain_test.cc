// tests/core/smtp/client_chain_test.cc -- the next transaction's commands behind an end of data.
#include <gtest/gtest.h>

#include "core/smtp/client_session.h"
#include "tests/core/smtp/client_fixture.h"

namespace backstay {
namespace {

using Kind = Outcome::Kind;
using Phase = ClientSession::Phase;
using Failure = ClientSession::Failure;

class ClientChain : public testing::Test, protected ClientFixture {
 protected:
  ClientChain() {
    next_.reverse_path = "next@example.org";
    next_.AddRecipient().address = "n0@example.com";
    next_.AddRecipient().address = "n1@example.com";
  }
  // One message to `recipients`, up to where its end of data has not left yet.
  void SendContent(size_t recipients = 1) {
    Start(recipients);
    std::string replies = "250 ok";
    for (size_t rcpt = 0; rcpt < recipients; ++rcpt) {
      replies += "\r\n250 ok";
    }
    Say(replies + "\r\n354 go");
    ASSERT_EQ(session.phase(), Phase::kContent);
    session.WriteContent(AsBytes("first\r\n"));
    session.EndContent();
    ASSERT_EQ(session.phase(), Phase::kFinal);
  }
  bool Chain(uint64_t content_bytes = 10) {
    return session.Chain(next_, {0, 1}, content_bytes, /*has_dot_lines=*/false);
  }
  // The same on a connection of its own, whose content is empty.
  void ChainOn(ClientFixture& other) {
    other.Greet({"PIPELINING"});
    other.Start(1);
    other.Say("250 ok\r\n250 ok\r\n354 go");
    other.session.EndContent();
    ASSERT_TRUE(other.session.Chain(next_, {0, 1}, 10, false));
  }
  const Outcome& before() const { return session.outcomes_before().at(0); }

  static constexpr std::string_view kCommands =
      "MAIL FROM:<next@example.org>\r\nRCPT TO:<n0@example.com>\r\n"
      "RCPT TO:<n1@example.com>\r\nDATA\r\n";
  Envelope next_;
};

TEST_F(ClientChain, ContentItsEndAndTheNextCommandsAreOnePiece) {
  Greet({"PIPELINING"});
  SendContent();
  ASSERT_TRUE(Chain());
  EXPECT_EQ(Hear(), "first\r\n.\r\n" + std::string(kCommands));
  EXPECT_EQ(session.phase(), Phase::kFinal);
  EXPECT_TRUE(session.chained());
  Say("250 2.0.0 taken\r\n250 ok\r\n250 ok\r\n550 5.1.1 unknown\r\n354 go");
  ASSERT_EQ(session.phase(), Phase::kContent);
  EXPECT_FALSE(session.chained());
  EXPECT_EQ(before().kind, Kind::kDelivered);
  EXPECT_EQ(before().phase, Outcome::Phase::kEndOfData);
  EXPECT_EQ(before().text, "taken");
  EXPECT_EQ(outcome(1).kind, Kind::kFailed);
  session.WriteContent(AsBytes("second\r\n"));
  session.EndContent();
  EXPECT_EQ(Hear(), "second\r\n.\r\n");
  Say("250 2.0.0 as well");
  EXPECT_EQ(session.phase(), Phase::kReady);
  EXPECT_EQ(outcome(0).kind, Kind::kDelivered);
  EXPECT_EQ(outcome(0).text, "as well");
}

TEST_F(ClientChain, RepliesMayComeOneByOneAndCutAnywhere) {
  const std::string replies = "250 2.0.0 taken\r\n250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n";
  for (size_t cut = 0; cut <= replies.size(); ++cut) {
    ClientFixture f;
    ChainOn(f);
    f.SayRaw(std::string_view(replies).substr(0, cut));
    f.SayRaw(std::string_view(replies).substr(cut));
    EXPECT_EQ(f.session.phase(), Phase::kContent) << cut;
    EXPECT_EQ(f.session.outcomes_before().at(0).kind, Kind::kDelivered) << cut;
  }
}

TEST_F(ClientChain, AChainGoesOnForever) {
  Greet({"PIPELINING"});
  SendContent();
  for (int message = 0; message < 5; ++message) {
    ASSERT_TRUE(Chain());
    EXPECT_TRUE(Hear().ends_with(kCommands));
    Say("250 ok\r\n250 ok\r\n250 ok\r\n250 ok\r\n354 go");
    EXPECT_EQ(before().kind, Kind::kDelivered);
    ASSERT_EQ(session.phase(), Phase::kContent);
    session.EndContent();
  }
  EXPECT_EQ(wire.find("RSET"), std::string::npos);
}

TEST_F(ClientChain, LaterIsEarlyEnough) {
  Greet({"PIPELINING"});
  SendContent();
  EXPECT_EQ(Hear(), "first\r\n.\r\n");
  ASSERT_TRUE(Chain());
  EXPECT_EQ(Hear(), kCommands);
  EXPECT_FALSE(Chain());  // one at a time
}

// What the end of data is told concerns the message before alone.
TEST_F(ClientChain, ARefusalAtTheEndOfDataDoesNotTouchTheNext) {
  for (const auto& [reply, kind] : {std::pair{"554 5.7.1 spam", Kind::kFailed},
                                    std::pair{"451 4.3.0 later", Kind::kDeferred}}) {
    ClientFixture f;
    ChainOn(f);
    f.Say(std::string(reply) + "\r\n250 ok\r\n250 ok\r\n250 ok\r\n354 go");
    EXPECT_EQ(f.session.outcomes_before().at(0).kind, kind);
    EXPECT_TRUE(f.session.outcomes_before().at(0).own);
    EXPECT_EQ(f.session.phase(), Phase::kContent);
  }
}

TEST_F(ClientChain, TheNextMayBeRefusedWholly) {
  Greet({"PIPELINING"});
  SendContent();
  ASSERT_TRUE(Chain());
  Say("250 taken\r\n550 5.7.1 not you\r\n503 no\r\n503 no\r\n503 no");
  EXPECT_EQ(session.phase(), Phase::kReady);
  EXPECT_EQ(before().kind, Kind::kDelivered);
  EXPECT_EQ(outcome(0).kind, Kind::kFailed);
  EXPECT_EQ(outcome(1).code, 550);
  EXPECT_TRUE(Start(1).starts_with("MAIL FROM:"));
}

// Which message is in doubt and which was not tried must be exact: one is delayed, the other not.
TEST_F(ClientChain, ALostConnectionPutsOneInDoubtAndLeavesTheOtherUntried) {
  Greet({"PIPELINING"});
  SendContent();
  ASSERT_TRUE(Chain());
  Hear();
  session.ConnectionLost();
  EXPECT_EQ(session.failure(), Failure::kConnectionLost);
  EXPECT_TRUE(session.chained());
  EXPECT_TRUE(session.chain_unanswered());
  EXPECT_EQ(before().kind, Kind::kDeferred);
  EXPECT_EQ(before().phase, Outcome::Phase::kEndOfData);
  EXPECT_FALSE(before().own);
  for (size_t position = 0; position < 2; ++position) {
    EXPECT_EQ(outcome(position).kind, Kind::kDeferred);
    EXPECT_NE(outcome(position).phase, Outcome::Phase::kEndOfData);
    EXPECT_EQ(outcome(position).code, 0);
    EXPECT_FALSE(outcome(position).own);
  }
}

TEST_F(ClientChain, ALossBehindTheReplyIsTheNextOnes) {
  Greet({"PIPELINING"});
  SendContent();
  ASSERT_TRUE(Chain());
  Say("250 taken");
  EXPECT_TRUE(session.chain_unanswered());
  session.ConnectionLost();
  EXPECT_FALSE(session.chained());
  EXPECT_EQ(before().kind, Kind::kDelivered);
  EXPECT_EQ(outcome(0).kind, Kind::kDeferred);
  EXPECT_EQ(outcome(0).phase, Outcome::Phase::kMail);
  EXPECT_FALSE(outcome(0).own);
}

TEST_F(ClientChain, AnAnswerToTheNextMeansThatChainsAreUnderstood) {
  Greet({"PIPELINING"});
  SendContent();
  ASSERT_TRUE(Chain());
  Say("250 taken\r\n250 ok");
  EXPECT_FALSE(session.chain_unanswered());
}

TEST_F(ClientChain, ServiceClosingInThePlaceOfEitherReply) {
  Greet({"PIPELINING"});
  SendContent();
  ASSERT_TRUE(Chain());
  Say("421 4.3.2 closing");
  EXPECT_EQ(session.failure(), Failure::kServiceClosing);
  EXPECT_TRUE(session.chained());
  EXPECT_EQ(before().code, 421);
  EXPECT_FALSE(before().own);
  EXPECT_EQ(outcome(0).code, 0);

  ClientFixture f;
  ChainOn(f);
  f.Say("250 taken\r\n421 4.3.2 closing");
  EXPECT_EQ(f.session.failure(), Failure::kServiceClosing);
  EXPECT_EQ(f.session.outcomes_before().at(0).kind, Kind::kDelivered);
  EXPECT_EQ(f.outcome(0).code, 421);
  EXPECT_FALSE(f.outcome(0).own);
}

TEST_F(ClientChain, AReplyBeforeTheEndOfDataIsTheFirstOnes) {
  Greet({"PIPELINING"});
  SendContent();
  ASSERT_TRUE(Chain());
  session.DropOutput(3);  // of its content
  session.Consume(AsBytes("550 5.7.1 I have seen enough\r\n"));
  EXPECT_EQ(session.failure(), Failure::kProtocol);
  EXPECT_EQ(before().kind, Kind::kFailed);
  EXPECT_EQ(before().code, 550);
  EXPECT_EQ(outcome(0).kind, Kind::kDeferred);
  EXPECT_EQ(outcome(0).code, 0);
  EXPECT_EQ(session.output(), "");  // no end of data behind content that is not whole
}

TEST_F(ClientChain, AReplyToCommandsThatHaveNotLeftIsOutOfPlace) {
  Greet({"PIPELINING"});
  SendContent();
  Hear();
  ASSERT_TRUE(Chain());
  session.Consume(AsBytes("250 taken\r\n"));
  EXPECT_EQ(session.phase(), Phase::kEnvelope);
  session.Consume(AsBytes("250 ok\r\n"));
  EXPECT_EQ(session.failure(), Failure::kProtocol);
  EXPECT_EQ(before().kind, Kind::kDelivered);
  EXPECT_EQ(outcome(0).kind, Kind::kDeferred);
}

TEST_F(ClientChain, NonsenseInThePlaceOfTheFinalReply) {
  Greet({"PIPELINING"});
  SendContent();
  ASSERT_TRUE(Chain());
  Say("354 go on");
  EXPECT_EQ(session.failure(), Failure::kProtocol);
  EXPECT_TRUE(before().own);  // it may have stored it
  EXPECT_FALSE(outcome(0).own);
}

// ---- what is not chained ----

TEST_F(ClientChain, NothingIsChainedWithoutPipelining) {
  Greet({"SIZE"});
  Start(1);
  Say("250 ok");
  Say("250 ok");
  Say("354 go");
  session.EndContent();
  EXPECT_FALSE(Chain());
  EXPECT_EQ(Hear(), ".\r\n");
  Say("250 taken");
  EXPECT_EQ(session.phase(), Phase::kReady);
  EXPECT_EQ(outcome(0).kind, Kind::kDelivered);
}

TEST_F(ClientChain, WhatNeedsNoQuestionWaitsForItsOwnTurn) {
  Greet({"PIPELINING", "SIZE 5000"});
  SendContent(3);
  EXPECT_FALSE(Chain(/*content_bytes=*/5001));
  next_.smtputf8 = true;
  EXPECT_FALSE(Chain());
  next_.smtputf8 = false;
  next_.reverse_path = "no address";
  EXPECT_FALSE(Chain());
  EXPECT_EQ(Hear(), "first\r\n.\r\n");
  // The transaction before is as it was.
  Say("250 taken");
  ASSERT_EQ(session.phase(), Phase::kReady);
  ASSERT_EQ(session.outcomes().size(), 3u);
  for (size_t position = 0; position < 3; ++position) {
    EXPECT_EQ(outcome(position).kind, Kind::kDelivered);
  }
}

TEST_F(ClientChain, ARecipientThatIsNoAddressDoesNotKeepTheOthersBack) {
  Greet({"PIPELINING"});
  SendContent();
  next_.recipients[0].address = "no address";
  ASSERT_TRUE(Chain());
  EXPECT_EQ(Hear(),
            "first\r\n.\r\nMAIL FROM:<next@example.org>\r\nRCPT TO:<n1@example.com>\r\nDATA\r\n");
  Say("250 taken\r\n250 ok\r\n250 ok\r\n354 go");
  ASSERT_EQ(session.phase(), Phase::kContent);
  EXPECT_EQ(outcome(0).kind, Kind::kFailed);
}

TEST_F(ClientChain, NoMoreThanThePrimaryTakesInASession) {
  Greet({"PIPELINING", "LIMITS MAILMAX=2"});
  SendContent();
  ASSERT_TRUE(Chain());
  Say("250 ok\r\n250 ok\r\n250 ok\r\n250 ok\r\n354 go");
  session.EndContent();
  EXPECT_FALSE(Chain());
}

TEST_F(ClientChain, TheEndOfAMessageForNobodyIsWaitedFor) {
  Greet({"PIPELINING"});
  Start(1);
  EXPECT_EQ(Say("250 ok\r\n550 no\r\n354 go"), ".\r\n");
  ASSERT_EQ(session.phase(), Phase::kFinal);
  EXPECT_FALSE(Chain());
}

TEST_F(ClientChain, AnotherClientsMessageBeginsTheSessionAnew) {
  Greet({"PIPELINING", "XCLIENT ADDR NAME"});
  Start(1);
  Say("250 ok\r\n250 ok\r\n354 go");
  session.EndContent();
  next_.client_address = "192.0.2.7";
  EXPECT_FALSE(Chain());
  next_.client_address.clear();
  EXPECT_TRUE(Chain());
}

TEST_F(ClientChain, XforwardIsAPartOfTheGroup) {
  Greet({"PIPELINING", "XFORWARD ADDR NAME"});
  SendContent();
  next_.client_address = "192.0.2.7";
  ASSERT_TRUE(Chain());
  EXPECT_TRUE(Hear().starts_with("first\r\n.\r\nXFORWARD "));
  Say("250 taken\r\n250 noted\r\n250 ok\r\n250 ok\r\n250 ok\r\n354 go");
  EXPECT_EQ(session.phase(), Phase::kContent);
}

}  // namespace
}  // namespace backstay
