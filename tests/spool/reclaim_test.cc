// tests/spool/reclaim_test.cc -- which segments go, in which order, and what a crash in between
// costs.
#include <algorithm>

#include "core/base/mark.h"
#include "spool/record.h"
#include "spool/spare_pool.h"
#include "tests/spool/spool_harness.h"

namespace backstay {
namespace {

// Messages that fill a few segments, in the order of the log.
std::vector<MessageRef> Fill(SpoolHarness& harness, uint64_t messages, size_t bytes = 30_KiB) {
  std::vector<MessageRef> places;
  for (uint64_t i = 0; i < messages; ++i) {
    Sent& sent = harness.SendAndWait(TestContent(i, bytes));
    EXPECT_EQ(sent.result, CommitResult::kStored);
    places.push_back(sent.message);
  }
  return places;
}

TEST(Reclaim, DeadSegmentsGoOldestFirst) {
  SpoolHarness harness;
  harness.Start();
  const std::vector<MessageRef> messages = Fill(harness, 40);
  const size_t before = harness.SegmentFiles().size();
  ASSERT_GE(before, 5u);
  for (size_t i = 1; i < messages.size(); ++i) {
    harness.Settle(messages[i], 0);
  }
  harness.Idle(absl::Seconds(10));
  EXPECT_GE(harness.SegmentFiles().size(), before);  // the first message holds them all
  harness.Settle(messages[0], 0);
  harness.Idle(absl::Seconds(10));
  // The open one and the prepared one.
  EXPECT_EQ(harness.SegmentFiles().size(), 2u);
  EXPECT_EQ(harness.spool->Stats().segments, 2u);
}

TEST(Reclaim, AnOpenSegmentStaysHoweverDead) {
  SpoolHarness harness;
  harness.Start();
  const MessageRef message = harness.SendAndWait(TestContent(1, 100)).message;
  harness.Settle(message, 0);
  harness.Idle(absl::Seconds(10));
  EXPECT_TRUE(harness.disk().Exists(SpoolHarness::SegmentPath(message.segment)));
}

TEST(Reclaim, PartsOfATransactionHoldTheirSegment) {
  SpoolHarness harness;
  harness.Start();
  Sent& large = harness.Begin(TestContent(1, 60_KiB));
  large.writer.Append(AsBytes(large.content));
  for (const MessageRef message : Fill(harness, 30)) {
    harness.Settle(message, 0);
  }
  harness.Idle(absl::Seconds(10));
  EXPECT_GE(harness.SegmentFiles().size(), 4u);
  large.writer.Finish(large);
  ASSERT_TRUE(harness.TurnUntil([&] { return large.committed == 1; }));
  harness.ExpectWhole(large);
  harness.Settle(large.message, 0);
  harness.Idle(absl::Seconds(10));
  EXPECT_LE(harness.SegmentFiles().size(), 2u);
}

TEST(Reclaim, AbandonedPartsHoldNothing) {
  SpoolHarness harness;
  harness.Start();
  Sent& large = harness.Begin(TestContent(1, 60_KiB));
  large.writer.Append(AsBytes(large.content));
  for (const MessageRef message : Fill(harness, 30)) {
    harness.Settle(message, 0);
  }
  large.writer.Abandon();
  harness.Idle(absl::Seconds(10));
  EXPECT_LE(harness.SegmentFiles().size(), 2u);
}

TEST(Reclaim, ARestartedShardWithNothingOwedIsLeftWithOneSegment) {
  SpoolHarness harness;
  harness.Start();
  for (const MessageRef message : Fill(harness, 30)) {
    harness.Settle(message, 0);
  }
  harness.Idle(absl::Seconds(1));
  for (int run = 0; run < 3; ++run) {
    harness.Restart(CrashMode::kNothingUnsynced);
    harness.Idle(absl::Seconds(10));
    EXPECT_EQ(harness.SegmentFiles().size(), 2u);
    EXPECT_EQ(harness.spool->Stats().damaged_records, 0u);
  }
}

// Segments with nothing live; the settles become durable with nobody reclaiming.
void FillAndSettle(SpoolHarness& harness) {
  for (const MessageRef message : Fill(harness, 40)) {
    harness.Settle(message, 0);
  }
  for (int i = 0; i < 200; ++i) {
    harness.spool->CommitTurn();
    harness.io->Turn(harness.io->Now() + absl::Milliseconds(10));
  }
}

// Of the files that were there those from `first` on.
bool IsEndOf(const std::vector<std::string>& left, const std::vector<std::string>& before) {
  return left.size() <= before.size() && std::equal(left.rbegin(), left.rend(), before.rbegin());
}

TEST(Reclaim, AFailedUnlinkOrDirectorySyncStopsTheNextOne) {
  // Two are renamed, with a sync of the directory for each; then files are opened and unlinked.
  // Checkpoints are written before and meanwhile, and their files go in the same directory.
  for (const IoVerb verb : {IoVerb::kUnlink, IoVerb::kSyncDirectory}) {
    int stopped = 0;
    for (uint64_t operation = 1; operation <= 12; ++operation) {
      SpoolHarness harness;
      harness.Start();
      FillAndSettle(harness);
      const std::vector<std::string> before = harness.SegmentFiles();
      harness.world.FailDiskOperation(operation, IoError::kDevice, false, verb);
      harness.Idle(absl::Seconds(5));
      EXPECT_TRUE(IsEndOf(harness.SegmentFiles(), before)) << operation;
      stopped += harness.SegmentFiles().size() > 2 ? 1 : 0;
      harness.Idle(absl::Seconds(30));
      EXPECT_EQ(harness.SegmentFiles().size(), 2u);
    }
    EXPECT_GT(stopped, 0);
  }
}

TEST(Reclaim, AFileThatCannotBeOpenedGoesAtOnce) {
  SpoolHarness harness;
  harness.Start();
  FillAndSettle(harness);
  // The first one is that of the checkpoint.
  harness.world.FailDiskOperation(2, IoError::kNoDescriptors, true, IoVerb::kOpen);
  harness.Idle(absl::Seconds(5));
  EXPECT_GT(harness.world.faults_injected(IoVerb::kOpen), 0u);
  EXPECT_EQ(harness.SegmentFiles().size(), 2u);
}

TEST(Reclaim, AFailedRenameCostsTheFile) {
  SpoolHarness harness;
  harness.Start();
  FillAndSettle(harness);
  harness.world.FailDiskOperation(1, IoError::kDevice, false, IoVerb::kRename);
  harness.Idle(absl::Seconds(5));
  EXPECT_EQ(harness.SegmentFiles().size(), 2u);
  EXPECT_EQ(harness.spool->Stats().spares, SparePool::kSparesMax);
}

TEST(Reclaim, ACrashNeverRevivesWhatWasSettledLongAgo) {
  // Every settle is durable; then any mix of unlinks survives the crash.
  for (uint64_t seed = 1; seed <= 12; ++seed) {
    SpoolHarness harness(seed);
    harness.Start();
    for (const MessageRef message : Fill(harness, 30)) {
      harness.Settle(message, 0);
    }
    harness.world.CrashAfterEvent(20 + seed * 5);
    harness.Idle(absl::Seconds(10));
    const bool all_synced = harness.spool->Stats().recipients_live == 0;
    ASSERT_TRUE(all_synced);
    harness.Restart(CrashMode::kRandom);
    EXPECT_EQ(harness.spool->Stats().damaged_records, 0u);
  }
}

// Its parts lie in the first segment, which only they hold, its last record in a later one.
void FinishFarBehind(SpoolHarness& harness, Sent& large) {
  for (const MessageRef message : Fill(harness, 12)) {
    harness.Settle(message, 0);
  }
  harness.Idle(absl::Seconds(10));
  large.writer.Finish(large);
  ASSERT_TRUE(harness.TurnUntil([&] { return large.committed == 1; }));
  harness.Idle(absl::Seconds(1));
  ASSERT_TRUE(harness.disk().Exists(SpoolHarness::SegmentPath(1)));
  ASSERT_GT(large.message.segment, 2u);
}

void CrashAndReadAll(SpoolHarness& harness, uint64_t event) {
  harness.world.CrashAfterEvent(event);
  harness.Idle(absl::Seconds(5));
  harness.Restart(CrashMode::kNothingUnsynced);
  for (const MessageRef message : harness.Live()) {
    EXPECT_EQ(harness.Read(message).outcome, ReadOutcome::kOk) << event;
  }
  EXPECT_EQ(harness.spool->Stats().damaged_records, 0u) << event;
}

TEST(Reclaim, PartsStayUntilTheSettleOfTheirMessageIsSynced) {
  // The parts lie in a segment that only they hold, the last record in a later one. The write that
  // carries the settle fails, so that taking the first segment away could overtake it.
  for (uint64_t event = 1; event <= 20; ++event) {
    SpoolHarness harness;
    harness.Start();
    Sent& large = harness.Begin(TestContent(1, 60_KiB));
    large.writer.Append(AsBytes(large.content));
    ASSERT_NO_FATAL_FAILURE(FinishFarBehind(harness, large));
    harness.world.FailDiskOperation(1, IoError::kDevice, false);
    harness.Settle(large.message, 0);
    CrashAndReadAll(harness, event);
  }
}

// In haste it goes without the checkpoint that cannot be written.
TEST(Reclaim, AFullDiskWithoutRoomForACheckpointGetsItsSpaceBack) {
  SpoolHarness harness;
  harness.Start();
  const std::vector<MessageRef> messages = Fill(harness, 40);
  harness.Idle(absl::Seconds(1));
  harness.disk().set_capacity_bytes(harness.disk().used_bytes());
  harness.world.FailDiskOperation(1, IoError::kNoSpace, true, IoVerb::kRename);  // no spares
  for (const MessageRef message : messages) {
    harness.Settle(message, 0);
  }
  const uint64_t without = MarkCount("segment gone without a checkpoint");
  harness.Idle(absl::Seconds(20));
  EXPECT_GT(MarkCount("segment gone without a checkpoint"), without);
  EXPECT_LE(harness.SegmentFiles().size(), 2u);
  harness.Crash(CrashMode::kAllUnsynced);
  harness.Start();
  EXPECT_EQ(harness.spool->Stats().damaged_records, 0u);
  const DomainAccount account = harness.spool->AccountOfAll();
  EXPECT_EQ(account.delivered, account.accepted);
}

// What is given up without an outcome waits for nothing, and others still do.
TEST(Reclaim, AnAbandonedTransactionDoesNotHurryWhatWaitsForASettle) {
  for (uint64_t event = 1; event <= 20; ++event) {
    SpoolHarness harness;
    harness.Start();
    Sent& large = harness.Begin(TestContent(1, 60_KiB));
    large.writer.Append(AsBytes(large.content));
    Sent& other = harness.Begin(TestContent(2, 20_KiB));
    other.writer.Append(AsBytes(other.content));
    ASSERT_NO_FATAL_FAILURE(FinishFarBehind(harness, large));
    harness.world.FailDiskOperation(1, IoError::kDevice, false, IoVerb::kWrite);
    harness.Settle(large.message, 0);
    other.writer.Abandon();
    CrashAndReadAll(harness, event);
  }
}

// Before anything of this run is on the disk the last segment of the run before has the clock and
// the end of the chain, however dead it is.
TEST(Reclaim, TheLastSegmentStaysUntilABatchOfThisRunIsStored) {
  SpoolHarness past;
  past.Start();
  Fill(past, 1);  // holds the first segment
  const std::vector<MessageRef> messages = Fill(past, 20);
  for (const MessageRef message : messages) {
    past.Settle(message, 0);
  }
  past.Idle(absl::Seconds(5));
  const std::string last = SpoolHarness::SegmentPath(messages.back().segment);
  ASSERT_GT(messages.back().segment, 1U);
  past.Crash(CrashMode::kNothingUnsynced);
  uint64_t tried = 0;
  // Which operation is the write of a batch shows when its segment is abandoned.
  for (uint64_t first = 1; first < 120 && tried < 3; ++first) {
    for (uint64_t second = 1; second < 20 && tried < 3; ++second) {
      SpoolHarness harness(first);
      harness.disk().CopyFrom(past.disk());
      const auto is_abandoned = [&harness](uint64_t count) {
        harness.TurnUntil([&] {
          const SpoolStats stats = harness.spool->Stats();
          return stats.segments_abandoned == count || stats.batches > 0;
        });
        return harness.spool->Stats().batches == 0;
      };
      harness.world.FailDiskOperation(first, IoError::kDevice, false, IoVerb::kWrite);
      harness.Start();
      if (!is_abandoned(1)) {
        break;
      }
      harness.world.FailDiskOperation(second, IoError::kDevice, false, IoVerb::kWrite);
      if (!is_abandoned(2)) {
        continue;
      }
      harness.Idle(absl::Milliseconds(500));  // checkpoints are written before the next try
      harness.world.FailDiskOperation(1, IoError::kDevice, true, IoVerb::kWrite);
      ASSERT_TRUE(is_abandoned(3));
      harness.world.StopFaults();
      harness.Idle(absl::Milliseconds(500));
      ++tried;
      EXPECT_EQ(harness.spool->Stats().batches, 0U);
      EXPECT_TRUE(harness.disk().Exists(last)) << first << " " << second;
    }
  }
  EXPECT_GT(tried, 0U);
}

// ---- spares ----

size_t Spares(SpoolHarness& harness) {
  const std::vector<std::string> names = harness.disk().List("/spool/shard-000");
  return static_cast<size_t>(std::count_if(names.begin(), names.end(), [](const std::string& name) {
    return name.starts_with("spare-");
  }));
}

// Messages come and go, so that segments die as they are filled.
void GoRound(SpoolHarness& harness, uint64_t messages) {
  for (uint64_t i = 0; i < messages; ++i) {
    Sent& sent = harness.SendAndWait(TestContent(i, 30_KiB));
    ASSERT_EQ(sent.result, CommitResult::kStored);
    harness.Settle(sent.message, 0);
  }
}

TEST(Reclaim, DeadSegmentsBecomeTheNextOnes) {
  SpoolHarness harness;
  harness.Start();
  const uint64_t made_before = MarkCount("segment made of a spare");
  GoRound(harness, 200);
  const uint64_t made = MarkCount("segment made of a spare") - made_before;
  EXPECT_GT(made, 5U);
  harness.Idle(absl::Seconds(10));
  EXPECT_EQ(Spares(harness), harness.spool->Stats().spares);
  EXPECT_LE(Spares(harness), SparePool::kSparesMax);
}

// One message that waits must not keep all that came after it on disk.
TEST(Reclaim, DeadSegmentsGoBeforeOlderOnesThatLive) {
  SpoolHarness harness;
  harness.Start();
  Sent& first = harness.SendAndWait(TestContent(999, 20_KiB));
  const std::string content = first.prefix + first.content;
  const MessageRef waiting = first.message;
  GoRound(harness, 300);
  harness.Idle(absl::Seconds(5));
  EXPECT_GT(MarkCount("segment given back before older ones"), 0U);
  EXPECT_LE(harness.SegmentFiles().size(), 7U);
  for (const CrashMode mode : {CrashMode::kNothingUnsynced, CrashMode::kAllUnsynced}) {
    harness.Restart(mode);
    EXPECT_EQ(harness.spool->Stats().damaged_records, 0U);
    ASSERT_EQ(harness.Live(), std::vector<MessageRef>{waiting});
    EXPECT_TRUE(harness.Read(waiting).content == content);
    GoRound(harness, 30);
    harness.Idle(absl::Seconds(1));
  }
}

// The newest checkpoint covers the last segment of the run before, which has no footer; damage in
// it makes the two disagree. The checkpoint before it has the settles of what was given back.
TEST(Reclaim, ADamagedRecordDoesNotReviveWhatWasSettledInSegmentsThatWent) {
  SpoolHarness harness;
  harness.Start();
  const MessageRef waiting = harness.SendAndWait(TestContent(999, 20_KiB)).message;
  const MessageRef settled = harness.SendAndWait(TestContent(998, 20_KiB)).message;
  ASSERT_EQ(waiting.segment, settled.segment);
  GoRound(harness, 30);
  harness.Settle(settled, 0);
  GoRound(harness, 270);
  harness.Idle(absl::Seconds(5));
  EXPECT_LE(harness.SegmentFiles().size(), 7U);
  const MessageRef last = harness.SendAndWait(TestContent(997, 5_KiB)).message;
  harness.Idle(absl::Seconds(1));
  harness.Restart(CrashMode::kNothingUnsynced);
  ASSERT_EQ(harness.Live(), (std::vector{waiting, last}));
  harness.Idle(absl::Seconds(1));
  harness.Crash(CrashMode::kNothingUnsynced);
  const uint64_t misfits = MarkCount("checkpoint and segment disagree");
  ASSERT_TRUE(harness.disk().FlipBit(SpoolHarness::SegmentPath(last.segment),
                                     (uint64_t{last.block} * kRecordAlignment + 100) * 8));
  for (int run = 0; run < 2; ++run) {
    harness.Start();
    EXPECT_EQ(MarkCount("checkpoint and segment disagree"), misfits + 1);
    EXPECT_EQ(harness.Live(), std::vector{waiting});
    EXPECT_EQ(harness.spool->Stats().damaged_records, 1U);
    harness.Idle(absl::Seconds(1));
    harness.Crash(CrashMode::kNothingUnsynced);
  }
}

// What an earlier life of the file left behind the end of the log is nothing.
TEST(Reclaim, ASegmentMadeOfASpareIsReadAsFarAsItWasWritten) {
  SpoolHarness harness;
  harness.Start();
  GoRound(harness, 200);
  std::vector<std::string> contents;
  for (uint64_t i = 0; i < 20; ++i) {
    contents.push_back(TestContent(1000 + i, 20_KiB));
    ASSERT_EQ(harness.SendAndWait(contents.back()).result, CommitResult::kStored);
  }
  for (const CrashMode mode : {CrashMode::kAllUnsynced, CrashMode::kNothingUnsynced}) {
    harness.Restart(mode);
    EXPECT_EQ(harness.spool->Stats().damaged_records, 0U);
    EXPECT_EQ(harness.spool->Stats().torn_tails, 0U);
    std::vector<MessageRef> live = harness.Live();
    ASSERT_EQ(live.size(), contents.size());
    for (size_t i = 0; i < live.size(); ++i) {
      EXPECT_TRUE(harness.Read(live[i]).content.ends_with(contents[i])) << i;
    }
    harness.Idle(absl::Seconds(5));
    EXPECT_EQ(Spares(harness), 0U);  // of the run before
  }
}

// Only the parts of a large message hold the oldest segment. When its last record cannot be read at
// a start nobody knows of them; the device may be well again at the next.
TEST(Reclaim, NothingGoesBackWhenTheStartCouldNotReadAll) {
  SpoolHarness past;
  past.Start();
  Sent& large = past.Begin(TestContent(1, 60_KiB));
  large.writer.Append(AsBytes(large.content));
  for (const MessageRef message : Fill(past, 12)) {
    past.Settle(message, 0);
  }
  large.writer.Finish(large);
  ASSERT_TRUE(past.TurnUntil([&] { return large.committed == 1; }));
  const MessageRef message = large.message;
  past.Idle(absl::Seconds(1));
  ASSERT_TRUE(past.disk().Exists(SpoolHarness::SegmentPath(1)));
  past.Crash(CrashMode::kNothingUnsynced);
  past.DeleteCheckpoints();
  uint64_t unread = 0;
  for (uint64_t n = 1; n < 40; ++n) {
    SpoolHarness harness(n);
    harness.disk().CopyFrom(past.disk());
    harness.world.FailDiskOperation(n, IoError::kDevice, true, IoVerb::kRead);
    harness.Start();
    unread += harness.Live().empty() ? 1 : 0;
    harness.world.StopFaults();
    harness.Idle(absl::Seconds(30));
    harness.Restart(CrashMode::kNothingUnsynced);
    ASSERT_EQ(harness.Live(), std::vector{message}) << n;
    EXPECT_EQ(harness.Read(message).outcome, ReadOutcome::kOk) << n;
  }
  EXPECT_GT(unread, 3u);
}

}  // namespace
}  // namespace backstay
