// tests/spool/evacuation_test.cc -- mostly dead segments are emptied: what waits stays the message
// that it was, wherever its record lies and whenever the machine stops.
#include "spool/evacuation.h"

#include "core/base/mark.h"
#include "spool/spool_impl.h"
#include "tests/spool/evacuation_fixture.h"

namespace backstay {
namespace {

TEST_F(EvacuationTest, AWaitingMessageDoesNotHoldItsSegment) {
  harness_.Start();
  const Sent& sent = harness_.SendAndWait(TestContent(1, 5_KiB));
  const MessageRef message = sent.message;
  const std::string content = WholeOf(sent);
  const QueueId id = harness_.spool->Id(message);
  const SpoolTime arrival = harness_.spool->Arrival(message);
  LetItMove(harness_, message);
  EXPECT_EQ(harness_.spool->Stats().messages_moved, 1U);
  for (const CrashMode mode : {CrashMode::kNothingUnsynced, CrashMode::kAllUnsynced}) {
    ASSERT_EQ(harness_.Live(), std::vector{message});
    EXPECT_TRUE(harness_.Read(message).content == content);
    EXPECT_EQ(harness_.spool->Id(message), id);
    EXPECT_EQ(harness_.spool->Arrival(message), arrival);
    harness_.Restart(mode);
    EXPECT_EQ(harness_.spool->Stats().damaged_records, 0U);
  }
  harness_.Settle(message, 0);
  harness_.Idle(absl::Seconds(5));
  EXPECT_EQ(harness_.SegmentFiles().size(), 2U);
  harness_.Restart(CrashMode::kNothingUnsynced);
  EXPECT_TRUE(harness_.Live().empty());
}

// The record of the moved message stands behind that of a report that nobody was told of yet.
TEST_F(EvacuationTest, AReportUnderWayEndsTheDebtOfWhatIsMoved) {
  harness_.Start();
  const MessageRef failed = harness_.SendAndWait(TestContent(1, 5_KiB)).message;
  harness_.Settle(failed, 0, SettleKind::kFailed, "550 no such user");
  GoRound(harness_, 70);
  SpoolHarness first(1, Options());
  const Instant began = StartFrom(harness_, first);
  ASSERT_TRUE(first.TurnUntil([&] { return first.spool->Stats().messages_moved == 1; }));
  const absl::Duration moved_after = first.io->Now() - began;
  for (absl::Duration early; early < absl::Milliseconds(10); early += absl::Microseconds(200)) {
    SpoolHarness harness(1, Options());
    StartFrom(harness_, harness);
    harness.Idle(moved_after - early);
    Sent& sent = harness.Begin(TestContent(2, 500), {"@sender.example"});
    sent.Report(failed, {Debt(0)});
    sent.writer.Append(AsBytes(sent.content));
    sent.writer.Finish(sent);
    LetItMove(harness, failed);
    harness.Crash(CrashMode::kNothingUnsynced);
    harness.DeleteCheckpoints();
    harness.Start();
    EXPECT_FALSE(harness.spool->IsPending(failed, 0)) << early;
    EXPECT_EQ(harness.Live("@sender.example").size(), 1U);
  }
}

// Gone already: only the moved record holds it, and that is being moved in turn.
TEST_F(EvacuationTest, WhatEndsWhileItIsMovedAgainIsGone) {
  const uint64_t ended = MarkCount("ended while it was being moved");
  SpoolHarness before(1, Options());
  before.Start();
  const MessageRef message = before.SendAndWait(TestContent(1, 28_KiB)).message;
  LetItMove(before, message);
  GoRound(before, 70);
  before.Idle(absl::Milliseconds(200));  // the last one is known as settled
  SpoolHarness first(1, Options());
  const Instant began = StartFrom(before, first);
  ASSERT_TRUE(first.TurnUntil([&] { return first.spool->Stats().messages_moved == 1; }));
  const absl::Duration moved_after = first.io->Now() - began;
  Rule discard;
  discard.verb = RuleVerb::kDelete;
  discard.epoch = 1;
  discard.domains = {"a.example"};
  for (const bool is_by_rule : {false, true}) {
    for (absl::Duration early; early < absl::Milliseconds(14); early += absl::Microseconds(200)) {
      SpoolHarness harness(1, Options());
      StartFrom(before, harness);
      harness.Idle(moved_after - early);
      if (is_by_rule) {
        harness.spool->ApplyRule(discard);
      } else {
        harness.Settle(message, 0);
      }
      harness.Idle(absl::Seconds(2));
      EXPECT_TRUE(harness.Live().empty()) << early;
      const DomainAccount account = harness.spool->AccountOfAll();
      harness.Restart(CrashMode::kNothingUnsynced);
      EXPECT_TRUE(harness.Live().empty()) << early;
      EXPECT_EQ(harness.spool->Stats().recipients_unaccounted, 0U) << early;
      EXPECT_EQ(harness.spool->AccountOfAll(), account) << early;
    }
  }
  EXPECT_GT(MarkCount("ended while it was being moved"), ended);
}

// The record that it is moved to knows of the debt already, and the reason stands behind it.
TEST_F(EvacuationTest, WhatFailsWhileItIsMovedKeepsItsReason) {
  SpoolHarness before(1, Options());
  before.Start();
  const MessageRef message = before.SendAndWait(TestContent(1, 28_KiB)).message;
  GoRound(before, 70);
  before.Idle(absl::Milliseconds(200));
  SpoolHarness first(1, Options());
  StartFrom(before, first);
  int turns = 0;
  for (; first.spool->Stats().messages_moved == 0; ++turns) {
    first.Turn();
  }
  for (int early = 0; early < 30; ++early) {
    SpoolHarness harness(1, Options());
    StartFrom(before, harness);
    for (int turn = 0; turn < turns - early; ++turn) {
      harness.Turn();
    }
    harness.Settle(message, 0, SettleKind::kFailed, "550 no");
    const std::string home = SpoolHarness::SegmentPath(message.segment);
    EXPECT_TRUE(harness.TurnUntil([&] { return !harness.disk().Exists(home); }));
    harness.Idle(absl::Seconds(1));
    harness.Crash(CrashMode::kNothingUnsynced);
    harness.DeleteCheckpoints();
    harness.Start();
    EXPECT_EQ(AsText(harness.spool->FailureOf(message, 0)), "550 no") << early;
  }
}

// A checkpoint that does not cover its new record knows whom it has reached.
TEST_F(EvacuationTest, WhatEndsBehindItsMoveIsAccountedForOnce) {
  for (const bool is_all : {false, true}) {
    SpoolHarness harness(1, Options());
    harness.Start();
    const MessageRef message =
        harness.SendAndWait(TestContent(1, 5_KiB), {"a.example", "b.example"}).message;
    GoRound(harness, 20);
    const MessageRef large = harness.SendAndWait(TestContent(2, 100_KiB)).message;  // not moved
    LetItMove(harness, message);
    harness.Settle(message, 0);
    if (is_all) {
      harness.Settle(message, 1);
    } else {  // in haste checkpoints are made for segments that are not the oldest, too
      harness.disk().set_capacity_bytes(harness.disk().used_bytes() + 64_KiB);
    }
    harness.Settle(large, 0);
    const std::string path = SpoolHarness::SegmentPath(large.segment);
    EXPECT_TRUE(harness.TurnUntil([&] { return !harness.disk().Exists(path); }));
    for (int start = 0; start < 3; ++start) {
      const DomainAccount account = harness.spool->AccountOfAll();
      EXPECT_EQ(account.owed(), is_all ? 0U : 1U);
      harness.Restart(CrashMode::kNothingUnsynced);
      EXPECT_EQ(harness.spool->AccountOfAll(), account) << start;
      EXPECT_EQ(harness.spool->Stats().recipients_unaccounted, 0U) << start;
    }
  }
}

TEST_F(EvacuationTest, EachMovedMessageIsCountedOnce) {
  harness_.Start();
  harness_.SendAndWait(TestContent(1, 17_KiB));
  harness_.SendAndWait(TestContent(2, 1_KiB));  // ends earlier
  GoRound(harness_, 70);
  harness_.Idle(absl::Seconds(5));
  EXPECT_EQ(harness_.spool->Stats().messages_moved, 2U);
}

// Delivered about when it is moved: its old parts may be asked for when their file is gone, and the
// segment is known again for another message's sake.
TEST_F(EvacuationTest, PartsInASegmentThatIsGoneAreNotCounted) {
  SpoolOptions options = Options();
  options.part_bytes = kBlockBytes;
  SpoolHarness before(1, options);
  before.Start();
  const MessageRef waiting = before.SendAndWait(TestContent(1, 2_KiB)).message;
  Sent& large = before.Begin(TestContent(2, 10_KiB));
  const std::string content = large.content;
  large.writer.Append(AsBytes(content.substr(0, 5_KiB)));
  GoRound(before, 64);
  const MessageRef beside = before.SendAndWait(TestContent(3, 100_KiB)).message;
  large.writer.Append(AsBytes(content.substr(5_KiB)));
  large.writer.Finish(large);
  ASSERT_TRUE(before.TurnUntil([&] { return large.committed == 1; }));
  const MessageRef delivered = large.message;
  ASSERT_LT(waiting.segment, delivered.segment);
  ASSERT_EQ(beside.segment, delivered.segment);
  SpoolHarness first(1, options);
  const Instant began = StartFrom(before, first);
  ASSERT_TRUE(first.TurnUntil([&] { return first.spool->Stats().messages_moved == 2; }));
  const absl::Duration moved_after = first.io->Now() - began;
  for (absl::Duration early; early < absl::Milliseconds(10); early += absl::Microseconds(200)) {
    SpoolHarness harness(1, options);
    StartFrom(before, harness);
    harness.Idle(moved_after - early);
    harness.Settle(delivered, 0);
    LetItMove(harness, waiting);
    harness.Crash(CrashMode::kNothingUnsynced);
    harness.DeleteCheckpoints();
    harness.Start();
    EXPECT_EQ(harness.Live(), (std::vector{waiting, beside})) << early;
  }
}

TEST_F(EvacuationTest, NeedsNoCheckpoint) {
  harness_.Start();
  const Sent& sent = harness_.SendAndWait(TestContent(1, 5_KiB), {"a.example", "b.example"});
  const MessageRef message = sent.message;
  const std::string content = WholeOf(sent);
  harness_.Settle(message, 1);
  LetItMove(harness_, message);
  harness_.Crash(CrashMode::kNothingUnsynced);
  harness_.DeleteCheckpoints();
  harness_.Start();
  ASSERT_EQ(harness_.Live("a.example"), std::vector{message});
  EXPECT_TRUE(harness_.Live("b.example").empty());
  EXPECT_TRUE(harness_.Read(message).content == content);
}

// What is said of a message stands in the log before the record that it is moved to.
TEST_F(EvacuationTest, WhatWasSaidBeforeTheMoveIsKnownWithoutACheckpoint) {
  harness_.Start();
  const MessageRef message =
      harness_.SendAndWait(TestContent(1, 5_KiB), {"a.example", "b.example"}).message;
  harness_.Restart(CrashMode::kNothingUnsynced);
  Spool& spool = *harness_.spool;
  spool.Defer(message, 0, spool.Intern("a.example"), AsBytes(std::string_view("451 later")));
  harness_.Settle(message, 1, SettleKind::kFailed, "550 no");
  Rule hold;
  hold.verb = RuleVerb::kHold;
  ASSERT_EQ(spool.ApplyToMessage(hold, message), 1U);
  harness_.Idle(absl::Minutes(3));
  ASSERT_EQ(spool.Stats().messages_moved, 1U);
  harness_.deferrals.clear();
  harness_.Restart(CrashMode::kNothingUnsynced);
  EXPECT_EQ((harness_.deferrals[{message, 0}]), "451 later");
  EXPECT_EQ(AsText(harness_.spool->FailureOf(message, 1)), "550 no");
  EXPECT_TRUE(harness_.spool->StandingOf(message, harness_.spool->Intern("a.example")).is_held);
}

// The moved record says that a report is owed, and what it needs to say is damaged.
TEST_F(EvacuationTest, ADebtIsToldThoughItsNoteIsLost) {
  harness_.Start();
  const MessageRef message =
      harness_.SendAndWait(TestContent(1, 5_KiB), {"a.example", "b.example"}).message;
  harness_.Restart(CrashMode::kNothingUnsynced);
  harness_.Settle(message, 1, SettleKind::kFailed, "550 no such user");
  harness_.Idle(absl::Minutes(3));
  ASSERT_EQ(harness_.spool->Stats().messages_moved, 1U);
  ASSERT_FALSE(harness_.disk().Exists(SpoolHarness::SegmentPath(message.segment)));
  harness_.Crash(CrashMode::kNothingUnsynced);
  harness_.DeleteCheckpoints();
  uint64_t flipped = 0;
  for (const std::string& name : harness_.SegmentFiles()) {
    const std::string path = SpoolHarness::PathOf(name);
    const size_t at = harness_.disk().Contents(path)->find("550 no such user");
    if (at != std::string::npos) {
      ++flipped;
      ASSERT_TRUE(harness_.disk().FlipBit(path, at * 8));
    }
  }
  ASSERT_EQ(flipped, 1U);
  harness_.Start();
  EXPECT_TRUE(harness_.spool->IsPending(message, 1));
  EXPECT_EQ(harness_.failures, std::set{message});
}

TEST_F(EvacuationTest, ALargeMessageMovesWithItsParts) {
  harness_.Start();
  Sent& large = harness_.Begin(TestContent(1, 28_KiB));
  large.writer.Append(AsBytes(large.content).first(20_KiB));
  GoRound(harness_, 20);  // its record comes to lie in another segment
  large.writer.Append(AsBytes(large.content).subspan(20_KiB));
  large.writer.Finish(large);
  ASSERT_TRUE(harness_.TurnUntil([&] { return large.committed == 1; }));
  const MessageRef message = large.message;
  const std::string content = WholeOf(large);
  ASSERT_GT(message.segment, 1U);
  LetItMove(harness_, message);
  EXPECT_FALSE(harness_.disk().Exists(SpoolHarness::SegmentPath(1)));
  for (int run = 0; run < 2; ++run) {
    ASSERT_EQ(harness_.Live(), std::vector{message});
    EXPECT_TRUE(harness_.Read(message).content == content);
    harness_.Restart(CrashMode::kNothingUnsynced);
  }
}

TEST_F(EvacuationTest, NotesDebtsAndRulesStayWithTheMessage) {
  harness_.Start();
  const MessageRef message =
      harness_.SendAndWait(TestContent(1, 5_KiB), {"a.example", "b.example", "c.example"}).message;
  const DomainId domain = harness_.spool->Intern("a.example");
  harness_.spool->Defer(message, 0, domain, AsBytes(std::string_view("451 later")));
  harness_.Settle(message, 1, SettleKind::kFailed, "550 no");
  harness_.Settle(message, 2);
  Rule hold;
  hold.verb = RuleVerb::kHold;
  hold.epoch = 1;
  hold.domains = {"a.example"};
  harness_.spool->ApplyRule(hold);
  harness_.Idle(absl::Seconds(1));
  LetItMove(harness_, message);
  for (int run = 0; run < 3; ++run) {
    const Spool& spool = *harness_.spool;
    EXPECT_TRUE(spool.StandingOf(message, domain).is_held);
    EXPECT_TRUE(spool.IsLive(message, 0));
    EXPECT_FALSE(spool.IsLive(message, 2));
    EXPECT_EQ(spool.Stats().recipients_live, 1U);
    EXPECT_EQ(spool.Stats().recipients_dsn_pending, 1U);
    EXPECT_EQ(spool.Stats().messages_live, 1U);
    harness_.Restart(CrashMode::kNothingUnsynced);
    EXPECT_EQ((harness_.deferrals[{message, 0}]), "451 later");
  }
}

TEST_F(EvacuationTest, MovesAgainAndAgain) {
  harness_.Start();
  std::vector<MessageRef> waiting;
  std::vector<std::string> contents;
  for (uint64_t i = 0; i < 4; ++i) {
    const Sent& sent = harness_.SendAndWait(TestContent(i, 3_KiB));
    waiting.push_back(sent.message);
    contents.push_back(WholeOf(sent));
    GoRound(harness_, 22);
  }
  for (int round = 0; round < 4; ++round) {
    GoRound(harness_, 90);
    harness_.Idle(absl::Seconds(20));
    // Those that died behind them wait for checkpoints.
    EXPECT_LE(harness_.SegmentFiles().size(), 8U) << round;
    if (round % 2 == 1) {
      harness_.Restart(CrashMode::kNothingUnsynced);
      EXPECT_EQ(harness_.spool->Stats().damaged_records, 0U);
    }
  }
  ASSERT_EQ(harness_.Live(), waiting);
  for (size_t i = 0; i < waiting.size(); ++i) {
    EXPECT_TRUE(harness_.Read(waiting[i]).content == contents[i]) << i;
  }
}

TEST_F(EvacuationTest, MuchThatWaitsStaysWhereItIs) {
  harness_.Start();
  const MessageRef message = harness_.SendAndWait(TestContent(1, 40_KiB)).message;
  GoRound(harness_, 70);
  harness_.Idle(absl::Minutes(1));
  EXPECT_TRUE(harness_.disk().Exists(SpoolHarness::SegmentPath(message.segment)));
  EXPECT_EQ(harness_.spool->Stats().messages_moved, 0U);
}

// In an outage each look would be one at every large message that waits.
TEST_F(EvacuationTest, ABacklogIsNotReadForEachLook) {
  harness_.Start();
  for (uint64_t i = 0; i < 60; ++i) {
    harness_.SendAndWait(TestContent(i, 40_KiB));  // in parts
  }
  harness_.Idle(absl::Seconds(1));
  const Index& index = harness_.spool->impl().index();
  const uint64_t read = index.entries_read();
  harness_.Idle(absl::Seconds(10));
  const uint64_t looks = 10 * Evacuation::kLooksInCalm;
  EXPECT_GT(harness_.SegmentFiles().size(), 8U);
  EXPECT_LT(index.entries_read() - read, looks * harness_.SegmentFiles().size() * 12);
}

// A primary that takes the rest of a segment just now empties it better.
TEST_F(EvacuationTest, WaitsForACalm) {
  harness_.Start();
  std::vector<MessageRef> waiting;
  for (uint64_t i = 0; i < 12; ++i) {
    waiting.push_back(harness_.SendAndWait(TestContent(i, 1_KiB)).message);
  }
  GoRound(harness_, 50);
  for (const MessageRef message : waiting) {
    harness_.Idle(absl::Milliseconds(900));
    EXPECT_EQ(harness_.spool->Stats().messages_moved, 0U);
    harness_.Settle(message, 0);
  }
}

TEST_F(EvacuationTest, AMessageThatCannotBeReadIsLeftAlone) {
  harness_.Start();
  const MessageRef message = harness_.SendAndWait(TestContent(1, 5_KiB)).message;
  harness_.Idle(absl::Seconds(1));
  harness_.disk().FlipBit(SpoolHarness::SegmentPath(message.segment),
                          (uint64_t{message.block} * kRecordAlignment + 1000) * 8);
  GoRound(harness_, 70);
  harness_.Idle(absl::Minutes(1));
  EXPECT_TRUE(harness_.disk().Exists(SpoolHarness::SegmentPath(message.segment)));
  EXPECT_EQ(harness_.spool->Stats().messages_moved, 0U);
  EXPECT_EQ(harness_.Read(message).outcome, ReadOutcome::kDamaged);
}

TEST_F(EvacuationTest, AReaderKeepsWhatItReads) {
  class Slow : public MessageReaderEvents {
   public:
    explicit Slow(Spool& spool) : reader(spool, *this) {}
    void OnHead(ReadOutcome outcome) override { last = outcome; }
    void OnContent(ReadOutcome outcome, Bytes content) override {
      last = outcome;
      text += AsText(content);
      is_told = true;
      is_over = content.empty();
    }
    MessageReader reader;
    ReadOutcome last = ReadOutcome::kDamaged;
    std::string text;
    bool is_told = false;
    bool is_over = false;
  };
  harness_.Start();
  Sent& large = harness_.SendAndWait(TestContent(1, 31_KiB));
  const MessageRef message = large.message;
  const std::string content = WholeOf(large);
  Slow slow(*harness_.spool);
  slow.reader.Open(message);
  harness_.Idle(absl::Milliseconds(100));
  harness_.Settle(message, 0);
  GoRound(harness_, 70);
  harness_.Idle(absl::Seconds(10));
  while (!slow.is_over) {
    slow.is_told = false;
    slow.reader.NextContent();
    ASSERT_TRUE(harness_.TurnUntil([&] { return slow.is_told; }));
    ASSERT_EQ(slow.last, ReadOutcome::kOk);
  }
  EXPECT_TRUE(slow.text == content);
  EXPECT_TRUE(harness_.disk().Exists(SpoolHarness::SegmentPath(message.segment)));
  slow.reader.Close();
  harness_.Idle(absl::Seconds(1));
  EXPECT_FALSE(harness_.disk().Exists(SpoolHarness::SegmentPath(message.segment)));
}

// In a run that could not read all nothing is emptied, and nothing is due for that.
TEST_F(EvacuationTest, RestsWhenTheStartCouldNotReadAll) {
  harness_.Start();
  harness_.SendAndWait(TestContent(1, 5_KiB));
  GoRound(harness_, 70);
  harness_.Crash(CrashMode::kNothingUnsynced);
  harness_.DeleteCheckpoints();
  harness_.world.FailDiskOperation(3, IoError::kDevice, true, IoVerb::kRead);
  harness_.Start();
  harness_.world.StopFaults();
  harness_.Idle(absl::Seconds(10));
  uint64_t due_now = 0;
  for (int turn = 0; turn < 200; ++turn) {
    harness_.Turn();
    due_now += harness_.spool->NextDue() <= harness_.io->Now() ? 1 : 0;
  }
  EXPECT_LT(due_now, 20U);
  EXPECT_EQ(harness_.spool->Stats().messages_moved, 0U);
}

}  // namespace
}  // namespace backstay
