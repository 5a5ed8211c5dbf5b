// tests/core/smtp/client_faults_test.cc -- primaries that refuse, or talk nonsense.
#include <gtest/gtest.h>

#include "core/smtp/client_session.h"
#include "tests/core/smtp/client_fixture.h"

namespace backstay {
namespace {

using Kind = Outcome::Kind;
using Phase = ClientSession::Phase;
using Failure = ClientSession::Failure;

TEST(ClientGreeting, EveryAnswerHasItsFailure) {
  struct Case {
    std::string_view says;
    Failure failure;
  };
  const Case cases[] = {
      {"554 no service", Failure::kRefusedGreeting},
      {"500 x", Failure::kRefusedGreeting},
      {"450 later", Failure::kDeferredGreeting},
      {"421 busy", Failure::kServiceClosing},
      {"250 ok", Failure::kProtocol},
      {"221 bye", Failure::kProtocol},
      {"354 go", Failure::kProtocol},
      {"HTTP/1.1 200 OK", Failure::kProtocol},
      {"220 mx2.example.net", Failure::kSelf},
      {"220 MX2.Example.NET. ESMTP", Failure::kSelf},
  };
  for (const Case& c : cases) {
    ClientFixture f;
    EXPECT_EQ(f.Say(c.says), "") << c.says;
    EXPECT_EQ(f.session.phase(), Phase::kFailed) << c.says;
    EXPECT_EQ(f.session.failure(), c.failure) << c.says;
  }
}

TEST(ClientGreeting, ANameThatOnlyBeginsLikeOursIsAnother) {
  ClientFixture f;
  EXPECT_NE(f.Say("220 mx2.example.net.example ESMTP"), "");
  f.Say("250 mx2.example.network hello mx2.example.net");
  EXPECT_EQ(f.session.phase(), Phase::kReady);
}

TEST(ClientGreeting, EhloReplyMayNameUsToo) {
  ClientFixture f;
  f.Say("220 mx1.example.com");
  f.Say("250-mx2.example.net hello\r\n250 PIPELINING");
  EXPECT_EQ(f.session.failure(), Failure::kSelf);
}

TEST(ClientGreeting, EhloAndHeloAnswersHaveTheirFailures) {
  struct Case {
    std::string_view ehlo;
    std::string_view helo;
    Failure failure;
  };
  const Case cases[] = {
      {"550 no", "550 no", Failure::kRefusedEhlo},    {"451 later", "", Failure::kDeferredEhlo},
      {"502 what", "450 no", Failure::kDeferredEhlo}, {"421 bye", "", Failure::kServiceClosing},
      {"220 again", "", Failure::kProtocol},          {"354 go", "", Failure::kProtocol},
      {"502 what", "220 x", Failure::kProtocol},
  };
  for (const Case& c : cases) {
    ClientFixture f;
    f.Say("220 mx1.example.com");
    f.Say(c.ehlo);
    if (!c.helo.empty()) {
      f.Say(c.helo);
    }
    EXPECT_EQ(f.session.phase(), Phase::kFailed) << c.ehlo;
    EXPECT_EQ(f.session.failure(), c.failure) << c.ehlo;
  }
}

TEST(ClientGreeting, AnAnswerToEhloBeforeEhloIsOutOfPlace) {
  ClientFixture f;
  EXPECT_EQ(f.Say("220 mx1.example.com\r\n250 PIPELINING"), "");
  EXPECT_EQ(f.session.failure(), Failure::kProtocol);
}

TEST(ClientGreeting, ALostConnectionSaysWhen) {
  ClientFixture silent;
  silent.SayRaw("220 mx1.exam");
  silent.session.ConnectionLost();
  EXPECT_EQ(silent.session.failure(), Failure::kClosedBeforeGreeting);
  ClientFixture greeted;
  greeted.Say("220 mx1.example.com");
  greeted.session.ConnectionLost();
  EXPECT_EQ(greeted.session.failure(), Failure::kConnectionLost);
  greeted.session.ConnectionLost();
  EXPECT_EQ(greeted.session.failure(), Failure::kConnectionLost);
}

TEST(ClientEnvelope, ARefusedSenderDecidesEverybody) {
  struct Case {
    std::string_view says;
    Kind kind;
  };
  for (const Case& c :
       {Case{"550 5.7.1 no", Kind::kFailed}, Case{"451 4.7.1 later", Kind::kDeferred}}) {
    ClientFixture f;
    f.Greet({"PIPELINING"});
    f.Start(2);
    f.Say(std::string(c.says) + "\r\n503 need MAIL\r\n503 need MAIL\r\n503 need MAIL");
    EXPECT_EQ(f.session.phase(), Phase::kReady);
    for (size_t position = 0; position < 2; ++position) {
      EXPECT_EQ(f.outcome(position).kind, c.kind);
      EXPECT_EQ(f.outcome(position).phase, Outcome::Phase::kMail);
      EXPECT_NE(f.outcome(position).code, 503);
      EXPECT_TRUE(f.outcome(position).own);
    }
    // Nothing was begun at the peer.
    EXPECT_TRUE(f.Start(1).starts_with("MAIL FROM:"));
  }
}

TEST(ClientEnvelope, ARefusedSenderEndsAStepwiseTransactionAtOnce) {
  ClientFixture f;
  f.Greet({});
  f.Start(2);
  EXPECT_EQ(f.Say("550 no"), "");
  EXPECT_EQ(f.session.phase(), Phase::kReady);
}

TEST(ClientEnvelope, ARefusedSenderStopsFurtherGroups) {
  ClientFixture f;
  f.Greet({"PIPELINING"});
  f.Start(150);
  std::string answers = "550 no";
  for (int rcpt = 0; rcpt < 100; ++rcpt) {
    answers += "\r\n503 no";
  }
  EXPECT_EQ(f.Say(answers), "");
  EXPECT_EQ(f.session.phase(), Phase::kReady);
  EXPECT_EQ(f.outcome(149).kind, Kind::kFailed);
}

TEST(ClientEnvelope, AHalfOpenTransactionIsResetFirst) {
  ClientFixture f;
  f.Greet({});
  f.Start(1);
  f.Say("250 ok");
  EXPECT_EQ(f.Say("550 no"), "");  // no DATA for nobody
  EXPECT_EQ(f.session.phase(), Phase::kReady);
  EXPECT_EQ(f.Start(1), "RSET\r\n");
  EXPECT_EQ(f.Say("250 ok"), "MAIL FROM:<s@example.org>\r\n");
}

TEST(ClientEnvelope, ResetIsPipelinedToo) {
  ClientFixture f;
  f.Greet({"PIPELINING"});
  f.Start(1);
  f.Say("250 ok\r\n550 no\r\n554 no valid recipients");
  EXPECT_EQ(f.session.phase(), Phase::kReady);
  EXPECT_EQ(f.Start(1),
            "RSET\r\nMAIL FROM:<s@example.org>\r\nRCPT TO:<r0@example.com>\r\nDATA\r\n");
  f.Say("250 ok\r\n250 ok\r\n250 ok\r\n354 go");
  EXPECT_EQ(f.session.phase(), Phase::kContent);
}

TEST(ClientEnvelope, RefusedDataNeedsAReset) {
  ClientFixture f;
  f.Greet({"PIPELINING"});
  f.Start(2);
  f.Say("250 ok\r\n250 ok\r\n450 4.2.0 later\r\n451 4.3.0 not now");
  EXPECT_EQ(f.session.phase(), Phase::kReady);
  EXPECT_EQ(f.outcome(0).kind, Kind::kDeferred);
  EXPECT_EQ(f.outcome(0).code, 451);
  EXPECT_EQ(f.outcome(0).phase, Outcome::Phase::kData);
  EXPECT_TRUE(f.outcome(0).own);
  EXPECT_EQ(f.outcome(1).code, 450);
  EXPECT_TRUE(f.Start(1).starts_with("RSET\r\n"));
}

TEST(ClientEnvelope, ARefusedResetIsNotSurvived) {
  ClientFixture f;
  f.Greet({"PIPELINING"});
  f.Start(1);
  f.Say("250 ok\r\n550 no\r\n554 no");
  f.Start(1);
  f.Say("500 what?");
  EXPECT_EQ(f.session.failure(), Failure::kProtocol);
  EXPECT_EQ(f.outcome(0).kind, Kind::kDeferred);
  EXPECT_FALSE(f.outcome(0).own);
}

// RFC 2920 s3.1.
TEST(ClientEnvelope, DataForNobodyIsEndedByASingleDot) {
  ClientFixture f;
  f.Greet({"PIPELINING"});
  f.Start(2);
  EXPECT_EQ(f.Say("250 ok\r\n550 5.1.1 no\r\n550 5.1.1 no\r\n354 go"), ".\r\n");
  EXPECT_EQ(f.session.phase(), Phase::kFinal);
  f.session.WriteContent(AsBytes("not for this one"));
  f.session.EndContent();
  EXPECT_EQ(f.Hear(), "");
  f.Say("250 ok, delivered to nobody");
  EXPECT_EQ(f.session.phase(), Phase::kReady);
  EXPECT_EQ(f.outcome(0).kind, Kind::kFailed);
  EXPECT_EQ(f.outcome(0).phase, Outcome::Phase::kRcpt);
  EXPECT_TRUE(f.Start(1).starts_with("MAIL FROM:"));  // that transaction is over
}

TEST(ClientEnvelope, DataForNobodyAfterARefusedSender) {
  ClientFixture f;
  f.Greet({"PIPELINING"});
  f.Start(1);
  EXPECT_EQ(f.Say("550 no\r\n503 no\r\n354 go"), ".\r\n");
  f.Say("503 no");
  EXPECT_EQ(f.session.phase(), Phase::kReady);
  EXPECT_EQ(f.outcome(0).code, 550);
}

TEST(ClientEnvelope, TooManyRecipientsLeavesTheRestForTheNextTransaction) {
  ClientFixture f;
  f.Greet({});
  f.Start(4);
  f.Say("250 ok");
  f.Say("250 ok");
  EXPECT_EQ(f.Say("452 4.5.3 too many"), "DATA\r\n");
  f.Say("354 go");
  f.session.EndContent();
  f.Say("250 ok");
  EXPECT_EQ(f.outcome(0).kind, Kind::kDelivered);
  for (size_t position = 1; position < 4; ++position) {
    EXPECT_EQ(f.outcome(position).kind, Kind::kDeferred);
    EXPECT_EQ(f.outcome(position).code, 452);
    EXPECT_FALSE(f.outcome(position).own);
  }
}

TEST(ClientEnvelope, TooManyRecipientsWhenPipelined) {
  ClientFixture f;
  f.Greet({"PIPELINING"});
  f.Start(150);
  std::string answers = "250 ok\r\n250 ok";
  for (int rcpt = 1; rcpt < 100; ++rcpt) {
    answers += rcpt == 50 ? "\r\n250 ok" : "\r\n452 too many";
  }
  EXPECT_EQ(f.Say(answers), "DATA\r\n");
  f.Say("354 go");
  f.session.EndContent();
  f.Say("250 ok");
  EXPECT_EQ(f.outcome(0).kind, Kind::kDelivered);
  EXPECT_EQ(f.outcome(50).kind, Kind::kDelivered);
  EXPECT_EQ(f.outcome(1).kind, Kind::kDeferred);
  EXPECT_EQ(f.outcome(149).kind, Kind::kDeferred);
  EXPECT_FALSE(f.outcome(149).own);
}

// Otherwise the next transaction would begin with it again, and the next, without end.
TEST(ClientEnvelope, TooManyAtTheFirstRecipientIsItsOwn) {
  ClientFixture f;
  f.Greet({});
  f.Start(2);
  f.Say("250 ok");
  EXPECT_EQ(f.Say("452 too many"), "RCPT TO:<r1@example.com>\r\n");
  EXPECT_EQ(f.Say("452 4.3.1 disk full"), "");
  EXPECT_TRUE(f.outcome(0).own);
  EXPECT_TRUE(f.outcome(1).own);
}

TEST(ClientEnvelope, AFullMailboxIsNotTooManyRecipients) {
  struct Case {
    std::string_view says;
    Kind kind;
    bool own;
  };
  const Case cases[] = {
      {"452 4.2.2 full", Kind::kDeferred, true}, {"552 5.2.2 full", Kind::kFailed, true},
      {"552 too many", Kind::kDeferred, false},  {"552 5.5.3 too many", Kind::kDeferred, false},
      {"452 too many", Kind::kDeferred, false},  {"451 4.5.3 x", Kind::kDeferred, true},
  };
  for (const Case& c : cases) {
    ClientFixture f;
    f.Greet({"PIPELINING"});
    f.Start(2);
    f.Say("250 ok\r\n250 ok\r\n" + std::string(c.says) + "\r\n354 go");
    f.session.EndContent();
    f.Say("250 ok");
    EXPECT_EQ(f.outcome(1).kind, c.kind) << c.says;
    EXPECT_EQ(f.outcome(1).own, c.own) << c.says;
  }
}

TEST(ClientEnvelope, WhatPostfixSaysOfAnAddressIsARefusal) {
  ClientFixture f;
  f.Greet({"PIPELINING"});
  f.Start(1);
  f.Say(
      "250 ok\r\n504 5.5.2 <root@vm>: Sender address rejected: need fully-qualified address"
      "\r\n503 nobody");
  EXPECT_EQ(f.outcome(0).kind, Kind::kFailed);
}

// 504 is about what we say: our name at EHLO, a parameter. Whoever is asked for is not meant.
TEST(ClientEnvelope, WhatIsSaidOfOurNameIsNoRefusal) {
  for (const std::string says : {"504 5.5.2 <mx2>: Helo command rejected", "504 5.7.1 no", "504"}) {
    ClientFixture f;
    f.Greet({"PIPELINING"});
    f.Start(2);
    f.Say("250 ok\r\n" + says + "\r\n550 5.1.1 unknown\r\n503 nobody");
    EXPECT_EQ(f.session.phase(), Phase::kReady);
    EXPECT_EQ(f.outcome(0).kind, Kind::kDeferred) << says;
    EXPECT_TRUE(f.outcome(0).own) << says;
    EXPECT_EQ(f.outcome(0).code, 504);
    EXPECT_EQ(f.outcome(1).kind, Kind::kFailed) << says;

    f.Start(1);
    f.Say("250 reset\r\n" + says + "\r\n503 no\r\n503 no");
    EXPECT_EQ(f.outcome(0).phase, Outcome::Phase::kMail);
    EXPECT_EQ(f.outcome(0).kind, Kind::kDeferred) << says;
    EXPECT_TRUE(f.outcome(0).own) << says;
  }
}

TEST(ClientEnvelope, MisplacedRepliesEndTheSession) {
  for (const std::string_view says : {"354 go", "220 hello", "221 bye", "300 x"}) {
    for (const std::string_view before : {"", "250 ok\r\n"}) {
      ClientFixture f;
      f.Greet({"PIPELINING"});
      f.Start(1);
      f.Say(std::string(before) + std::string(says));
      EXPECT_EQ(f.session.phase(), Phase::kFailed) << says;
      EXPECT_EQ(f.session.failure(), Failure::kProtocol) << says;
      EXPECT_EQ(f.outcome(0).kind, Kind::kDeferred);
      EXPECT_FALSE(f.outcome(0).own);
    }
  }
}

TEST(ClientEnvelope, SurplusRepliesEndTheSession) {
  ClientFixture stepwise;
  stepwise.Greet({});
  stepwise.Start(1);
  stepwise.Say("250 ok\r\n250 ok");  // the second before RCPT left
  EXPECT_EQ(stepwise.session.failure(), Failure::kProtocol);

  ClientFixture ready;
  ready.Greet({});
  ready.Say("250 by the way");
  EXPECT_EQ(ready.session.failure(), Failure::kProtocol);
}

// Which of the replies was one too many is only known when one has no place.
TEST(ClientEnvelope, ARefusalAmongRepliesOutOfStepIsNobodys) {
  for (const std::string_view rest :
       {"250 2.1.5 ok", "550 5.1.1 nor you\r\n354 go", "550 5.1.1 nor you\r\n221 bye"}) {
    ClientFixture f;
    f.Greet({"PIPELINING"});
    f.Start(2);
    f.Say("250 mail\r\n250 mail, again\r\n550 5.1.1 no such user\r\n" + std::string(rest));
    EXPECT_EQ(f.session.failure(), Failure::kProtocol) << rest;
    for (const size_t recipient : {0, 1}) {
      EXPECT_EQ(f.outcome(recipient).kind, Kind::kDeferred) << rest << recipient;
    }
    EXPECT_TRUE(f.outcome(1).own);
    EXPECT_EQ(f.outcome(1).code, 550);
  }
}

TEST(ClientEnvelope, AReplyBegunBeforeTheTransactionIsNoneOfItsReplies) {
  ClientFixture f;
  f.Greet({"PIPELINING"});
  f.SayRaw("250 o");
  f.Start(1);
  f.SayRaw("k\r\n250 ok\r\n354 go\r\n");
  EXPECT_EQ(f.session.failure(), Failure::kProtocol);
  EXPECT_EQ(f.outcome(0).kind, Kind::kDeferred);
}

TEST(ClientEnvelope, UnparsableReplyDefers) {
  ClientFixture f;
  f.Greet({"PIPELINING"});
  f.Start(1);
  f.SayRaw("250 ok\r\n250 ok\n");
  EXPECT_EQ(f.session.failure(), Failure::kProtocol);
  EXPECT_EQ(f.outcome(0).kind, Kind::kDeferred);
  EXPECT_EQ(f.outcome(0).phase, Outcome::Phase::kRcpt);
  EXPECT_EQ(f.outcome(0).code, 0);
}

}  // namespace
}  // namespace backstay
