// tests/io/stream_tls_test.cc -- a stream over TLS: turns, pauses, ends, and no clear text.
//
// Runs on each back end, like stream_test.cc.
#include <gtest/gtest.h>

#include "core/base/mark.h"
#include "core/base/units.h"
#include "io/tls/session.h"
#include "tests/io/stream_fixture.h"
#include "tests/io/tls/tls_pair.h"

namespace backstay {
namespace {

class StreamTlsTest : public StreamTest {
 protected:
  // The server waits for the client's first bytes, as behind its 220.
  void StartServer() {
    server().stream.StartTls(
        std::make_unique<TlsSession>(*server_context_, TlsSession::Server{keys_}), turns_);
  }
  void StartClient() {
    client().stream.StartTls(
        std::make_unique<TlsSession>(*client_context_,
                                     TlsSession::Client{"mx2.example.net", TlsVerify::kHost}),
        turns_);
  }
  // As a shard does it between two turns.
  bool Step() {
    PendingHandshake* next = turns_.PopFront();
    if (next != nullptr) {
      next->Step();
    }
    outbox_.Flush();
    peer_outbox_.Flush();
    return next != nullptr;
  }
  bool StepUntil(const std::function<bool()>& done) {
    return Until([&] {
      while (Step()) {
      }
      return done();
    });
  }
  bool BothSecure() { return server().secure_count == 1 && client().secure_count == 1; }
  void Secure() {
    Open();
    StartServer();
    StartClient();
    ASSERT_TRUE(StepUntil([&] { return BothSecure(); }));
  }

  // The client's side by hand: `peer` answers what came, until the server says that it is secure.
  bool SecureBy(TlsSession& peer) {
    return StepUntil([&] {
      const std::string heard = std::exchange(client().received, "");
      Bytes cipher = AsBytes(heard);
      std::string output;
      if (peer.state() == TlsSession::State::kHandshaking) {
        peer.Handshake(cipher, output);
        SendFrom(client(), output);
      }
      return server().secure_count == 1;
    });
  }

  const TestFolder folder_;
  const TestCertificate made_{folder_.path(), "made"};
  const std::unique_ptr<const TlsContext> server_context_ = Served({made_.files()});
  const std::unique_ptr<const TlsContext> client_context_ = Trusting(made_.files().certificate);
  const TicketKeys keys_ = FixedKeys();
  List<PendingHandshake> turns_;
};

TEST_F(StreamTlsTest, WithoutTrafficItOwnsNoBuffer) {
  Secure();
  EXPECT_TRUE(StepUntil([&] { return outbox_.lent() == 0 && peer_outbox_.lent() == 0; }));
  SendFrom(client(), "EHLO client.example\r\n");
  EXPECT_TRUE(Until([&] { return server().received == "EHLO client.example\r\n"; }));
  EXPECT_TRUE(Until([&] { return outbox_.lent() == 0 && peer_outbox_.lent() == 0; }));
}

TEST_F(StreamTlsTest, TheEndOfAHandshakeLeavesWithWhatIsSaidNext) {
  Open();
  client().on_secure = [&] { client().stream.Queue(AsBytes("EHLO client.example\r\n")); };
  server().on_bytes = [&] { server().stream.Queue(AsBytes("250 ok\r\n")); };
  const uint64_t before = MarkCount("stream: queued while it sent");
  StartServer();
  StartClient();
  EXPECT_TRUE(StepUntil([&] { return client().received == "250 ok\r\n"; }));
  EXPECT_EQ(MarkCount("stream: queued while it sent"), before);
}

TEST_F(StreamTlsTest, CarriesMuchBothWays) {
  Secure();
  const std::string there = Pattern(1_MiB);
  const std::string back = Pattern(300'000);
  SendFrom(client(), there);
  SendFrom(server(), back);
  EXPECT_TRUE(Until([&] {
    return server().received.size() == there.size() && client().received.size() == back.size();
  }));
  EXPECT_EQ(server().received, there);
  EXPECT_EQ(client().received, back);
}

TEST_F(StreamTlsTest, WhatWasQueuedBeforeLeavesInClear) {
  Open();
  server().stream.Queue(AsBytes("220 ready\r\n"));
  StartServer();
  server().stream.Flush();
  EXPECT_TRUE(server().stream.handshaking());
  EXPECT_TRUE(Until([&] { return client().received == "220 ready\r\n"; }));
  StartClient();
  EXPECT_TRUE(StepUntil([&] { return BothSecure(); }));
  SendFrom(server(), "250 ok\r\n");
  EXPECT_TRUE(Until([&] { return client().received == "220 ready\r\n250 ok\r\n"; }));
}

// As a session does: it takes a command, and calls StartTls while it is offered the bytes.
TEST_F(StreamTlsTest, MayBeStartedByTheBytesThatAskForIt) {
  Open();
  server().on_bytes = [&] {
    server().on_bytes = nullptr;
    StartServer();
  };
  SendFrom(client(), "STARTTLS\r\n");
  EXPECT_TRUE(Until([&] { return server().stream.handshaking(); }));
  StartClient();
  EXPECT_TRUE(StepUntil([&] { return BothSecure(); }));
}

// The command came behind end of data: it was kept while the message went to the disk.
TEST_F(StreamTlsTest, MayBeStartedByBytesThatWereKept) {
  Open();
  server().room = 0;
  SendFrom(client(), "STARTTLS\r\n");
  world().RunFor(absl::Milliseconds(50));
  ASSERT_EQ(server().received, "");
  server().on_bytes = [&] {
    server().on_bytes = nullptr;
    StartServer();
  };
  server().room = 1000;
  server().stream.Resume();
  ASSERT_TRUE(server().stream.handshaking());
  StartClient();
  EXPECT_TRUE(StepUntil([&] { return BothSecure(); }));
}

TEST_F(StreamTlsTest, AHandshakeWaitsForItsTurn) {
  Open();
  StartServer();
  StartClient();
  EXPECT_TRUE(Step());
  EXPECT_TRUE(Step());
  EXPECT_FALSE(Step());
  EXPECT_TRUE(Until([&] { return !turns_.empty(); }));  // the client's hello is there
  world().RunFor(absl::Milliseconds(20));
  EXPECT_EQ(server().secure_count, 0);
  EXPECT_EQ(client().stream.queued_bytes(), 0u);
  EXPECT_TRUE(Step());
  EXPECT_FALSE(Step());
  EXPECT_TRUE(StepUntil([&] { return BothSecure(); }));
}

// Row 74. Each byte is a step that comes to nothing, until the last one.
TEST_F(StreamTlsTest, AHelloByteByByteIsAnswered) {
  Open();
  StartServer();
  Step();
  TlsSession peer(*client_context_, TlsSession::Client{"mx2.example.net"});
  std::string hello;
  Bytes nothing;
  peer.Handshake(nothing, hello);
  for (const char byte : hello) {
    ASSERT_EQ(client().received, "");
    SendFrom(client(), std::string(1, byte));
    ASSERT_TRUE(Until([&] { return !turns_.empty(); }));
    ASSERT_TRUE(Step());
  }
  EXPECT_TRUE(SecureBy(peer));
}

TEST_F(StreamTlsTest, CommandsBehindTheHandshakeArriveWithIt) {
  Open();
  StartServer();
  StartClient();
  client().on_secure = [&] { SendFrom(client(), "EHLO client.example\r\n"); };
  EXPECT_TRUE(StepUntil([&] { return server().received == "EHLO client.example\r\n"; }));
}

TEST_F(StreamTlsTest, APausedOwnerLosesNothing) {
  Secure();
  const std::string sent = Pattern(500'000);
  server().room = 1000;
  SendFrom(client(), sent);
  EXPECT_TRUE(Until([&] { return server().received.size() == 1000; }));
  world().RunFor(absl::Milliseconds(20));
  EXPECT_EQ(server().received.size(), 1000u);
  EXPECT_TRUE(Until([&] {
    server().room = 7001;
    server().stream.Resume();
    return server().received.size() == sent.size();
  }));
  EXPECT_EQ(server().received, sent);
}

// Of what was read in one piece, the owner takes the first record; then come the others, and the
// end.
TEST_F(StreamTlsTest, TheEndComesBehindWhatWasKept) {
  Secure();
  server().room = 3;
  client().stream.Queue(AsBytes("one"));
  client().stream.Queue(AsBytes("two"));
  client().stream.CloseAfterSend();
  EXPECT_TRUE(Until([&] { return server().received == "one"; }));
  world().RunFor(absl::Milliseconds(20));
  EXPECT_FALSE(server().ended);
  server().room = SIZE_MAX;
  server().stream.Resume();
  EXPECT_TRUE(Until([&] { return server().ended; }));
  EXPECT_EQ(server().received, "onetwo");
  EXPECT_EQ(server().end_error, IoError::kNone);
  EXPECT_EQ(server().stream.tls()->state(), TlsSession::State::kEnded) << "close_notify came";
}

TEST_F(StreamTlsTest, ClearTextInsteadOfAHandshakeIsAnsweredByAnAlert) {
  Open();
  StartServer();
  Step();
  server().on_end = [&] { server().stream.CloseAfterSend(); };
  SendFrom(client(), "MAIL FROM:<a@b.example>\r\n");
  EXPECT_TRUE(StepUntil([&] { return client().ended; }));
  EXPECT_EQ(server().end_error, IoError::kTls);
  EXPECT_EQ(server().received, "");
  EXPECT_EQ(server().secure_count, 0);
  ASSERT_FALSE(client().received.empty());
  EXPECT_EQ(client().received[0], '\x15');  // alert, RFC 8446 s5.1
}

// CVE-2026-45185: close_notify in the middle of content, then a byte in clear text.
TEST_F(StreamTlsTest, NothingBehindCloseNotifyIsRead) {
  Open();
  StartServer();
  TlsSession peer(*client_context_, TlsSession::Client{"mx2.example.net"});
  std::string output;
  Bytes nothing;
  peer.Handshake(nothing, output);
  SendFrom(client(), output);
  EXPECT_TRUE(SecureBy(peer));
  output.clear();
  peer.Write(AsBytes("half a message"), output);
  peer.End(output);
  SendFrom(client(), output + ".\r\n");
  EXPECT_TRUE(Until([&] { return server().ended; }));
  world().RunFor(absl::Milliseconds(20));
  EXPECT_EQ(server().received, "half a message");
  EXPECT_EQ(server().end_error, IoError::kNone);
}

TEST_F(StreamTlsTest, ClosingInAHandshakeLeavesNoTurnBehind) {
  for (const bool gently : {false, true}) {
    Open();
    StartServer();
    StartClient();
    gently ? client().stream.CloseAfterSend() : client().Close();
    server().Close();
    EXPECT_TRUE(turns_.empty());
    EXPECT_TRUE(Until([&] { return server().stream.closed() && client().stream.closed(); }));
    EXPECT_EQ(server().secure_count, 0);
  }
}

TEST_F(StreamTlsTest, AnOwnerMayCloseWhenItHearsThatItIsSecure) {
  Open();
  StartServer();
  StartClient();
  server().on_secure = [&] { server().Close(); };
  EXPECT_TRUE(StepUntil([&] { return server().stream.closed() && client().ended; }));
}

}  // namespace
}  // namespace backstay
