// tests/io/stream_test.cc -- a stream keeps every byte, pauses, and closes with nothing in flight.
//
// Runs on each back end, like the contract below it.
#include "io/stream.h"

#include <gtest/gtest.h>

#include "core/base/units.h"
#include "tests/io/stream_fixture.h"

namespace backstay {
namespace {

TEST_F(StreamTest, BytesPassInBothDirections) {
  Open();
  SendFrom(server(), "220 ready\r\n");
  SendFrom(client(), "EHLO client.example\r\n");
  EXPECT_TRUE(Until([&] {
    return client().received == "220 ready\r\n" && server().received == "EHLO client.example\r\n" &&
           client().drained_count == 1 && server().drained_count == 1;
  }));
}

TEST_F(StreamTest, NothingIsSentBeforeFlush) {
  Open();
  server().stream.Queue(AsBytes("one "));
  server().stream.Queue(AsBytes("two"));
  EXPECT_EQ(server().stream.queued_bytes(), 7u);
  world().RunFor(absl::Milliseconds(5));
  EXPECT_EQ(client().received, "");
  server().stream.Flush();
  EXPECT_TRUE(Until([&] { return client().received == "one two"; }));
}

TEST_F(StreamTest, TheOutboxSendsForAllThatQueued) {
  Open();
  server().stream.Queue(AsBytes("220 ready\r\n"));
  outbox_.Flush();
  EXPECT_TRUE(Until([&] { return client().received == "220 ready\r\n"; }));
  server().stream.Queue(AsBytes("dropped"));
  server().Close();
  outbox_.Flush();
  EXPECT_TRUE(Until([&] { return server().stream.closed(); }));
  EXPECT_EQ(client().received, "220 ready\r\n");
}

TEST_F(StreamTest, WithoutTrafficItOwnsNoBuffer) {
  Open();
  EXPECT_EQ(outbox_.lent(), 0u);
  SendFrom(server(), "220 ready\r\n");
  EXPECT_EQ(outbox_.lent(), 1u);
  EXPECT_TRUE(Until([&] { return server().drained_count == 1; }));
  EXPECT_EQ(outbox_.lent(), 0u) << "all is sent";
  server().room = 4;
  SendFrom(client(), "EHLO client.example\r\n");
  EXPECT_TRUE(Until([&] { return server().received == "EHLO"; }));
  EXPECT_EQ(outbox_.lent(), 1u) << "the owner left something";
  server().room = SIZE_MAX;
  server().stream.Resume();
  EXPECT_EQ(server().received, "EHLO client.example\r\n");
  EXPECT_EQ(outbox_.lent(), 0u);
  CloseBoth();
  EXPECT_EQ(outbox_.lent() + peer_outbox_.lent(), 0u);
}

TEST_F(StreamTest, WhatIsQueuedDuringASendFollowsIt) {
  Open();
  const std::string first = Pattern(2_MiB);
  SendFrom(server(), first);
  world().RunFor(absl::Milliseconds(1));
  SendFrom(server(), "last");
  EXPECT_TRUE(Until([&] { return server().drained_count == 1; }));
  EXPECT_TRUE(Until([&] { return client().received.size() == first.size() + 4; }));
  EXPECT_EQ(client().received, first + "last");
}

TEST_F(StreamTest, APausedOwnerLosesNothing) {
  Open();
  const std::string sent = Pattern(1_MiB);
  server().room = 1000;
  SendFrom(client(), sent);
  EXPECT_TRUE(Until([&] { return server().received.size() == 1000; }));
  world().RunFor(absl::Milliseconds(20));
  EXPECT_EQ(server().received.size(), 1000u);
  EXPECT_TRUE(Until([&] {
    if (server().room == 0) {
      server().room = 10'007;
      server().stream.Resume();
    }
    return server().received.size() == sent.size();
  }));
  EXPECT_EQ(server().received, sent);
}

TEST_F(StreamTest, APausedOwnerIsNotFlooded) {
  Open();
  server().room = 0;
  SendFrom(client(), Pattern(32_MiB));
  world().RunFor(absl::Milliseconds(100));
  EXPECT_EQ(server().received, "");
  EXPECT_EQ(client().drained_count, 0) << "the window closes: the sender is held back";
  EXPECT_GT(client().stream.queued_bytes(), 0u);
}

TEST_F(StreamTest, ResumeWithNothingKeptDoesNothing) {
  Open();
  server().stream.Resume();
  SendFrom(client(), "abc");
  EXPECT_TRUE(Until([&] { return server().received == "abc"; }));
}

TEST_F(StreamTest, ThePeersEndIsToldAfterTheLastByteWasTaken) {
  Open();
  server().room = 2;
  client().stream.Queue(AsBytes("QUIT\r\n"));
  client().stream.CloseAfterSend();
  EXPECT_TRUE(Until([&] { return client().drained_count == 1; }));
  world().RunFor(absl::Milliseconds(10));
  EXPECT_EQ(server().received, "QU");
  EXPECT_FALSE(server().ended);
  EXPECT_TRUE(Until([&] {
    server().room = 100;
    server().stream.Resume();
    return server().ended;
  }));
  EXPECT_EQ(server().received, "QUIT\r\n");
  EXPECT_EQ(server().end_error, IoError::kNone);
}

TEST_F(StreamTest, CloseAfterSendSendsEverythingFirst) {
  Open();
  const std::string sent = Pattern(3_MiB);
  server().stream.Queue(AsBytes(sent));
  server().stream.CloseAfterSend();
  EXPECT_FALSE(server().stream.open());
  EXPECT_TRUE(Until([&] { return client().ended; }));
  EXPECT_EQ(client().received, sent);
  EXPECT_EQ(client().end_error, IoError::kNone);
  EXPECT_EQ(server().drained_count, 1);
  EXPECT_EQ(server().closed_count, 0) << "it lingers until the client ends too";
  client().Close();
  EXPECT_TRUE(Until([&] { return server().stream.closed(); }));
  EXPECT_EQ(server().closed_count, 1);
  EXPECT_FALSE(server().ended) << "nothing is told to an owner that said close";
}

TEST_F(StreamTest, CloseAfterSendReadsOnSoThatTheLastReplyIsNotLost) {
  Open();
  // The client talks on while the server says goodbye; unread bytes at close() would mean a reset.
  server().room = 4;
  SendFrom(client(), Pattern(100'000));
  EXPECT_TRUE(Until([&] { return server().received.size() == 4; }));
  const std::string last = Pattern(200'000);
  server().stream.Queue(AsBytes(last));
  server().stream.CloseAfterSend();
  EXPECT_TRUE(Until([&] { return client().ended; }));
  EXPECT_EQ(client().received, last);
  EXPECT_EQ(server().received.size(), 4u) << "nothing is told to an owner that said close";
}

TEST_F(StreamTest, AClientThatTalksOnBehindTheLastReplyIsNotReset) {
  Open();
  server().stream.Queue(AsBytes("521 5.5.2 bare line feed\r\n"));
  server().stream.CloseAfterSend();
  EXPECT_TRUE(Until([&] { return client().ended; }));
  for (int round = 1; round <= 20; ++round) {
    SendFrom(client(), Pattern(50'000));
    EXPECT_TRUE(Until([&] { return client().drained_count == round; }));
  }
  EXPECT_EQ(client().received, "521 5.5.2 bare line feed\r\n");
  EXPECT_EQ(client().end_error, IoError::kNone);
  EXPECT_FALSE(server().stream.closed());
  client().stream.CloseAfterSend();
  EXPECT_TRUE(Until([&] { return server().stream.closed() && client().stream.closed(); }));
}

// What it had on its way is read, so that it can read why; then it talks to nobody.
TEST_F(StreamTest, OfAPeerThatNeverStopsTalkingSoMuchIsRead) {
  Open();
  server().stream.Queue(AsBytes("221 2.0.0 Bye\r\n"));
  server().stream.CloseAfterSend(1024 * 1024);
  const std::string piece = Pattern(256_KiB);
  size_t pieces = 0;
  for (int step = 0; step < 400; ++step) {
    if (client().stream.queued_bytes() == 0) {
      SendFrom(client(), piece);
      ++pieces;
    }
    world().RunFor(absl::Milliseconds(10));
  }
  EXPECT_GT(pieces, 4u) << "what may have been on its way is read";
  EXPECT_LT(pieces, 100u) << "of 400; a kernel's buffers hold some, too";
  EXPECT_EQ(client().received, "221 2.0.0 Bye\r\n");
  EXPECT_FALSE(server().stream.closed());
  server().Close();
  EXPECT_TRUE(Until([&] { return server().stream.closed(); }));
}

TEST_F(StreamTest, TheOwnersTimerEndsTheLingering) {
  Open();
  server().stream.Queue(AsBytes("221 2.0.0 Bye\r\n"));
  server().stream.CloseAfterSend();
  EXPECT_TRUE(Until([&] { return client().ended && server().drained_count == 1; }));
  world().RunFor(absl::Milliseconds(20));
  EXPECT_FALSE(server().stream.closed());
  server().Close();
  EXPECT_TRUE(Until([&] { return server().stream.closed(); }));
  EXPECT_EQ(server().closed_count, 1);
}

TEST_F(StreamTest, CloseAfterSendWithNothingQueuedLingersToo) {
  Open();
  server().stream.CloseAfterSend();
  EXPECT_FALSE(server().stream.closed());
  EXPECT_TRUE(Until([&] { return client().ended; }));
  EXPECT_FALSE(server().stream.closed());
  client().Close();
  EXPECT_TRUE(Until([&] { return server().stream.closed(); }));
  EXPECT_EQ(server().closed_count, 1);
}

TEST_F(StreamTest, AHalfClosedPeerStillGetsItsAnswer) {
  Open();
  server().on_end = [&] {
    server().stream.Queue(AsBytes("221 2.0.0 Bye\r\n"));
    server().stream.CloseAfterSend();
  };
  client().stream.Queue(AsBytes("QUIT\r\n"));
  client().stream.CloseAfterSend();
  EXPECT_TRUE(Until([&] { return server().stream.closed(); }));
  EXPECT_EQ(server().received, "QUIT\r\n");
}

TEST_F(StreamTest, CloseDropsWhatIsQueuedAndEndsOnce) {
  Open();
  server().stream.Queue(AsBytes(Pattern(32_MiB)));
  server().stream.Flush();
  client().room = 0;
  world().RunFor(absl::Milliseconds(5));
  server().Close();
  server().Close();
  EXPECT_FALSE(server().stream.open());
  EXPECT_TRUE(Until([&] { return server().stream.closed(); }));
  world().RunFor(absl::Milliseconds(5));
  EXPECT_EQ(server().closed_count, 1);
  EXPECT_FALSE(server().ended) << "the owner closed: nothing more is told";
}

TEST_F(StreamTest, CloseWhilePausedEnds) {
  Open();
  server().room = 0;
  SendFrom(client(), "abc");
  world().RunFor(absl::Milliseconds(10));
  server().Close();
  EXPECT_TRUE(Until([&] { return server().stream.closed(); }));
  EXPECT_EQ(server().received, "");
}

TEST_F(StreamTest, TheOwnerMayCloseInsideAnyEventAndDieInTheLast) {
  for (const int event : {0, 1, 2}) {
    Open();
    Owner& owner = server();
    const auto close = [&owner] { owner.Close(); };
    if (event == 0) {
      owner.on_bytes = close;
    } else if (event == 1) {
      owner.on_end = close;
    } else {
      owner.on_drained = close;
    }
    owner.on_closed = [this] { server_.reset(); };
    SendFrom(owner, "220\r\n");
    SendFrom(client(), "EHLO\r\n");
    if (event == 1) {
      EXPECT_TRUE(Until([&] { return client().drained_count == 1; }));
      client().Close();
    }
    EXPECT_TRUE(Until([&] { return server_ == nullptr; })) << "event " << event;
    CloseBoth();
  }
}

TEST_F(StreamTest, AStreamMayBeStartedAgainAfterItsEnd) {
  Open();
  server().Close();
  EXPECT_TRUE(Until([&] { return server().stream.closed() && client().ended; }));
  CloseBoth();
  const SocketPair pair = Connect();
  Forget(io(), pair.server);
  Forget(peer(), pair.client);
  server().closed_count = 0;
  server().stream.Start(pair.server);
  client_ = std::make_unique<Owner>(peer_outbox_, pair.client);
  SendFrom(client(), "again");
  EXPECT_TRUE(Until([&] { return server().received == "again"; }));
}

TEST_F(StreamTest, ABrokenConnectionIsToldOnceAsAnEnd) {
  Open();
  client().Close();
  EXPECT_TRUE(Until([&] {
    SendFrom(server(), "250 2.0.0 Ok\r\n");
    return client().stream.closed() && server().ended;
  }));
  world().RunFor(absl::Milliseconds(10));
  EXPECT_TRUE(server().stream.open()) << "the owner answers with Close()";
}

TEST_F(StreamTest, ARefusedSendIsFoundOutWhilePaused) {
  Open();
  server().room = 0;
  SendFrom(client(), "421 go away\r\n");
  world().RunFor(absl::Milliseconds(10));
  client().Close();
  EXPECT_TRUE(Until([&] { return client().stream.closed(); }));
  for (int round = 0; round < 5; ++round) {
    SendFrom(server(), "MAIL FROM:<>\r\n");
    world().RunFor(absl::Milliseconds(5));
  }
  server().room = SIZE_MAX;
  server().stream.Resume();
  EXPECT_TRUE(Until([&] { return server().ended; }));
  EXPECT_EQ(server().received, "421 go away\r\n") << "what the peer said before is not lost";
}

// With nothing to receive and nothing to send there would be nobody to tell the owner.
TEST_F(StreamTest, ARefusedSendWakesAnOwnerThatPaused) {
  Open();
  server().room = 0;
  SendFrom(client(), "NOOP\r\n");
  world().RunFor(absl::Milliseconds(10));
  client().Close();
  EXPECT_TRUE(Until([&] { return client().stream.closed(); }));
  SendFrom(server(), "250 2.0.0 Ok\r\n");  // taken by the kernel, and answered with a reset
  world().RunFor(absl::Milliseconds(10));
  server().on_drained = [&] {
    server().room = SIZE_MAX;
    server().stream.Resume();
  };
  SendFrom(server(), "250 2.0.0 Ok\r\n");
  EXPECT_TRUE(Until([&] { return server().ended; }));
  EXPECT_EQ(server().received, "NOOP\r\n");
}

TEST_F(StreamTest, AByteAtATimeIsStillTheSameText) {
  Open();
  const std::string sent = Pattern(2'000);
  size_t next = 0;
  EXPECT_TRUE(Until([&] {
    if (next < sent.size()) {
      SendFrom(client(), sent.substr(next, 1));
      ++next;
    }
    return server().received.size() == sent.size();
  }));
  EXPECT_EQ(server().received, sent);
}

}  // namespace
}  // namespace backstay
