// tests/spool/failure_test.cc -- writes and syncs that fail: what is told, what is kept, what goes
// on.
#include "core/base/log.h"
#include "core/base/mark.h"
#include "fmt/format.h"
#include "spool/record.h"
#include "tests/spool/spool_harness.h"

namespace backstay {
namespace {

class FailureTest : public testing::Test {
 protected:
  FailureTest() {
    if (std::getenv("SPOOL_LOG") == nullptr) {
      SetLogSink([](LogLevel, std::string_view) {});
    }
  }
  ~FailureTest() override { SetLogSink(nullptr); }
};

// One message, one batch: which disk operation is to fail, counted from its write.
Sent& SendWithFailure(SpoolHarness& harness, uint64_t operation, IoError error) {
  harness.Idle(absl::Seconds(1));
  Sent& sent = harness.Send(TestContent(99, 3000));
  harness.world.FailDiskOperation(operation, error, false);
  harness.TurnUntil([&] { return sent.committed == 1; });
  return sent;
}

TEST_F(FailureTest, AFailedWriteOrSyncFailsTheBatchAndGoesOnInANewSegment) {
  for (const uint64_t operation : {uint64_t{1}, uint64_t{2}}) {
    SpoolHarness harness;
    harness.Start();
    Sent& good = harness.SendAndWait(TestContent(1, 3000));
    Sent& failed = SendWithFailure(harness, operation, IoError::kDevice);
    EXPECT_EQ(failed.result, CommitResult::kFailed);
    EXPECT_EQ(failed.committed, 1);
    Sent& next = harness.SendAndWait(TestContent(2, 3000));
    EXPECT_EQ(next.result, CommitResult::kStored);
    EXPECT_GT(next.message.segment, good.message.segment);
    harness.ExpectWhole(good);
    harness.ExpectWhole(next);
    EXPECT_EQ(harness.spool->Stats().segments_abandoned, 1u);
    EXPECT_EQ(harness.Live(), (std::vector{good.message, next.message}));
    EXPECT_EQ(harness.spool->IntakeState(), CommitResult::kStored);
  }
}

TEST_F(FailureTest, RecoveryIgnoresWhatLiesBehindTheGoodOffset) {
  const uint64_t around_the_cache = MarkCount("abandoned segment read around the cache");
  for (const CrashMode mode : {CrashMode::kNothingUnsynced, CrashMode::kAllUnsynced}) {
    SpoolHarness harness;
    harness.Start();
    const MessageRef good = harness.SendAndWait(TestContent(1, 3000)).message;
    // The sync fails: the bytes are in the page cache and look fine.
    Sent& failed = SendWithFailure(harness, 2, IoError::kDevice);
    const std::string text = failed.content;
    const std::string path = SpoolHarness::SegmentPath(good.segment);
    EXPECT_NE(harness.disk().Contents(path)->find(text), std::string::npos);
    const MessageRef next = harness.SendAndWait(TestContent(2, 3000)).message;
    for (int run = 0; run < 2; ++run) {
      harness.Restart(mode);
      EXPECT_EQ(harness.Live(), (std::vector{good, next}));
      EXPECT_EQ(harness.spool->Stats().damaged_records, 0u);
      EXPECT_EQ(harness.spool->Stats().torn_tails, 0u);
      EXPECT_EQ(harness.Read(good).outcome, ReadOutcome::kOk);
    }
  }
  EXPECT_GT(MarkCount("abandoned segment read around the cache"), around_the_cache);
}

// Where an abandoned segment ends is written in the next one, which may be needed for nothing else.
TEST_F(FailureTest, TheGoodOffsetIsKnownAsLongAsItsSegment) {
  SpoolHarness harness;
  harness.Start();
  const MessageRef good = harness.SendAndWait(TestContent(1, 3000)).message;
  SendWithFailure(harness, 2, IoError::kDevice);
  for (uint64_t i = 0; i < 300; ++i) {
    harness.Settle(harness.SendAndWait(TestContent(100 + i, 30_KiB)).message, 0);
  }
  harness.Idle(absl::Seconds(5));
  EXPECT_GT(MarkCount("segment given back before older ones"), 0U);
  for (int run = 0; run < 2; ++run) {
    harness.Restart(CrashMode::kAllUnsynced);
    EXPECT_EQ(harness.Live(), (std::vector{good}));
    EXPECT_EQ(harness.spool->Stats().damaged_records, 0U);
  }
  harness.Settle(good, 0);
  harness.Idle(absl::Seconds(10));
  EXPECT_LE(harness.SegmentFiles().size(), 3U) << "nothing of it is needed any more";
}

TEST_F(FailureTest, EverythingThatGatheredBehindTheBatchFailsToo) {
  SpoolHarness harness;
  harness.Start();
  harness.Idle(absl::Seconds(1));
  Sent& first = harness.Send(TestContent(1, 3000));
  harness.world.FailDiskOperation(2, IoError::kDevice, false);
  harness.spool->CommitTurn();
  Sent& second = harness.Send(TestContent(2, 3000));
  EXPECT_EQ(second.described, 1);  // its id names the segment that is about to fail
  ASSERT_TRUE(harness.TurnUntil([&] { return first.committed + second.committed == 2; }));
  EXPECT_EQ(first.result, CommitResult::kFailed);
  EXPECT_EQ(second.result, CommitResult::kFailed);
  EXPECT_EQ(harness.spool->Stats().messages_live, 0u);
}

TEST_F(FailureTest, ALargeMessageWithALostPartFailsWhateverCameAfter) {
  const uint64_t lost = MarkCount("part lost with its segment");
  SpoolHarness harness;
  harness.Start();
  harness.Idle(absl::Seconds(1));
  Sent& large = harness.Begin(TestContent(1, 60_KiB));
  large.writer.Append(AsBytes(std::string_view(large.content).substr(0, 20_KiB)));
  harness.world.FailDiskOperation(2, IoError::kDevice, false);
  harness.Idle(absl::Seconds(1));
  EXPECT_EQ(harness.spool->Stats().segments_abandoned, 1u);
  EXPECT_EQ(harness.SendAndWait(TestContent(2, 100)).result, CommitResult::kStored);
  large.writer.Append(AsBytes(std::string_view(large.content).substr(20_KiB)));
  EXPECT_EQ(large.writer.content_bytes(), 60_KiB);
  large.writer.Finish(large);
  EXPECT_EQ(large.committed, 0);  // not inside Finish
  ASSERT_TRUE(harness.TurnUntil([&] { return large.committed == 1; }));
  EXPECT_EQ(large.result, CommitResult::kFailed);
  EXPECT_EQ(harness.Live().size(), 1u);
  EXPECT_EQ(harness.spool->Stats().staged_bytes, 0u);
  EXPECT_GT(MarkCount("part lost with its segment"), lost);
}

TEST_F(FailureTest, AMessageInTheNextSegmentFailsWithItsPartInTheLast) {
  const uint64_t anew = MarkCount("segment started anew");
  SpoolOptions options = SpoolHarness::SmallOptions();
  options.segment_bytes = 64_KiB;
  options.part_bytes = 8_KiB;
  for (size_t first_bytes = 4_KiB; first_bytes < 60_KiB; first_bytes += 4_KiB) {
    SpoolHarness harness(1, options);
    harness.Start();
    // However full the segment is: somewhere the last record comes to lie in the next one.
    ASSERT_EQ(harness.SendAndWait(TestContent(1, first_bytes)).result, CommitResult::kStored);
    harness.Idle(absl::Seconds(1));
    Sent& large = harness.Send(TestContent(2, 20_KiB));
    harness.world.FailDiskOperation(1, IoError::kDevice, false);
    harness.spool->CommitTurn();
    ASSERT_TRUE(harness.TurnUntil([&] { return large.committed == 1; }));
    EXPECT_EQ(large.result, CommitResult::kFailed) << first_bytes;
    ASSERT_EQ(harness.SendAndWait(TestContent(3, 20_KiB)).result, CommitResult::kStored);
    harness.Restart(CrashMode::kAllUnsynced);
    EXPECT_EQ(harness.Live().size(), 2u);
    for (const MessageRef message : harness.Live()) {
      EXPECT_EQ(harness.Read(message).outcome, ReadOutcome::kOk);
    }
  }
  EXPECT_GT(MarkCount("segment started anew"), anew);
}

TEST_F(FailureTest, EveryMessageUnderWayWithALostPartFails) {
  SpoolHarness harness;
  harness.Start();
  harness.Idle(absl::Seconds(1));
  std::vector<Sent*> sent;
  for (uint64_t i = 0; i < 3; ++i) {
    sent.push_back(&harness.Begin(TestContent(i, 30_KiB)));
    sent.back()->writer.Append(AsBytes(std::string_view(sent.back()->content).substr(0, 20_KiB)));
  }
  harness.world.FailDiskOperation(2, IoError::kDevice, false);
  harness.Idle(absl::Seconds(1));
  for (Sent* message : sent) {
    message->writer.Append(AsBytes(std::string_view(message->content).substr(20_KiB)));
    message->writer.Finish(*message);
  }
  harness.Idle(absl::Seconds(1));
  for (const Sent* message : sent) {
    EXPECT_EQ(message->committed, 1);
    EXPECT_EQ(message->result, CommitResult::kFailed);
  }
}

TEST_F(FailureTest, PartsInGoodBatchesBeforeTheFailureAreUsed) {
  SpoolHarness harness;
  harness.Start();
  Sent& large = harness.Begin(TestContent(1, 60_KiB));
  large.writer.Append(AsBytes(std::string_view(large.content).substr(0, 32_KiB)));
  harness.Idle(absl::Seconds(1));  // two parts are durable
  EXPECT_EQ(SendWithFailure(harness, 2, IoError::kDevice).result, CommitResult::kFailed);
  large.writer.Append(AsBytes(std::string_view(large.content).substr(32_KiB)));
  large.writer.Finish(large);
  ASSERT_TRUE(harness.TurnUntil([&] { return large.committed == 1; }));
  EXPECT_EQ(large.result, CommitResult::kStored);
  harness.ExpectWhole(large);
  const std::string expected = large.prefix + large.content;
  const MessageRef place = large.message;
  harness.Restart(CrashMode::kNothingUnsynced);
  EXPECT_TRUE(harness.Read(place).content == expected);
}

TEST_F(FailureTest, SettlesAndNotesOfAFailedBatchAreWrittenAgain) {
  SpoolHarness harness;
  harness.Start();
  const std::vector<std::string> recipients = {"a.example", "a.example", "a.example"};
  const MessageRef message = harness.SendAndWait(TestContent(1, 3000), recipients).message;
  harness.Idle(absl::Seconds(1));
  harness.Settle(message, 0);
  harness.Settle(message, 1, SettleKind::kFailed, "550 no");
  harness.spool->Defer(message, 2, harness.spool->Intern("a.example"), AsBytes("note"));
  harness.world.FailDiskOperation(2, IoError::kDevice, false);
  harness.Idle(absl::Seconds(2));
  EXPECT_EQ(harness.spool->Stats().segments_abandoned, 1u);
  harness.Restart(CrashMode::kNothingUnsynced);
  EXPECT_EQ(harness.spool->Stats().recipients_live, 1u);
  EXPECT_EQ(harness.spool->Stats().recipients_dsn_pending, 1u);
  EXPECT_EQ((harness.deferrals[{message, 2}]), "note");
}

// The pages of a failed sync look as if they were on the disk, until they leave the cache.
TEST_F(FailureTest, ARestartDoesNotTrustWhatAFailedSyncLeftInTheCache) {
  SpoolHarness harness;
  harness.Start();
  const MessageRef failed = harness.SendAndWait(TestContent(1, 3000)).message;
  harness.Settle(failed, 0, SettleKind::kFailed, "550 no such user");
  harness.Idle(absl::Seconds(1));
  Sent& report = harness.Begin(TestContent(2, 3000), {"@"});
  report.Report(failed, {Debt(0)});
  report.writer.Append(AsBytes(report.content));
  harness.world.FailDiskOperation(1, IoError::kDevice, true, IoVerb::kSyncData);
  report.writer.Finish(report);
  ASSERT_TRUE(harness.TurnUntil([&] { return report.committed == 1; }));
  ASSERT_EQ(report.result, CommitResult::kFailed);
  harness.Crash(CrashMode::kAllUnsynced);
  harness.world.StopFaults();
  for (int run = 0; run < 3; ++run) {
    harness.Start();
    EXPECT_TRUE(harness.spool->IsPending(failed, 0)) << run;
    EXPECT_TRUE(harness.Live("@").empty()) << run;
    harness.Idle(absl::Seconds(1));
    harness.Crash(CrashMode::kNothingUnsynced);
  }
}

// What a start finds it makes durable. If that fails it is not there, whatever the cache shows.
TEST_F(FailureTest, AStartThatCannotMakeTheTailDurableReadsItOnceMore) {
  int found = 0;
  for (const bool fails : {false, true}) {
    SpoolHarness harness;
    harness.Start();
    harness.SendAndWait(TestContent(1, 3000));
    harness.Idle(absl::Seconds(1));
    const uint64_t syncs = harness.spool->Stats().syncs;
    Sent& sent = harness.Send(TestContent(2, 3000));
    ASSERT_TRUE(harness.TurnUntil([&] { return harness.spool->Stats().syncs > syncs; }));
    ASSERT_EQ(sent.committed, 0);
    harness.Crash(CrashMode::kAllUnsynced);
    if (fails) {
      harness.world.FailDiskOperation(1, IoError::kDevice, true, IoVerb::kSyncData);
    }
    harness.Start();
    harness.world.StopFaults();
    const std::vector<MessageRef> live = harness.Live();
    found += live.size() == 2 ? 1 : 0;
    harness.Idle(absl::Seconds(1));
    harness.Restart(CrashMode::kNothingUnsynced);
    EXPECT_EQ(harness.Live(), live) << fails;
    EXPECT_EQ(harness.spool->Stats().damaged_records, 0U);
  }
  EXPECT_EQ(found, 1);
}

TEST_F(FailureTest, RepeatedFailureClosesIntakeKeepsReadingAndHeals) {
  SpoolHarness harness;
  harness.Start();
  const MessageRef message = harness.SendAndWait(TestContent(1, 3000)).message;
  FaultPlan failing = FaultPlan::None();
  failing.sync_error = 1'000'000;
  harness.world.SetPlan(failing);
  Sent& refused = harness.SendAndWait(TestContent(2, 3000));
  EXPECT_EQ(refused.result, CommitResult::kFailed);
  harness.Idle(absl::Minutes(1));
  EXPECT_EQ(harness.spool->IntakeState(), CommitResult::kFailed);
  EXPECT_EQ(harness.Read(message).outcome, ReadOutcome::kOk);
  harness.Settle(message, 0);
  harness.Idle(absl::Minutes(5));
  const size_t files = harness.SegmentFiles().size();
  EXPECT_LE(files, 4u);  // tries do not pile up files
  harness.world.SetPlan(FaultPlan::None());
  harness.Idle(absl::Minutes(2));
  EXPECT_EQ(harness.spool->IntakeState(), CommitResult::kStored);
  EXPECT_EQ(harness.SendAndWait(TestContent(3, 3000)).result, CommitResult::kStored);
  harness.Restart(CrashMode::kNothingUnsynced);
  EXPECT_EQ(harness.Live().size(), 1u);
}

TEST_F(FailureTest, NoSpaceAtTheWriteIsToldAsSuch) {
  SpoolHarness harness;
  harness.Start();
  EXPECT_EQ(SendWithFailure(harness, 1, IoError::kNoSpace).result, CommitResult::kNoSpace);
  EXPECT_EQ(harness.spool->IntakeState(), CommitResult::kNoSpace);
  harness.Idle(absl::Seconds(5));
  EXPECT_EQ(harness.spool->IntakeState(), CommitResult::kStored);
}

TEST_F(FailureTest, AWriteOfLengthZeroIsAFailure) {
  const uint64_t zero = MarkCount("write of length zero");
  SpoolHarness harness;
  harness.Start();
  harness.Idle(absl::Seconds(1));
  FaultPlan plan = FaultPlan::None();
  plan.zero_write = 1'000'000;
  harness.world.SetPlan(plan);
  Sent& sent = harness.Send(TestContent(1, 3000));
  ASSERT_TRUE(harness.TurnUntil([&] { return sent.committed == 1; }));
  EXPECT_EQ(sent.result, CommitResult::kFailed);
  EXPECT_GT(MarkCount("write of length zero"), zero);
}

TEST_F(FailureTest, CloseEndsOnADeadDevice) {
  SpoolHarness harness;
  harness.Start();
  const MessageRef message = harness.SendAndWait(TestContent(1, 3000)).message;
  harness.world.FailDiskOperation(1, IoError::kDevice, true);
  harness.Settle(message, 0);
  EXPECT_TRUE(harness.CloseAndWait());
}

// The story of the exhaustive run: small and large messages, settles, a roll. What it knows at the
// end.
struct Story {
  std::map<MessageRef, std::string> stored;
  std::set<MessageRef> settled;
};

Story Tell(SpoolHarness& harness) {
  Story story;
  std::vector<Sent*> sent;
  for (uint64_t i = 0; i < 12 && !harness.world.crash_due(); ++i) {
    sent.push_back(&harness.Send(TestContent(i, i % 4 == 3 ? 50_KiB : 2000 + i)));
    if (i % 3 == 2) {
      harness.TurnUntil([&] { return sent.back()->committed == 1; }, absl::Seconds(20));
    }
    if (i == 6 && sent[0]->committed == 1 && sent[0]->result == CommitResult::kStored) {
      harness.Settle(sent[0]->message, 0);
      story.settled.insert(sent[0]->message);
    }
  }
  harness.TurnUntil(
      [&] {
        return std::all_of(sent.begin(), sent.end(), [](Sent* s) { return s->committed == 1; });
      },
      absl::Seconds(20));
  for (const Sent* message : sent) {
    EXPECT_LE(message->committed, 1);
    if (message->committed == 1 && message->result == CommitResult::kStored) {
      story.stored[message->message] = message->prefix + message->content;
    }
  }
  return story;
}

TEST_F(FailureTest, AnyOneDiskOperationMayFailAndNothingStoredIsLost) {
  SpoolOptions options = SpoolHarness::SmallOptions();
  options.segment_bytes = 128_KiB;
  uint64_t operations = 0;
  {
    SpoolHarness harness(1, options);
    harness.Start();
    const uint64_t before = harness.world.disk_operations();
    Tell(harness);
    operations = harness.world.disk_operations() - before;
  }
  ASSERT_GT(operations, 20u);
  for (const bool from_then_on : {false, true}) {
    for (const IoError error : {IoError::kDevice, IoError::kNoSpace}) {
      for (uint64_t n = 1; n <= operations + 5; ++n) {
        SpoolHarness harness(n, options);
        harness.Start();
        harness.world.FailDiskOperation(n, error, from_then_on);
        const Story story = Tell(harness);
        harness.world.StopFaults();
        harness.Restart(n % 2 == 0 ? CrashMode::kNothingUnsynced : CrashMode::kRandom);
        ASSERT_TRUE(harness.is_ready);
        const std::vector<MessageRef> live = harness.Live();
        for (const auto& [message, content] : story.stored) {
          if (!story.settled.contains(message)) {
            EXPECT_TRUE(std::binary_search(live.begin(), live.end(), message)) << n;
            EXPECT_TRUE(harness.Read(message).content == content) << n;
          }
        }
        EXPECT_EQ(harness.spool->Stats().damaged_records, 0u) << n;
      }
    }
  }
}

}  // namespace
}  // namespace backstay
