// tests/spool/restart_test.cc -- a start with footers and checkpoints knows what one without knows.
#include <algorithm>
#include <cstring>

#include "core/base/log.h"
#include "core/base/mark.h"
#include "fmt/format.h"
#include "spool/record.h"
#include "tests/spool/spool_harness.h"

namespace backstay {
namespace {

constexpr uint32_t kMessages = 120;

class RestartTest : public testing::Test {
 protected:
  RestartTest() {
    SetLogSink([](LogLevel, std::string_view) {});
    options.segment_bytes = 64_KiB;
    options.part_bytes = 4_KiB;
  }
  ~RestartTest() override { SetLogSink(nullptr); }

  // Several segments: small and large messages, settles, debts and notes, the last of them late.
  void Fill(SpoolHarness& harness) {
    harness.Start();
    for (uint64_t i = 0; i < kMessages; ++i) {
      const std::string content = TestContent(i, i % 10 == 3 ? 14'000 : 1500);
      Sent& sent =
          harness.SendAndWait(content, {"a.example", i % 2 == 0 ? "b.example" : "a.example"});
      ASSERT_EQ(sent.result, CommitResult::kStored);
      messages.push_back(sent.message);
      contents[sent.message] = sent.prefix + sent.content;
      if (i >= 20) {
        Work(harness, i, messages[i - 20]);
      }
    }
    harness.Idle(absl::Seconds(2));
  }

  void Work(SpoolHarness& harness, uint64_t i, MessageRef message) {
    if (i % 3 == 0) {
      harness.Settle(message, 0);
    }
    if (i % 5 == 0) {
      harness.Settle(message, 1, SettleKind::kFailed, "550 no such user");
    } else if (i % 7 == 0) {
      const DomainId domain = harness.spool->Intern(i % 2 == 0 ? "b.example" : "a.example");
      harness.spool->Defer(message, 1, domain, AsBytes(std::string_view("451 later")));
    }
  }

  // All that a queue can be asked.
  std::string Picture(SpoolHarness& harness) {
    std::string text;
    for (const char* domain : {"a.example", "b.example"}) {
      for (const MessageRef message : harness.Live(domain)) {
        text += fmt::format("{} {:x}:{:x} {}{}\n", domain, message.segment, message.block,
                            harness.spool->IsLive(message, 0), harness.spool->IsLive(message, 1));
      }
    }
    const SpoolStats stats = harness.spool->Stats();
    text += fmt::format("{} {} {}\n", stats.messages_live, stats.recipients_live,
                        stats.recipients_dsn_pending);
    for (const auto& [key, note] : harness.deferrals) {
      text +=
          fmt::format("{:x}:{:x} {} {}\n", key.first.segment, key.first.block, key.second, note);
    }
    return text;
  }

  void ExpectAllWhole(SpoolHarness& harness) {
    for (const MessageRef message : harness.Live()) {
      const ReadBack back = harness.Read(message);
      EXPECT_EQ(back.outcome, ReadOutcome::kOk);
      EXPECT_TRUE(back.content == contents[message]);
    }
  }

  // What is known without footer and checkpoint.
  std::string PictureOfAScan(SpoolHarness& original) {
    SpoolHarness copy(2, options);
    copy.disk().CopyFrom(original.disk());
    copy.DeleteCheckpoints();
    const uint64_t known = MarkCount("segment known by its footer");
    copy.Start();
    EXPECT_EQ(MarkCount("segment known by its footer"), known);
    return Picture(copy);
  }

  // From here on a start opens no segment any more, but checkpoints.
  uint64_t OperationsOfTheCatalog(SpoolHarness& original) {
    for (uint64_t operations = 1;; ++operations) {
      SpoolHarness copy(2, options);
      copy.disk().CopyFrom(original.disk());
      copy.world.FailDiskOperation(operations, IoError::kNoDescriptors, true, IoVerb::kOpen);
      copy.Start();
      if (copy.ready_status.ok()) {
        return operations;
      }
    }
  }

  // Where the footer of a segment begins; 0: it has none.
  uint64_t FooterAt(SpoolHarness& harness, const std::string& path) const {
    const std::string file = *harness.disk().Contents(path);
    const uint64_t place = options.segment_bytes - 2 * kBlockBytes;
    FooterPlace found;
    std::memcpy(&found, file.data() + place + sizeof(RecordHeader), sizeof(found));
    return uint64_t{found.block} * kRecordAlignment;
  }

  SpoolOptions options = SpoolHarness::SmallOptions();
  std::vector<MessageRef> messages;
  std::map<MessageRef, std::string> contents;
};

TEST_F(RestartTest, SealedSegmentsAreNotReadAgain) {
  SpoolHarness harness(1, options);
  Fill(harness);
  harness.Crash(CrashMode::kNothingUnsynced);
  const std::string scanned = PictureOfAScan(harness);
  const size_t segments = harness.SegmentFiles().size();
  ASSERT_GT(segments, 5u);
  EXPECT_GE(harness.CheckpointPaths().size(), 2u);
  const uint64_t known = MarkCount("segment known by its footer");
  harness.Start();
  // All but the last ones, which the newest checkpoint may not cover.
  EXPECT_GE(MarkCount("segment known by its footer"), known + segments - 3);
  EXPECT_EQ(Picture(harness), scanned);
  ExpectAllWhole(harness);
}

TEST_F(RestartTest, AStartMayBeRepeatedAtWill) {
  SpoolHarness harness(1, options);
  Fill(harness);
  harness.Crash(CrashMode::kNothingUnsynced);
  const std::string scanned = PictureOfAScan(harness);
  for (int start = 0; start < 5; ++start) {
    harness.Start();
    EXPECT_EQ(Picture(harness), scanned) << start;
    harness.Idle(absl::Seconds(start));  // the first are cut off before a new checkpoint
    harness.Crash(start % 2 == 0 ? CrashMode::kNothingUnsynced : CrashMode::kAllUnsynced);
  }
}

TEST_F(RestartTest, ADamagedFooterCostsAScanOfItsSegment) {
  SpoolHarness harness(1, options);
  Fill(harness);
  harness.Crash(CrashMode::kNothingUnsynced);
  const std::string scanned = PictureOfAScan(harness);
  for (const uint64_t into : {uint64_t{20}, uint64_t{60}, uint64_t{120}}) {
    SpoolHarness copy(2, options);
    copy.disk().CopyFrom(harness.disk());
    const std::string path = SpoolHarness::SegmentPath(messages.front().segment + 1);
    const uint64_t at = FooterAt(copy, path);
    ASSERT_GT(at, 0u);
    ASSERT_TRUE(copy.disk().FlipBit(path, (at + into) * 8));
    const uint64_t known = MarkCount("segment known by its footer");
    copy.Start();
    EXPECT_GT(MarkCount("segment known by its footer"), known);
    EXPECT_EQ(Picture(copy), scanned) << into;
    EXPECT_EQ(copy.spool->Stats().damaged_records, 1u);
  }
}

TEST_F(RestartTest, ADamagedPlaceOfAFooterToo) {
  SpoolHarness harness(1, options);
  Fill(harness);
  harness.Crash(CrashMode::kNothingUnsynced);
  const std::string scanned = PictureOfAScan(harness);
  const std::string path = SpoolHarness::SegmentPath(messages.front().segment + 1);
  ASSERT_TRUE(harness.disk().FlipBit(path, (options.segment_bytes - 2 * kBlockBytes + 48) * 8));
  harness.Start();
  EXPECT_EQ(Picture(harness), scanned);
}

TEST_F(RestartTest, ADamagedCheckpointLeavesTheOneBefore) {
  SpoolHarness harness(1, options);
  Fill(harness);
  harness.Crash(CrashMode::kNothingUnsynced);
  const std::string scanned = PictureOfAScan(harness);
  const std::vector<std::string> paths = harness.CheckpointPaths();
  ASSERT_GE(paths.size(), 2u);
  ASSERT_TRUE(harness.disk().FlipBit(paths.back(), 333));
  SpoolHarness copy(2, options);
  copy.disk().CopyFrom(harness.disk());
  uint64_t known = MarkCount("segment known by its footer");
  copy.Start();
  EXPECT_GT(MarkCount("segment known by its footer"), known);
  EXPECT_EQ(Picture(copy), scanned);

  for (const std::string& path : paths) {
    ASSERT_TRUE(harness.disk().TruncateFile(path, 40));
  }
  known = MarkCount("segment known by its footer");
  harness.Start();
  EXPECT_EQ(MarkCount("segment known by its footer"), known);
  EXPECT_EQ(Picture(harness), scanned);
}

// It is there, and without it mail that was settled long ago would come back.
TEST_F(RestartTest, ACheckpointThatCannotBeOpenedIsWaitedFor) {
  SpoolHarness harness(1, options);
  Fill(harness);
  harness.Crash(CrashMode::kNothingUnsynced);
  const std::string scanned = PictureOfAScan(harness);
  const uint64_t known = MarkCount("segment known by its footer");
  harness.world.FailDiskOperation(OperationsOfTheCatalog(harness), IoError::kNoDescriptors, true,
                                  IoVerb::kOpen);
  harness.Start();
  EXPECT_FALSE(harness.is_ready);
  harness.world.StopFaults();
  ASSERT_TRUE(harness.TurnUntil([&] { return harness.is_ready; }));
  EXPECT_GT(MarkCount("segment known by its footer"), known);
  EXPECT_EQ(Picture(harness), scanned);
}

TEST_F(RestartTest, AShardThatWaitsForACheckpointCloses) {
  SpoolHarness harness(1, options);
  Fill(harness);
  harness.Crash(CrashMode::kNothingUnsynced);
  harness.world.FailDiskOperation(OperationsOfTheCatalog(harness), IoError::kNoDescriptors, true,
                                  IoVerb::kOpen);
  harness.Start();
  EXPECT_TRUE(harness.CloseAndWait());
}

// They may be good, and the next start may read them.
TEST_F(RestartTest, NoCheckpointIsWrittenOverOnesThatTheDeviceDidNotGive) {
  SpoolHarness harness(1, options);
  Fill(harness);
  harness.Crash(CrashMode::kNothingUnsynced);
  const std::vector<std::string> paths = harness.CheckpointPaths();
  harness.world.FailDiskOperation(OperationsOfTheCatalog(harness), IoError::kDevice, true,
                                  IoVerb::kOpen);
  harness.Start();
  harness.world.StopFaults();
  harness.Idle(absl::Seconds(30));
  EXPECT_EQ(harness.CheckpointPaths(), paths);
}

// Damage found behind a damaged footer: bits of the checkpoint would name other recipients.
TEST_F(RestartTest, ACheckpointThatDoesNotFitIsNotUsed) {
  SpoolHarness harness(1, options);
  Fill(harness);
  harness.Crash(CrashMode::kNothingUnsynced);
  const std::string path = SpoolHarness::SegmentPath(messages.front().segment + 1);
  const uint64_t at = FooterAt(harness, path);
  ASSERT_GT(at, 0u);
  ASSERT_TRUE(harness.disk().FlipBit(path, (at + 60) * 8));
  const auto victim = std::find_if(messages.begin(), messages.end(), [this](MessageRef message) {
    return message.segment == messages.front().segment + 1;
  });
  ASSERT_TRUE(harness.disk().FlipBit(path, (uint64_t{victim->block} * kRecordAlignment + 50) * 8));
  const std::string scanned = PictureOfAScan(harness);
  const uint64_t misfits = MarkCount("checkpoint and segment disagree");
  harness.Start();
  EXPECT_GT(MarkCount("checkpoint and segment disagree"), misfits);
  EXPECT_EQ(Picture(harness), scanned);
  ExpectAllWhole(harness);
}

// The log does not say yet where the segments end that failed. What lies behind that in their files
// may be there after a crash, and no checkpoint knows it.
TEST_F(RestartTest, ACheckpointDoesNotCoverWhatFailedAndIsNotToldYet) {
  SpoolHarness past(1, options);
  Fill(past);
  past.Crash(CrashMode::kNothingUnsynced);
  const uint64_t misfits = MarkCount("checkpoint and segment disagree");
  uint64_t tried = 0;
  for (uint64_t second = 1; second < 24; ++second) {
    SpoolHarness harness(second, options);
    harness.disk().CopyFrom(past.disk());
    harness.Start();
    harness.Idle(absl::Seconds(1));
    harness.Send(TestContent(1000, 1500));
    harness.world.FailDiskOperation(2, IoError::kDevice, false);
    const auto abandoned = [&](uint64_t count) {
      return harness.TurnUntil([&] { return harness.spool->Stats().segments_abandoned == count; },
                               absl::Seconds(1));
    };
    ASSERT_TRUE(abandoned(1));
    harness.world.FailDiskOperation(second, IoError::kDevice, false, IoVerb::kWrite);
    if (!abandoned(2)) {
      continue;
    }
    const std::vector<std::string> before = harness.CheckpointPaths();
    harness.Idle(absl::Milliseconds(500));
    tried += harness.CheckpointPaths() != before ? 1 : 0;
    harness.Restart(CrashMode::kAllUnsynced);
    EXPECT_EQ(MarkCount("checkpoint and segment disagree"), misfits) << second;
  }
  EXPECT_GT(tried, 0U);
}

// The segments behind the last batch may go, and their numbers be given again: what comes to be
// settled in such a file is not known to a checkpoint from before.
TEST_F(RestartTest, ANumberThatIsGivenAgainIsNotCoveredByAnOlderCheckpoint) {
  SpoolHarness harness(1, options);
  harness.Start();
  const MessageRef first = harness.SendAndWait(TestContent(1000, 1500)).message;
  const MessageRef second = harness.SendAndWait(TestContent(1001, 1500)).message;
  harness.Idle(absl::Seconds(1));
  harness.Restart(CrashMode::kNothingUnsynced);
  harness.Idle(absl::Seconds(1));  // a checkpoint
  harness.Crash(CrashMode::kNothingUnsynced);
  const std::vector<std::string> checkpoints = harness.CheckpointPaths();
  // What a disk that became full leaves: the first batch of each failed, and their room was needed.
  for (uint32_t behind = first.segment + 1; behind < first.segment + 4; ++behind) {
    harness.disk().Delete(SpoolHarness::SegmentPath(behind));
  }
  harness.Start();
  harness.Settle(first, 0);
  harness.Idle(absl::Seconds(1));
  harness.Crash(CrashMode::kNothingUnsynced);
  for (const std::string& path : harness.CheckpointPaths()) {
    if (std::find(checkpoints.begin(), checkpoints.end(), path) == checkpoints.end()) {
      harness.disk().Delete(path);  // it was not finished
    }
  }
  harness.Start();
  EXPECT_EQ(harness.Live(), std::vector{second});
}

// One segment failed and cannot be opened around the cache; another one does not fit.
TEST_F(RestartTest, AFailedReopenBeforeAMisfitLeavesTheSegmentAlone) {
  SpoolHarness harness(1, options);
  harness.Start();
  ASSERT_EQ(harness.SendAndWait(TestContent(1000, 1500)).result, CommitResult::kStored);
  harness.Idle(absl::Seconds(1));
  harness.world.FailDiskOperation(2, IoError::kDevice, false);
  ASSERT_EQ(harness.SendAndWait(TestContent(1001, 1500)).result, CommitResult::kFailed);
  harness.Idle(absl::Seconds(1));
  harness.Crash(CrashMode::kNothingUnsynced);
  Fill(harness);
  harness.Crash(CrashMode::kNothingUnsynced);
  const auto victim = std::find_if(messages.begin(), messages.end(), [this](MessageRef message) {
    return message.segment == messages.front().segment + 1;
  });
  const std::string path = SpoolHarness::SegmentPath(victim->segment);
  const uint64_t at = FooterAt(harness, path);
  ASSERT_GT(at, 0u);
  ASSERT_TRUE(harness.disk().FlipBit(path, (at + 60) * 8));
  ASSERT_TRUE(harness.disk().FlipBit(path, (uint64_t{victim->block} * kRecordAlignment + 50) * 8));
  const uint64_t misfits = MarkCount("checkpoint and segment disagree");
  uint64_t left_alone = 0;
  for (uint64_t n = 1; n < 80; ++n) {
    SpoolHarness copy(n, options);
    copy.disk().CopyFrom(harness.disk());
    copy.world.FailDiskOperation(n, IoError::kNoDescriptors, false, IoVerb::kOpen);
    copy.Start();
    ASSERT_TRUE(copy.is_ready) << n;
    left_alone += copy.ready_status.ok() ? copy.spool->Stats().segments_unreadable : 0;
  }
  EXPECT_GT(MarkCount("checkpoint and segment disagree"), misfits);
  EXPECT_GT(left_alone, 0u);
}

// The newest files were removed, or the checkpoints are newer than a copy of them. Mail under a
// number that is covered would be taken for what was settled there.
TEST_F(RestartTest, NoNumberIsGivenThatACheckpointCovers) {
  SpoolHarness harness(1, options);
  Fill(harness);
  harness.Crash(CrashMode::kNothingUnsynced);
  CheckpointHeader newest;
  const std::string file = *harness.disk().Contents(harness.CheckpointPaths().back());
  std::memcpy(&newest, file.data(), sizeof(newest));
  ASSERT_GT(newest.covers, 4u);
  for (uint32_t number = newest.covers - 1; number < newest.covers + 10; ++number) {
    if (harness.disk().Exists(SpoolHarness::SegmentPath(number))) {
      harness.disk().Delete(SpoolHarness::SegmentPath(number));
    }
  }
  const uint64_t gone_on = MarkCount("numbers_go_on_behind_a_checkpoint");
  harness.Start();
  EXPECT_EQ(MarkCount("numbers_go_on_behind_a_checkpoint"), gone_on + 1);
  const MessageRef message = harness.SendAndWait(TestContent(5000, 1500)).message;
  EXPECT_EQ(message.segment, newest.covers + 1);
  EXPECT_EQ(harness.spool->RunStart().segment, newest.covers + 1);
  harness.Restart(CrashMode::kNothingUnsynced);
  const std::vector<MessageRef> live = harness.Live();
  EXPECT_NE(std::find(live.begin(), live.end(), message), live.end());
  EXPECT_GT(harness.SendAndWait(TestContent(5001, 1500)).message.segment, newest.covers + 1);
}

// Whatever has become of the rest of it.
TEST_F(RestartTest, ADamagedCheckpointTellsOfItsNumbersAllTheSame) {
  SpoolHarness harness(1, options);
  Fill(harness);
  harness.Crash(CrashMode::kNothingUnsynced);
  const std::vector<std::string> paths = harness.CheckpointPaths();
  CheckpointHeader newest;
  std::memcpy(&newest, harness.disk().Contents(paths.back())->data(), sizeof(newest));
  for (const std::string& path : paths) {
    ASSERT_TRUE(harness.disk().FlipBit(path, (sizeof(CheckpointHeader) + 10) * 8));
  }
  for (uint32_t number = 1; number < newest.covers + 10; ++number) {
    if (harness.disk().Exists(SpoolHarness::SegmentPath(number))) {
      harness.disk().Delete(SpoolHarness::SegmentPath(number));
    }
  }
  harness.Start();
  EXPECT_EQ(harness.SendAndWait(TestContent(5000, 1500)).message.segment, newest.covers + 1);
}

// A segment that is gone although mail is owed in it must not hide behind a checkpoint.
TEST_F(RestartTest, AFileThatTheCheckpointDoesNotKnowIsRead) {
  SpoolHarness harness(1, options);
  Fill(harness);
  harness.Crash(CrashMode::kNothingUnsynced);
  const std::string path = SpoolHarness::SegmentPath(messages.front().segment + 1);
  const std::string file = *harness.disk().Contents(path);
  harness.disk().Delete(path);
  harness.Start();
  EXPECT_GT(harness.spool->Stats().damaged_records, 0u);
  harness.Idle(absl::Seconds(2));  // a checkpoint that does not know the segment
  harness.Crash(CrashMode::kNothingUnsynced);
  harness.disk().Put(path, AsBytes(file));
  const std::string scanned = PictureOfAScan(harness);
  harness.Start();
  EXPECT_EQ(Picture(harness), scanned);
  ExpectAllWhole(harness);
}

}  // namespace
}  // namespace backstay
