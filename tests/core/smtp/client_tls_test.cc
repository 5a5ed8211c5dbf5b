// tests/core/smtp/client_tls_test.cc -- STARTTLS towards a primary: when, what is forgotten, ends.
#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "core/base/mark.h"
#include "core/smtp/client_session.h"
#include "tests/core/smtp/client_fixture.h"

namespace backstay {
namespace {

using Phase = ClientSession::Phase;
using Failure = ClientSession::Failure;
using Tls = ClientSession::Tls;

ClientFixture& Wanting(ClientFixture& f, Tls tls) {
  f.session.WantTls(tls);
  return f;
}

// Up to the handshake.
void Negotiate(ClientFixture& f, Tls tls = Tls::kIfOffered) {
  f.session.WantTls(tls);
  f.Greet({"PIPELINING", "STARTTLS"});
  ASSERT_EQ(f.session.phase(), Phase::kStartTls);
  f.Say("220 2.0.0 ready");
  ASSERT_EQ(f.session.phase(), Phase::kHandshake);
}

TEST(ClientTls, IsStartedBehindEhlo) {
  for (const Tls tls : {Tls::kIfOffered, Tls::kAlways}) {
    ClientFixture f;
    f.session.WantTls(tls);
    f.Say("220 mx1.example.com ESMTP");
    EXPECT_EQ(f.Say("250-mx1.example.com\r\n250 STARTTLS"), "STARTTLS\r\n");
    EXPECT_EQ(f.Say("220 2.0.0 ready"), "");
    EXPECT_EQ(f.session.phase(), Phase::kHandshake);
    EXPECT_FALSE(f.session.secure());
    f.session.Secured();
    EXPECT_TRUE(f.session.secure());
    EXPECT_EQ(f.Hear(), "EHLO mx2.example.net\r\n");
    // Offered again, which it must not be; it is not begun again.
    EXPECT_EQ(f.Say("250-mx1.example.com\r\n250-PIPELINING\r\n250 STARTTLS"), "");
    EXPECT_EQ(f.session.phase(), Phase::kReady);
    EXPECT_TRUE(f.session.extensions().pipelining);
  }
}

TEST(ClientTls, IsNotStartedWhereItIsNotWantedOrNotOffered) {
  ClientFixture never;
  Wanting(never, Tls::kNever).Greet({"STARTTLS"});
  EXPECT_EQ(never.session.phase(), Phase::kReady);
  EXPECT_EQ(never.wire, "EHLO mx2.example.net\r\n");
  ClientFixture clear;
  Wanting(clear, Tls::kIfOffered).Greet({"PIPELINING"});
  EXPECT_EQ(clear.session.phase(), Phase::kReady);
  EXPECT_FALSE(clear.session.secure());
}

TEST(ClientTls, WhereItIsWantedAlwaysThereIsNoSessionWithoutIt) {
  const uint64_t before = MarkCount("tls_not_offered");
  ClientFixture f;
  Wanting(f, Tls::kAlways).Greet({"PIPELINING"});
  EXPECT_EQ(f.session.phase(), Phase::kFailed);
  EXPECT_EQ(f.session.failure(), Failure::kTlsNotOffered);
  EXPECT_EQ(f.wire, "EHLO mx2.example.net\r\n");
  ClientFixture old;
  Wanting(old, Tls::kAlways).Say("220 mx1.example.com");
  old.Say("502 what?");
  old.Say("250-mx1.example.com\r\n250 STARTTLS");  // HELO offers nothing
  EXPECT_EQ(old.session.failure(), Failure::kTlsNotOffered);
  EXPECT_EQ(MarkCount("tls_not_offered"), before + 2);
}

TEST(ClientTls, ARefusalEndsTheSessionInEveryMode) {
  for (const Tls tls : {Tls::kIfOffered, Tls::kAlways}) {
    for (const char* reply : {"454 4.7.0 not now", "502 5.5.1 what?", "421 4.3.0 no"}) {
      ClientFixture f;
      Wanting(f, tls).Greet({"STARTTLS"});
      EXPECT_EQ(f.Say(reply), "") << reply;
      EXPECT_EQ(f.session.phase(), Phase::kFailed) << reply;
      EXPECT_EQ(f.session.failure(), Failure::kTlsRefused) << reply;
    }
  }
}

TEST(ClientTls, AnAnswerThatIsNoneIsAFault) {
  for (const char* reply : {"250 ok", "354 go", "hello"}) {
    ClientFixture f;
    Wanting(f, Tls::kIfOffered).Greet({"STARTTLS"});
    f.Say(reply);
    EXPECT_EQ(f.session.failure(), Failure::kProtocol) << reply;
  }
}

// Whoever is between us and the primary can append to what it says in clear text. Those bytes must
// not be read as what it says inside TLS.
TEST(ClientTls, BytesBehindThe220AreAFault) {
  const uint64_t before = MarkCount("clear_text_behind_starttls");
  const std::string ready = "220 2.0.0 ready\r\n";
  const std::string injected = "250-mx1.example.com\r\n250 XCLIENT ADDR\r\n";
  for (size_t bytes = 1; bytes <= injected.size(); ++bytes) {
    for (const size_t cut : {size_t{0}, ready.size() - 1, ready.size()}) {
      ClientFixture f;
      Wanting(f, Tls::kIfOffered).Greet({"STARTTLS"});
      const std::string said = ready + injected.substr(0, bytes);
      f.SayRaw(said.substr(0, cut));
      f.SayRaw(said.substr(cut));
      EXPECT_EQ(f.session.phase(), Phase::kFailed) << bytes << " " << cut;
      EXPECT_EQ(f.session.failure(), Failure::kProtocol);
    }
  }
  EXPECT_EQ(MarkCount("clear_text_behind_starttls"), before + 3 * injected.size());
}

TEST(ClientTls, BytesBeforeStartTlsLeftAreAFault) {
  for (const char* early : {"2", "220 2.0.0 ready\r\n"}) {
    ClientFixture f;
    Wanting(f, Tls::kIfOffered).Say("220 mx1.example.com");
    f.SayRaw(std::string("250-mx1.example.com\r\n250 STARTTLS\r\n") + early);
    EXPECT_EQ(f.session.phase(), Phase::kFailed) << early;
    EXPECT_EQ(f.session.failure(), Failure::kProtocol) << early;
  }
}

// RFC 3207 s4.2: "The client MUST discard any knowledge obtained from the server".
TEST(ClientTls, WhatWasOfferedInClearTextIsForgotten) {
  ClientFixture f;
  f.session.WantTls(Tls::kIfOffered);
  f.Greet({"PIPELINING", "SIZE 100", "8BITMIME", "DSN", "STARTTLS"});
  f.Say("220 2.0.0 ready");
  f.session.Secured();
  f.Say("250 mx1.example.com");
  ASSERT_EQ(f.session.phase(), Phase::kReady);
  EXPECT_FALSE(f.session.extensions().pipelining);
  EXPECT_FALSE(f.session.extensions().size);
  EXPECT_EQ(f.Start(1), "MAIL FROM:<s@example.org>\r\n");
}

TEST(ClientTls, HeloInsideTlsOffersNothingOfWhatEhloDidBefore) {
  ClientFixture f;
  f.session.WantTls(Tls::kIfOffered);
  f.Greet({"PIPELINING", "SIZE 100", "STARTTLS"});
  f.Say("220 2.0.0 ready");
  f.session.Secured();
  EXPECT_EQ(f.Say("502 5.5.1 what?"), "HELO mx2.example.net\r\n");
  f.Say("250 mx1.example.com");
  ASSERT_EQ(f.session.phase(), Phase::kReady);
  EXPECT_FALSE(f.session.extensions().pipelining);
  EXPECT_EQ(f.Start(1, 1000), "MAIL FROM:<s@example.org>\r\n");
}

TEST(ClientTls, EndsBeforeTheFirstReplyInsideAreFailuresOfTls) {
  ClientFixture asked;
  Wanting(asked, Tls::kIfOffered).Greet({"STARTTLS"});
  asked.session.ConnectionLost();
  EXPECT_EQ(asked.session.failure(), Failure::kTlsFailed);
  ClientFixture shaking;
  Negotiate(shaking);
  shaking.session.ConnectionLost();
  EXPECT_EQ(shaking.session.failure(), Failure::kTlsFailed);
  EXPECT_EQ(shaking.session.output(), "");
  ClientFixture inside;
  Negotiate(inside);
  inside.session.Secured();
  inside.session.ConnectionLost();
  EXPECT_EQ(inside.session.failure(), Failure::kTlsFailed);
  ClientFixture later;
  Negotiate(later);
  later.session.Secured();
  later.Say("250 mx1.example.com");
  later.session.ConnectionLost();
  EXPECT_EQ(later.session.failure(), Failure::kConnectionLost);
  ClientFixture before;
  Wanting(before, Tls::kIfOffered).Say("220 mx1.example.com");
  before.session.ConnectionLost();
  EXPECT_EQ(before.session.failure(), Failure::kConnectionLost);
}

TEST(ClientTls, InsideItTheUsualFailuresAreWhatTheyAre) {
  struct Case {
    const char* reply;
    Failure failure;
  };
  for (const Case& row :
       {Case{"421 4.3.2 closing", Failure::kServiceClosing},
        Case{"450 4.3.2 later", Failure::kDeferredEhlo},
        Case{"250 mx2.example.net", Failure::kSelf}, Case{"354 go", Failure::kProtocol}}) {
    ClientFixture f;
    Negotiate(f);
    f.session.Secured();
    f.Say(row.reply);
    EXPECT_EQ(f.session.failure(), row.failure) << row.reply;
  }
}

}  // namespace
}  // namespace backstay
