// tests/io/tls/session_test.cc -- bytes in, bytes out: both roles, cuts, ends, tickets, limits.
#include "io/tls/session.h"

#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include "core/base/mark.h"
#include "tests/io/tls/tls_pair.h"

namespace backstay {
namespace {

using State = TlsSession::State;

class TlsSessionTest : public testing::Test {
 protected:
  TlsPair Pair(const TlsSession::Client& wish = {.host = "mx2.example.net"}) {
    return TlsPair(*context_, keys_, *client_context_, wish);
  }
  static std::string Many(size_t bytes) {
    std::string text;
    while (text.size() < bytes) {
      text += std::to_string(text.size()) + "\r\n";
    }
    return text;
  }

  const TestFolder folder_;
  const TestCertificate root_{folder_.path(), "root", {.is_authority = true}};
  const TestCertificate made_{
      folder_.path(), "made", {.names = {"mx2.example.net", "IP:192.0.2.1"}, .issuer = &root_}};
  const std::unique_ptr<const TlsContext> context_ = Served({made_.files()});
  const std::unique_ptr<const TlsContext> client_context_ = Trusting(root_.files().certificate);
  TicketKeys keys_ = FixedKeys();
};

TEST_F(TlsSessionTest, CarriesBytesBothWaysHoweverTheyAreCut) {
  const std::string question = Many(50'000);
  const std::string answer = Many(40'000);
  for (const size_t piece : {size_t{1}, size_t{7}, size_t{1000}, std::string::npos}) {
    TlsPair pair = Pair();
    ASSERT_TRUE(pair.Connect(piece)) << piece;
    pair.ClientSays(question);
    pair.ServerSays(answer);
    pair.Exchange(piece);
    EXPECT_EQ(pair.ServerHeard(), question) << piece;
    EXPECT_EQ(pair.ClientHeard(), answer) << piece;
    EXPECT_EQ(pair.server().protocol(), "TLSv1.3");
  }
}

// The last flight of the client and its first command come in one piece.
TEST_F(TlsSessionTest, WhatFollowsTheHandshakeInOnePieceIsRead) {
  TlsPair pair = Pair();
  Bytes nothing;
  pair.client().Handshake(nothing, pair.to_server());
  Bytes hello = AsBytes(pair.to_server());
  pair.server().Handshake(hello, pair.to_client());
  pair.to_server().clear();
  Bytes flight = AsBytes(pair.to_client());
  pair.client().Handshake(flight, pair.to_server());
  pair.to_client().clear();
  pair.ClientSays("EHLO client.example\r\n");
  Bytes rest = AsBytes(pair.to_server());
  pair.server().Handshake(rest, pair.to_client());
  ASSERT_EQ(pair.server().state(), State::kOpen);
  std::array<uint8_t, 100> plain;
  const size_t count = pair.server().Read(rest, plain, pair.to_client());
  EXPECT_EQ(AsText(Bytes(plain).first(count)), "EHLO client.example\r\n");
  EXPECT_TRUE(rest.empty());
}

TEST_F(TlsSessionTest, ASmallBufferLeavesTheRestOfTheCiphertext) {
  TlsPair pair = Pair();
  ASSERT_TRUE(pair.Connect());
  pair.ClientSays(std::string(100, 'a'));
  pair.ClientSays(std::string(100, 'b'));
  const std::string sent = pair.to_server();
  Bytes cipher = AsBytes(sent);
  std::array<uint8_t, 60> plain;
  std::string heard;
  std::string answer;
  for (size_t count = plain.size(); count == plain.size();) {
    count = pair.server().Read(cipher, plain, answer);
    heard.append(AsText(Bytes(plain).first(count)));
    EXPECT_EQ(cipher.empty(), heard.size() > 100) << heard.size();
  }
  EXPECT_EQ(heard, std::string(100, 'a') + std::string(100, 'b'));
}

TEST_F(TlsSessionTest, CloseNotifyIsTheEndAndNothingBehindItIsRead) {
  TlsPair pair = Pair();
  ASSERT_TRUE(pair.Connect());
  pair.ClientSays("half a mess");
  pair.client().End(pair.to_server());
  pair.to_server() += "age in clear text\r\n.\r\n";
  pair.Exchange();
  EXPECT_EQ(pair.ServerHeard(), "half a mess");
  EXPECT_EQ(pair.server().state(), State::kEnded);
}

TEST_F(TlsSessionTest, ClearTextIsNeverTakenForAnything) {
  const std::string commands = "MAIL FROM:<a@b.example>\r\nRCPT TO:<v@example.com>\r\n";
  TlsPair fresh = Pair();
  fresh.to_server() = commands;
  fresh.Exchange();
  EXPECT_EQ(fresh.server().state(), State::kFailed);
  EXPECT_EQ(fresh.server().failure(), "WRONG_VERSION_NUMBER");
  TlsPair pair = Pair();
  ASSERT_TRUE(pair.Connect());
  pair.to_server() = commands;
  pair.Exchange();
  EXPECT_EQ(pair.server().state(), State::kFailed);
  EXPECT_EQ(pair.ServerHeard(), "");
  EXPECT_EQ(pair.client().state(), State::kFailed);  // by our alert
  pair.ServerSays("too late");
  EXPECT_EQ(pair.to_client(), "");
}

TEST_F(TlsSessionTest, AFlippedBitIsAFailure) {
  TlsPair pair = Pair();
  ASSERT_TRUE(pair.Connect());
  pair.ClientSays("text");
  pair.to_server().back() ^= 1;
  pair.Exchange();
  EXPECT_EQ(pair.server().state(), State::kFailed);
  EXPECT_EQ(pair.ServerHeard(), "");
}

// ---- tickets ----

class TlsTicketTest : public TlsSessionTest {
 protected:
  // True: the client's ticket was taken.
  bool Resumes(RawClient& client, uint32_t listener = 0) {
    TlsSession server(*context_, TlsSession::Server{keys_, listener});
    EXPECT_EQ(client.Connect(server), State::kOpen);
    client.Deliver(server, "220\r\n");
    EXPECT_EQ(client.resumed(), server.resumed());
    EXPECT_TRUE(client.has_ticket());
    return server.resumed();
  }
  static void SpeakOnly(RawClient& client, uint16_t version) {
    SSL_CTX_set_max_proto_version(client.settings(), version);
  }
};

TEST_F(TlsTicketTest, WhoComesBackNeedsNoSignature) {
  for (const uint16_t version : std::initializer_list<uint16_t>{TLS1_2_VERSION, TLS1_3_VERSION}) {
    RawClient client;
    SpeakOnly(client, version);
    EXPECT_FALSE(Resumes(client));
    EXPECT_TRUE(Resumes(client));
    EXPECT_TRUE(Resumes(client));
  }
}

TEST_F(TlsTicketTest, AnotherListenerDoesNotTakeIt) {
  for (const uint16_t version : std::initializer_list<uint16_t>{TLS1_2_VERSION, TLS1_3_VERSION}) {
    RawClient client;
    SpeakOnly(client, version);
    EXPECT_FALSE(Resumes(client, 1));
    EXPECT_FALSE(Resumes(client, 2));
    EXPECT_TRUE(Resumes(client, 2));
  }
}

TEST_F(TlsTicketTest, ThePreviousKeyIsTakenAndOlderOnesAreNot) {
  for (const uint16_t version : std::initializer_list<uint16_t>{TLS1_2_VERSION, TLS1_3_VERSION}) {
    RawClient client;
    SpeakOnly(client, version);
    keys_ = FixedKeys();
    EXPECT_FALSE(Resumes(client));
    keys_.AdvanceTo(Instant() + TicketKeys::kPeriod);
    EXPECT_TRUE(Resumes(client));  // and a ticket of the new key is given
    keys_.AdvanceTo(Instant() + 2 * TicketKeys::kPeriod);
    EXPECT_TRUE(Resumes(client));
    keys_.AdvanceTo(Instant() + 4 * TicketKeys::kPeriod);
    EXPECT_FALSE(Resumes(client));
  }
}

TEST_F(TlsTicketTest, ItIsGoodBehindAReload) {
  RawClient client;
  EXPECT_FALSE(Resumes(client));
  const auto next = Served({made_.files()});
  TlsSession server(*next, TlsSession::Server{keys_});
  EXPECT_EQ(client.Connect(server), State::kOpen);
  EXPECT_TRUE(server.resumed());
}

// ---- what a server must not do ----

TEST_F(TlsSessionTest, NoEarlyData) {
  RawClient client;
  SSL_CTX_set_early_data_enabled(client.settings(), 1);
  for (int visit = 0; visit < 2; ++visit) {
    TlsSession server(*context_, TlsSession::Server{keys_});
    ASSERT_EQ(client.Connect(server), State::kOpen);
    client.Deliver(server, "220\r\n");
    EXPECT_EQ(SSL_SESSION_early_data_capable(SSL_get_session(client.ssl())), 0);
    EXPECT_EQ(SSL_early_data_accepted(client.ssl()), 0);
  }
}

TEST_F(TlsSessionTest, KeyUpdatesWithoutEndAreRefused) {
  RawClient client;
  TlsSession server(*context_, TlsSession::Server{keys_});
  ASSERT_EQ(client.Connect(server), State::kOpen);
  for (int count = 0; count < 100 && server.state() == State::kOpen; ++count) {
    ASSERT_EQ(SSL_key_update(client.ssl(), SSL_KEY_UPDATE_NOT_REQUESTED), 1);
    SSL_write(client.ssl(), "", 0);  // flushes it
    client.Deliver(server);
  }
  EXPECT_EQ(server.state(), State::kFailed);
  EXPECT_EQ(server.failure(), "TOO_MANY_KEY_UPDATES");
}

// ---- whom a client believes ----

struct Belief {
  std::string host;
  TlsVerify verify;
  bool believed;
};

TEST_F(TlsSessionTest, AClientThatVerifiesWantsTheNameItAskedFor) {
  for (const Belief& row : {Belief{"mx2.example.net", TlsVerify::kHost, true},
                            {"192.0.2.1", TlsVerify::kHost, true},
                            {"mx1.example.net", TlsVerify::kHost, false},
                            {"192.0.2.2", TlsVerify::kHost, false},
                            {"mx1.example.net", TlsVerify::kNothing, true}}) {
    TlsPair pair = Pair({.host = row.host, .verify = row.verify});
    EXPECT_EQ(pair.Connect(), row.believed) << row.host;
    EXPECT_EQ(pair.client().state() == State::kOpen, row.believed) << row.host;
  }
  TlsPair pair = Pair({.host = "mx1.example.net", .verify = TlsVerify::kHost});
  EXPECT_FALSE(pair.Connect());
  EXPECT_EQ(pair.client().failure(), "Hostname mismatch");
}

// RFC 6066 s3: SNI is for names, and a name may begin as an address does.
TEST_F(TlsSessionTest, ANameThatBeginsAsAnAddressIsAName) {
  for (const std::string host : {"10.20.30.40.rev.example.net", "1.2.3.4.example", "a.example"}) {
    TlsPair pair = Pair({.host = host});
    Bytes nothing;
    pair.client().Handshake(nothing, pair.to_server());
    EXPECT_NE(pair.to_server().find(host), std::string::npos) << host;
  }
}

TEST_F(TlsSessionTest, AClientThatVerifiesWantsATrustedRootAndAValidTime) {
  const TestCertificate expired(
      folder_.path(), "expired",
      {.begins = absl::Hours(-9), .ends = absl::Hours(-1), .issuer = &root_});
  const TestCertificate unknown(folder_.path(), "unknown");
  const std::vector<std::pair<const TestCertificate*, std::string>> cases = {
      {&expired, "certificate has expired"}, {&unknown, "self signed certificate"}};
  for (const auto& [certificate, reason] : cases) {
    const auto context = Served({certificate->files()});
    TlsPair strict(*context, keys_, *client_context_,
                   {.host = "mx2.example.net", .verify = TlsVerify::kHost});
    EXPECT_FALSE(strict.Connect());
    EXPECT_EQ(strict.client().failure(), reason);
    EXPECT_EQ(strict.server().state(), State::kFailed);  // by the client's alert
    TlsPair easy(*context, keys_, *client_context_, {.host = "mx2.example.net"});
    EXPECT_TRUE(easy.Connect());
  }
}

}  // namespace
}  // namespace backstay
