// tests/core/smtp/client_origin_test.cc -- XCLIENT and XFORWARD to a primary that offers them.
#include <gtest/gtest.h>

#include "tests/core/smtp/client_fixture.h"

namespace backstay {
namespace {

using Kind = Outcome::Kind;
using Phase = ClientSession::Phase;
using Failure = ClientSession::Failure;

constexpr std::string_view kXclientOffer = "XCLIENT NAME ADDR HELO";
constexpr std::string_view kMail = "MAIL FROM:<s@example.org>\r\n";

// A message of that client.
std::string Start(ClientFixture& f, const std::string& address, const std::string& helo = "h.org") {
  f.envelope = Envelope();
  f.envelope.reverse_path = "s@example.org";
  f.envelope.AddRecipient().address = "r@example.com";
  f.envelope.client_address = address;
  f.envelope.client_helo = helo;
  f.indexes = {0};
  return f.StartAgain();
}

std::string Finish(ClientFixture& f) {
  f.Say("250 ok");
  f.Say("250 ok");
  f.Say("354 go");
  f.session.EndContent();
  f.Say("250 stored");
  return f.outcome(0).text;
}

TEST(ClientOrigin, XclientBeginsTheSessionAnewAsTheClient) {
  ClientFixture f;
  f.Greet({kXclientOffer});
  EXPECT_EQ(Start(f, "192.0.2.7"), "XCLIENT ADDR=192.0.2.7 NAME=[UNAVAILABLE] HELO=h.org\r\n");
  EXPECT_EQ(f.Say("220 mx1.example.com ESMTP"), "EHLO h.org\r\n");
  EXPECT_EQ(f.Say("250-mx1\r\n250 SIZE"), "MAIL FROM:<s@example.org> SIZE=1000\r\n");
  EXPECT_EQ(Finish(f), "stored");
}

TEST(ClientOrigin, XclientIsSaidOnceForOneClientAndAgainForAnother) {
  ClientFixture f;
  f.Greet({kXclientOffer});
  Start(f, "192.0.2.7");
  f.Say("220 hi");
  f.Say("250-mx1\r\n250 XCLIENT ADDR");
  Finish(f);
  EXPECT_EQ(Start(f, "192.0.2.7"), kMail);
  Finish(f);
  EXPECT_EQ(Start(f, "192.0.2.8"), "XCLIENT ADDR=192.0.2.8 NAME=[UNAVAILABLE] HELO=h.org\r\n");
  f.Say("220 hi");
  f.Say("250-mx1\r\n250 XCLIENT ADDR");
  Finish(f);
  // Mail of nobody must not pass for that of the client before.
  EXPECT_TRUE(Start(f, "").starts_with("XCLIENT ADDR=[UNAVAILABLE] "));
}

TEST(ClientOrigin, OurOwnMailNeedsNoXclient) {
  ClientFixture f;
  f.Greet({kXclientOffer, "XFORWARD ADDR"});
  EXPECT_EQ(Start(f, ""), kMail);
}

TEST(ClientOrigin, AHeloThatIsNoneIsReplacedByOurs) {
  ClientFixture f;
  f.Greet({kXclientOffer});
  Start(f, "192.0.2.7", "x\r\nRSET");
  EXPECT_EQ(f.Say("220 hi"), "EHLO mx2.example.net\r\n");
}

TEST(ClientOrigin, ATransactionThatIsOpenIsResetBeforeXclient) {
  ClientFixture f;
  f.Greet({kXclientOffer, "PIPELINING"});
  Start(f, "192.0.2.7");
  f.Say("220 hi");
  EXPECT_EQ(f.Say("250-mx1\r\n250 PIPELINING"),
            std::string(kMail) + "RCPT TO:<r@example.com>\r\nDATA\r\n");
  f.Say("250 ok\r\n550 no\r\n554 no");
  EXPECT_TRUE(Start(f, "192.0.2.8").starts_with("RSET\r\nXCLIENT ADDR=192.0.2.8 "));
  EXPECT_EQ(f.Say("250 ok\r\n220 hi"), "EHLO h.org\r\n");
}

// The name that is judged is the client's, and so the refusal is its message's.
TEST(ClientOrigin, AClientsNameThatIsDislikedIsARefusal) {
  constexpr std::string_view kSays = "504 5.5.2 <h>: Helo command rejected";
  ClientFixture f;
  f.Greet({kXclientOffer});
  Start(f, "192.0.2.7", "h");
  f.Say("220 hi");
  f.Say("250-mx1\r\n250 XCLIENT ADDR");
  f.Say("250 ok");
  f.Say(kSays);
  EXPECT_EQ(f.outcome(0).kind, Kind::kFailed);
  EXPECT_EQ(f.outcome(0).code, 504);
}

TEST(ClientOrigin, WhereXclientIsNotForUsMailGoesAsOurs) {
  ClientFixture f;
  f.Greet({kXclientOffer});
  Start(f, "192.0.2.7");
  EXPECT_EQ(f.Say("550 5.7.0 insufficient authorization"), kMail);
  Finish(f);
  EXPECT_EQ(Start(f, "192.0.2.8"), kMail);
}

TEST(ClientOrigin, WhatIsSaidToTheClientIsSaidOfItsMessage) {
  struct Case {
    std::string_view to_xclient;
    std::string_view to_ehlo;  // empty: not asked
    Kind kind;
    int code;
  };
  const Case cases[] = {{"421 4.7.0 blocked", "", Kind::kDeferred, 421},
                        {"450 4.7.1 later", "", Kind::kDeferred, 450},
                        {"250 what?", "", Kind::kDeferred, 250},
                        {"220 hi", "550 5.7.1 blocked", Kind::kFailed, 550},
                        {"220 hi", "421 4.7.0 blocked", Kind::kDeferred, 421}};
  for (const Case& c : cases) {
    ClientFixture f;
    f.Greet({kXclientOffer});
    Start(f, "192.0.2.7");
    f.Say(c.to_xclient);
    if (!c.to_ehlo.empty()) {
      f.Say(c.to_ehlo);
    }
    EXPECT_EQ(f.session.phase(), Phase::kFailed) << c.to_xclient;
    EXPECT_EQ(f.session.failure(), Failure::kNone);
    EXPECT_EQ(f.outcome(0).kind, c.kind);
    EXPECT_EQ(f.outcome(0).code, c.code);
    EXPECT_TRUE(f.outcome(0).own);
  }
}

TEST(ClientOrigin, ARefusalOfAnotherClientDoesNotLeaveTheFirstInItsPlace) {
  ClientFixture f;
  f.Greet({kXclientOffer});
  Start(f, "192.0.2.7");
  f.Say("220 hi");
  f.Say("250 mx1");
  Finish(f);
  Start(f, "192.0.2.8");
  f.Say("550 5.7.0 insufficient authorization");
  EXPECT_EQ(f.session.phase(), Phase::kFailed);
  EXPECT_EQ(f.session.failure(), Failure::kNone);
  // At once, in another session.
  EXPECT_EQ(f.outcome(0).kind, Kind::kDeferred);
  EXPECT_FALSE(f.outcome(0).own);
}

TEST(ClientOrigin, ASessionMayBeOneClientsForGood) {
  for (const bool again : {false, true}) {
    ClientFixture f;
    f.Greet({kXclientOffer});
    Start(f, "192.0.2.7");
    f.Say("220 hi");
    f.Say(again ? "250-mx1\r\n250 XCLIENT NAME ADDR HELO" : "250 mx1");
    Finish(f);
    EXPECT_TRUE(f.session.Takes(f.envelope));
    f.envelope.client_address = "192.0.2.8";
    EXPECT_EQ(f.session.Takes(f.envelope), again);
    f.envelope.client_address = "";
    EXPECT_EQ(f.session.Takes(f.envelope), again);
  }
  ClientFixture f;
  f.Greet({});
  EXPECT_TRUE(f.session.Takes(f.envelope));
}

TEST(ClientOrigin, AConnectionLostOverXclientIsTheMessagesOwn) {
  ClientFixture f;
  f.Greet({kXclientOffer});
  Start(f, "192.0.2.7");
  f.session.ConnectionLost();
  EXPECT_EQ(f.outcome(0).kind, Kind::kDeferred);
  EXPECT_TRUE(f.outcome(0).own);
}

TEST(ClientOrigin, WhatTheClientMayNotHaveIsJudgedAgain) {
  ClientFixture f;
  f.Greet({kXclientOffer, "SIZE 5000"});
  Start(f, "192.0.2.7");
  f.Say("220 hi");
  EXPECT_EQ(f.Say("250-mx1\r\n250 SIZE 500"), "");
  EXPECT_EQ(f.session.phase(), Phase::kReady);
  EXPECT_EQ(f.outcome(0).enhanced, "5.3.4");
}

TEST(ClientOrigin, XforwardIsToldBeforeEachMessage) {
  ClientFixture f;
  f.Greet({"PIPELINING", "XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE"});
  const std::string group =
      "XFORWARD ADDR=192.0.2.7 NAME=[UNAVAILABLE] PORT=[UNAVAILABLE] PROTO=SMTP HELO=h.org "
      "SOURCE=REMOTE\r\n" +
      std::string(kMail) + "RCPT TO:<r@example.com>\r\nDATA\r\n";
  for (const std::string_view answer : {"250 ok", "550 no", "450 later"}) {
    EXPECT_EQ(Start(f, "192.0.2.7"), group);
    f.Say(answer);
    EXPECT_EQ(Finish(f), "stored");
  }
}

TEST(ClientOrigin, XforwardStandsAloneWithoutPipelining) {
  ClientFixture f;
  f.Greet({"XFORWARD ADDR"});
  EXPECT_EQ(Start(f, "2001:db8::1"), "XFORWARD ADDR=IPV6:2001:db8::1\r\n");
  EXPECT_EQ(f.Say("250 ok"), kMail);
  EXPECT_EQ(Finish(f), "stored");
}

TEST(ClientOrigin, UnderXclientNothingIsForwarded) {
  ClientFixture f;
  f.Greet({kXclientOffer, "XFORWARD ADDR"});
  EXPECT_TRUE(Start(f, "192.0.2.7").starts_with("XCLIENT "));
  f.Say("220 hi");
  EXPECT_EQ(f.Say("250-mx1\r\n250 XFORWARD ADDR"), kMail);
}

}  // namespace
}  // namespace backstay
