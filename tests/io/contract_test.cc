// tests/io/contract_test.cc -- the sentences of io/io.h on turns, time, canceling and the network.
//
// Built against each back end from this source; contract_files_test.cc has the sentences on files.
#include <gtest/gtest.h>

#include "core/base/units.h"
#include "tests/io/contract_fixture.h"

namespace backstay {
namespace {

class Contract : public ContractTest {};

// ---- time and chance ----

TEST_F(Contract, AnIdleTurnEndsAtItsWakeInstant) {
  const Instant wake = io().Now() + absl::Milliseconds(20);
  io().Turn(wake);
  EXPECT_GE(io().Now(), wake);
  EXPECT_LT(io().Now(), wake + absl::Seconds(5));
}

TEST_F(Contract, ATurnWhoseWakeIsPastDoesNotWait) {
  const Instant before = io().Now();
  io().Turn(before);
  io().Turn(before - absl::Hours(1));
  io().Turn(Instant());
  EXPECT_LT(io().Now() - before, absl::Seconds(5));
}

TEST_F(Contract, TimeStandsStillBetweenTurnsAndNeverGoesBack) {
  for (int turn = 0; turn < 10; ++turn) {
    const Instant now = io().Now();
    const WallTime wall = io().WallNow();
    EXPECT_EQ(io().Now(), now);
    EXPECT_EQ(io().WallNow(), wall);
    io().Turn(now + absl::Milliseconds(1));
    EXPECT_GE(io().Now(), now);
  }
}

TEST_F(Contract, TimeStandsStillDuringATurn) {
  const Fd directory = Scratch();
  const Fd file = MakeFile(directory, "file", "content");
  std::vector<Instant> seen;
  std::vector<uint8_t> buffer(8 * 16);
  std::vector<std::unique_ptr<Recorder>> reads;
  for (size_t index = 0; index < 16; ++index) {
    reads.push_back(std::make_unique<Recorder>());
    reads.back()->on_event = [&] {
      const Instant now = io().Now();
      for (int spin = 0; spin < 1000; ++spin) {
        io().random().Next();
      }
      EXPECT_EQ(io().Now(), now);
      seen.push_back(now);
    };
    io().Read(reads.back()->op(), file, MutableBytes(buffer).subspan(index * 8, 8), Offset{0});
  }
  EXPECT_TRUE(world().RunUntil([&] { return seen.size() == 16; }));
  EXPECT_TRUE(std::is_sorted(seen.begin(), seen.end()));
}

TEST_F(Contract, RandomNumbersDiffer) {
  EXPECT_NE(io().random().Next(), io().random().Next());
}

// ---- turns and wakes ----

TEST_F(Contract, AWakeBeforeTheTurnEndsItAtOnce) {
  const Instant before = io().Now();
  io().Wake();
  io().Turn(before + absl::Hours(1));
  EXPECT_LT(io().Now() - before, absl::Minutes(1));
}

TEST_F(Contract, AWakeIsUsedUpByOneTurn) {
  io().Wake();
  io().Wake();
  io().Turn(io().Now() + absl::Hours(1));
  const Instant wake = io().Now() + absl::Milliseconds(20);
  io().Turn(wake);
  io().Turn(wake);  // a spurious early return is allowed once
  EXPECT_GE(io().Now(), wake);
}

TEST_F(Contract, NoCompletionRunsInsideAVerb) {
  const SocketPair pair = Connect();
  const Fd directory = Scratch();
  const Fd file = MakeFile(directory, "file", "content");
  const Fd listener = Listen();
  std::vector<uint8_t> buffer(16);
  Recorder ops[13];
  size_t next = 0;
  io().Accept(ops[next++].op(), listener);
  io().Connect(ops[next++].op(), world().refusing_address());
  io().Receive(ops[next++].op(), pair.server);
  io().Send(ops[next++].op(), pair.server, AsBytes("220 hello\r\n"));
  io().Open(ops[next++].op(), directory, "absent", OpenMode::kRead);
  io().Read(ops[next++].op(), file, buffer, Offset{0});
  io().Write(ops[next++].op(), file, AsBytes("new"), Offset{100});
  io().SyncData(ops[next++].op(), file);
  io().SyncDirectory(ops[next++].op(), directory);
  io().Allocate(ops[next++].op(), file, 4096);
  io().Truncate(ops[next++].op(), file, 8192);
  io().Unlink(ops[next++].op(), directory, "absent");
  io().Connect(ops[next++].op(), io().LocalAddress(listener));
  for (const Recorder& op : ops) {
    EXPECT_FALSE(op.done());
    EXPECT_TRUE(op.events().empty());
  }
  io().Cancel(ops[2].op());
  EXPECT_TRUE(ops[2].events().empty()) << "not inside Cancel either";
  EXPECT_TRUE(world().RunUntil([&] {
    return ops[0].events().size() == 1 &&
           std::all_of(std::begin(ops) + 1, std::end(ops), [](auto& op) { return op.done(); });
  }));
  io().Cancel(ops[0].op());
  EXPECT_TRUE(Await(ops[0]));
  io().Close(ops[0].events().front().fd);
  io().Close(ops[12].last().fd);
  world().RunFor(absl::Milliseconds(20));
  for (size_t index = 1; index < std::size(ops); ++index) {
    EXPECT_EQ(ops[index].events().size(), 1u) << "op " << index << " completes exactly once";
  }
}

TEST_F(Contract, ACompletionMayStartItsOpAgain) {
  const Fd file = MakeFile(Scratch(), "file", "0123456789");
  std::vector<uint8_t> buffer(10);
  Recorder read;
  read.on_event = [&] {
    if (read.events().size() < 50) {
      io().Read(read.op(), file, buffer, Offset{0});
    }
  };
  io().Read(read.op(), file, buffer, Offset{0});
  EXPECT_TRUE(AwaitEvents(read, 50));
  world().RunFor(absl::Milliseconds(5));
  EXPECT_EQ(read.events().size(), 50u);
}

TEST_F(Contract, WhatACompletionStartsEndsInALaterTurn) {
  const Fd file = MakeFile(Scratch(), "file", "0123456789");
  std::vector<uint8_t> buffer(10);
  Recorder first;
  Recorder second;
  int turns = 0;
  int first_turn = 0;
  int second_turn = 0;
  first.on_event = [&] {
    first_turn = turns;
    io().Read(second.op(), file, buffer, Offset{0});
  };
  second.on_event = [&] { second_turn = turns; };
  io().Read(first.op(), file, buffer, Offset{0});
  EXPECT_TRUE(world().RunUntil([&] {
    ++turns;
    return !second.events().empty();
  }));
  EXPECT_LT(first_turn, second_turn);
}

TEST_F(Contract, ThousandsOfOpsMayBeQueuedInOneTurn) {
  constexpr size_t kOps = 5000;
  const Fd file = MakeFile(Scratch(), "file", std::string(kOps, 'x'));
  std::vector<uint8_t> buffer(kOps);
  std::vector<std::unique_ptr<Recorder>> reads;
  for (size_t index = 0; index < kOps; ++index) {
    reads.push_back(std::make_unique<Recorder>());
    io().Read(reads.back()->op(), file, MutableBytes(buffer).subspan(index, 1), Offset{index});
  }
  EXPECT_TRUE(world().RunUntil([&] {
    return std::all_of(reads.begin(), reads.end(), [](auto& read) { return read->done(); });
  }));
  EXPECT_TRUE(std::all_of(reads.begin(), reads.end(), [](auto& read) {
    return read->events().size() == 1 && read->last().count == 1;
  }));
}

// ---- cancellation ----

TEST_F(Contract, CancelOfAnIdleOpDoesNothing) {
  Recorder idle;
  io().Cancel(idle.op());
  world().RunFor(absl::Milliseconds(5));
  EXPECT_TRUE(idle.events().empty());
}

TEST_F(Contract, ACanceledReceiveEndsOnce) {
  const SocketPair pair = Connect();
  Recorder receive;
  io().Receive(receive.op(), pair.server);
  world().RunFor(absl::Milliseconds(5));
  io().Cancel(receive.op());
  io().Cancel(receive.op());
  EXPECT_TRUE(Await(receive));
  world().RunFor(absl::Milliseconds(5));
  ASSERT_EQ(receive.events().size(), 1u);
  EXPECT_EQ(receive.last().error, IoError::kCanceled);
}

TEST_F(Contract, AnOpMayBeCanceledBeforeItWasSubmitted) {
  const SocketPair pair = Connect();
  Recorder receive;
  io().Receive(receive.op(), pair.server);
  io().Cancel(receive.op());
  EXPECT_TRUE(Await(receive));
  ASSERT_EQ(receive.events().size(), 1u);
  EXPECT_EQ(receive.last().error, IoError::kCanceled);
}

TEST_F(Contract, ACanceledReceiveMayBeStartedAgainAndLosesNothing) {
  const SocketPair pair = Connect();
  Recorder receive;
  io().Receive(receive.op(), pair.server);
  io().Cancel(receive.op());
  EXPECT_TRUE(Await(receive));
  SendAll(peer(), pair.client, "abc");
  receive.Clear();
  receive.ReceiveAll(io(), pair.server);
  EXPECT_TRUE(world().RunUntil([&] { return receive.received() == "abc"; }));
  io().Cancel(receive.op());
  EXPECT_TRUE(Await(receive));
}

TEST_F(Contract, AMultishotOpMayBeCanceledByItsOwnCompletion) {
  const Fd listener = Listen();
  Recorder accept;
  accept.on_event = [&] { io().Cancel(accept.op()); };
  io().Accept(accept.op(), listener);
  Recorder connect;
  peer().Connect(connect.op(), io().LocalAddress(listener));
  EXPECT_TRUE(Await(connect));
  EXPECT_TRUE(Await(accept));
  EXPECT_FALSE(accept.last().more);
  for (const Event& event : accept.events()) {
    if (event.fd.valid()) {
      io().Close(event.fd);
    }
  }
  if (connect.last().ok()) {
    peer().Close(connect.last().fd);
  }
}

TEST_F(Contract, CancelThatComesTooLateLeavesTheResult) {
  const Fd file = MakeFile(Scratch(), "file", "0123456789");
  std::vector<uint8_t> buffer(10);
  for (int round = 0; round < 20; ++round) {
    Recorder read;
    io().Read(read.op(), file, buffer, Offset{0});
    if (round % 2 == 1) {
      io().Turn(io().Now());
    }
    io().Cancel(read.op());
    ASSERT_TRUE(Await(read));
    ASSERT_EQ(read.events().size(), 1u);
    EXPECT_TRUE(read.last().count == 10 || read.last().error == IoError::kCanceled);
  }
}

TEST_F(Contract, ACanceledConnectEndsWithASocketOrCanceled) {
  const Fd listener = Listen();
  Recorder connect;
  peer().Connect(connect.op(), io().LocalAddress(listener));
  peer().Cancel(connect.op());
  EXPECT_TRUE(Await(connect));
  ASSERT_EQ(connect.events().size(), 1u);
  if (connect.last().ok()) {
    peer().Close(connect.last().fd);
  } else {
    EXPECT_EQ(connect.last().error, IoError::kCanceled);
  }
}

// ---- network ----

TEST_F(Contract, PortZeroIsReplacedByAChosenOne) {
  const Fd first = Listen();
  const Fd second = Listen();
  EXPECT_NE(io().LocalAddress(first).port(), 0);
  EXPECT_NE(io().LocalAddress(first), io().LocalAddress(second));
}

TEST_F(Contract, ListenersMayShareAPort) {
  const Fd first = Listen();
  auto second = io().Listen(io().LocalAddress(first), 128);
  ASSERT_TRUE(second.ok()) << second.status().ToString();
  EXPECT_EQ(io().LocalAddress(first), io().LocalAddress(*second));
  io().Close(*second);
}

TEST_F(Contract, BothEndsAgreeOnTheirAddresses) {
  const SocketPair pair = Connect();
  EXPECT_EQ(io().LocalAddress(pair.server), peer().PeerAddress(pair.client));
  EXPECT_EQ(io().PeerAddress(pair.server), peer().LocalAddress(pair.client));
}

TEST_F(Contract, AcceptGoesOnUntilItIsCanceled) {
  const Fd listener = Listen();
  Recorder accept;
  io().Accept(accept.op(), listener);
  Recorder connects[5];
  for (Recorder& connect : connects) {
    peer().Connect(connect.op(), io().LocalAddress(listener));
  }
  EXPECT_TRUE(AwaitEvents(accept, 5));
  for (Recorder& connect : connects) {
    EXPECT_TRUE(Await(connect));
    ASSERT_TRUE(connect.last().ok());
    peer().Close(connect.last().fd);
  }
  for (const Event& event : accept.events()) {
    EXPECT_TRUE(event.ok());
    EXPECT_TRUE(event.more);
    io().Close(event.fd);
  }
  io().Cancel(accept.op());
  EXPECT_TRUE(Await(accept));
  EXPECT_EQ(accept.events().size(), 6u);
  EXPECT_EQ(accept.last().error, IoError::kCanceled);
}

TEST_F(Contract, ConnectingToNobodyIsRefused) {
  const Event result = Run([&](Op* op) { peer().Connect(op, world().refusing_address()); });
  EXPECT_EQ(result.error, IoError::kRefused);
  EXPECT_FALSE(result.fd.valid());
}

TEST_F(Contract, BytesArriveInOrderAndOnce) {
  const SocketPair pair = Connect();
  const std::string sent = Pattern(300'000);
  Recorder receive;
  receive.ReceiveAll(io(), pair.server);
  SendAll(peer(), pair.client, sent);
  EXPECT_TRUE(world().RunUntil([&] { return receive.received().size() >= sent.size(); }));
  EXPECT_EQ(receive.received(), sent);
  io().Cancel(receive.op());
  EXPECT_TRUE(Await(receive));
}

TEST_F(Contract, AReceiveBringsOnePieceAndNothingUntilTheNext) {
  const SocketPair pair = Connect();
  const std::string much = Pattern(32_MiB);  // more than both socket buffers hold
  Recorder receive;
  Recorder send;
  io().Receive(receive.op(), pair.server);
  peer().Send(send.op(), pair.client, AsBytes(much));
  EXPECT_TRUE(Await(receive));
  world().RunFor(absl::Milliseconds(50));
  ASSERT_EQ(receive.events().size(), 1u);
  EXPECT_FALSE(receive.last().more);
  EXPECT_GT(receive.last().count, 0u);
  EXPECT_LE(receive.last().count, 16_KiB);
  EXPECT_EQ(receive.received(), much.substr(0, receive.last().count));
  peer().Shutdown(pair.client);
  EXPECT_TRUE(Await(send));
}

TEST_F(Contract, BothDirectionsRunAtOnce) {
  const SocketPair pair = Connect();
  Recorder at_server;
  Recorder at_client;
  at_server.ReceiveAll(io(), pair.server);
  at_client.ReceiveAll(peer(), pair.client);
  SendAll(peer(), pair.client, "EHLO client.example\r\n");
  SendAll(io(), pair.server, "250 server.example\r\n");
  EXPECT_TRUE(world().RunUntil([&] {
    return at_server.received() == "EHLO client.example\r\n" &&
           at_client.received() == "250 server.example\r\n";
  }));
  io().Cancel(at_server.op());
  peer().Cancel(at_client.op());
  EXPECT_TRUE(Await(at_server) && Await(at_client));
}

TEST_F(Contract, ThePeersOrderlyEndIsTheLastEvent) {
  const SocketPair pair = Connect();
  Recorder receive;
  receive.ReceiveAll(io(), pair.server);
  SendAll(peer(), pair.client, "QUIT\r\n");
  CloseNow(peer(), pair.client);
  EXPECT_TRUE(Await(receive));
  EXPECT_EQ(receive.received(), "QUIT\r\n");
  EXPECT_TRUE(receive.last().ok());
  EXPECT_EQ(receive.last().count, 0u);
  EXPECT_FALSE(receive.last().more);
}

TEST_F(Contract, SendingToAPeerThatIsGoneEndsInReset) {
  const SocketPair pair = Connect();
  CloseNow(peer(), pair.client);
  Recorder send;
  EXPECT_TRUE(world().RunUntil([&] {
    if (send.done() && (send.events().empty() || send.last().ok())) {
      io().Send(send.op(), pair.server, AsBytes("250 Ok\r\n"));
    }
    return send.done();
  }));
  EXPECT_EQ(send.last().error, IoError::kReset);
}

TEST_F(Contract, ShutdownEndsAPendingReceiveAndThePeers) {
  const SocketPair pair = Connect();
  Recorder ours;
  Recorder theirs;
  io().Receive(ours.op(), pair.server);
  peer().Receive(theirs.op(), pair.client);
  world().RunFor(absl::Milliseconds(5));
  io().Shutdown(pair.server);
  EXPECT_TRUE(Await(ours));
  EXPECT_TRUE((ours.last().ok() && ours.last().count == 0) || ours.last().error == IoError::kReset);
  EXPECT_TRUE(Await(theirs));
  EXPECT_TRUE(theirs.last().ok());
  EXPECT_EQ(theirs.last().count, 0u);
}

TEST_F(Contract, AReceiveAfterShutdownEndsToo) {
  const SocketPair pair = Connect();
  io().Shutdown(pair.server);
  io().Shutdown(pair.server);
  Recorder receive;
  io().Receive(receive.op(), pair.server);
  EXPECT_TRUE(Await(receive));
  EXPECT_TRUE((receive.last().ok() && receive.last().count == 0) ||
              receive.last().error == IoError::kReset);
  EXPECT_FALSE(receive.last().more);
}

TEST_F(Contract, ShutdownEndsASendThatFoundNoRoom) {
  const SocketPair pair = Connect();
  const std::string much = Pattern(32_MiB);  // more than both socket buffers hold
  Recorder send;
  io().Send(send.op(), pair.server, AsBytes(much));
  world().RunFor(absl::Milliseconds(20));
  io().Shutdown(pair.server);
  EXPECT_TRUE(Await(send));
  EXPECT_EQ(send.events().size(), 1u);
  EXPECT_TRUE(send.last().error == IoError::kReset ||
              (send.last().ok() && send.last().count < much.size()));
}

TEST_F(Contract, BytesSentBeforeShutdownStillArrive) {
  const SocketPair pair = Connect();
  SendAll(io(), pair.server, "221 2.0.0 Bye\r\n");
  io().Shutdown(pair.server);
  Recorder receive;
  receive.ReceiveAll(peer(), pair.client);
  EXPECT_TRUE(Await(receive));
  EXPECT_EQ(receive.received(), "221 2.0.0 Bye\r\n");
  EXPECT_TRUE(receive.last().ok());
}

TEST_F(Contract, ADescriptorMayBeReusedAfterClose) {
  for (int round = 0; round < 5; ++round) {
    const SocketPair pair = Connect();
    SendAll(peer(), pair.client, "abc");
    Recorder receive;
    receive.ReceiveAll(io(), pair.server);
    EXPECT_TRUE(world().RunUntil([&] { return receive.received() == "abc"; }));
    io().Cancel(receive.op());
    EXPECT_TRUE(Await(receive));
    CloseNow(io(), pair.server);
    CloseNow(peer(), pair.client);
  }
}

}  // namespace
}  // namespace backstay
