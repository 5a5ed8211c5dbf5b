// tests/io/contract_test.cc -- the sentences of io/io.h on turns, time and canceling.
//
// Built against each back end from this source; contract_network_test.cc has the sentences on the
// network, contract_files_test.cc those on files.
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

}  // namespace
}  // namespace backstay
