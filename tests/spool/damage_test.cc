// tests/spool/damage_test.cc -- bits, blocks and files that are not what was written.
#include "core/base/log.h"
#include "core/base/mark.h"
#include "fmt/format.h"
#include "spool/record.h"
#include "tests/spool/spool_harness.h"

namespace backstay {
namespace {

constexpr const char* kShard = "/spool/shard-000/";

class DamageTest : public testing::Test {
 protected:
  DamageTest() {
    SetLogSink([](LogLevel, std::string_view) {});
    options.segment_bytes = 64_KiB;
    options.part_bytes = 4_KiB;
  }
  ~DamageTest() override { SetLogSink(nullptr); }

  // Four small messages in four batches and one with parts, each followed by a successor.
  void Fill(SpoolHarness& harness) {
    harness.Start();
    for (uint64_t i = 0; i < 5; ++i) {
      Sent& sent = harness.SendAndWait(TestContent(i, i == 2 ? 9000 : 700));
      ASSERT_EQ(sent.result, CommitResult::kStored);
      expected[sent.message] = sent.prefix + sent.content;
      harness.Idle(absl::Milliseconds(200));
    }
    harness.Crash(CrashMode::kNothingUnsynced);
    segment = expected.begin()->first.segment;
    path = SpoolHarness::SegmentPath(segment);
  }

  // Several segments, with footers and checkpoints.
  void FillSegments(SpoolHarness& harness) {
    harness.Start();
    for (uint64_t i = 0; i < 20; ++i) {
      Sent& sent = harness.SendAndWait(TestContent(i, 9000));
      expected[sent.message] = sent.prefix + sent.content;
    }
    harness.Idle(absl::Seconds(2));
    harness.Crash(CrashMode::kNothingUnsynced);
  }

  // Starts on the damaged disk. What reads back must be as it was sent; returns how many do.
  size_t CountWhole(SpoolHarness& harness) {
    harness.Start();
    EXPECT_TRUE(harness.is_ready);
    EXPECT_TRUE(harness.ready_status.ok());
    size_t whole = 0;
    for (const MessageRef message : harness.Live()) {
      const ReadBack back = harness.Read(message);
      const auto wanted = expected.find(message);
      EXPECT_TRUE(wanted != expected.end());
      if (back.outcome == ReadOutcome::kOk && wanted != expected.end()) {
        EXPECT_TRUE(back.content == wanted->second);
        ++whole;
      }
    }
    return whole;
  }

  // A copy of the filled disk under another harness.
  std::unique_ptr<SpoolHarness> CopyOf(SpoolHarness& original) {
    auto copy = std::make_unique<SpoolHarness>(2, options);
    copy->disk().CopyFrom(original.disk());
    return copy;
  }

  SpoolOptions options = SpoolHarness::SmallOptions();
  std::map<MessageRef, std::string> expected;
  uint32_t segment = 0;
  std::string path;
};

TEST_F(DamageTest, AFlippedBitCostsAtMostTheMessageItIsIn) {
  SpoolHarness original(1, options);
  Fill(original);
  const std::string file = *original.disk().Contents(path);
  uint64_t silent = 0;
  for (size_t byte = 0; byte < file.size(); ++byte) {
    // Every byte of the first batches, every fifth later; padding now and then.
    const size_t from = byte < 64 ? 0 : byte - 64;
    const bool is_padding = IsZero(AsBytes(std::string_view(file).substr(from, 128)));
    if ((is_padding && byte % 509 != 0) || (byte > 14'000 && byte % 5 != 0)) {
      continue;
    }
    const auto copy = CopyOf(original);
    ASSERT_TRUE(copy->disk().FlipBit(path, byte * 8 + byte % 8));
    const size_t whole = CountWhole(*copy);
    EXPECT_GE(whole, expected.size() - 1) << byte;
    const SpoolStats stats = copy->spool->Stats();
    silent += whole < expected.size() && stats.damaged_records + stats.torn_tails == 0 ? 1 : 0;
  }
  EXPECT_EQ(silent, 0u);
}

TEST_F(DamageTest, ATruncatedSegmentIsUsedAsFarAsItGoes) {
  SpoolHarness original(1, options);
  Fill(original);
  const uint64_t end = 60'000;
  size_t last = 0;
  for (uint64_t bytes = 0; bytes < end; bytes += 512) {
    const auto copy = CopyOf(original);
    ASSERT_TRUE(copy->disk().TruncateFile(path, bytes));
    const size_t whole = CountWhole(*copy);
    EXPECT_GE(whole, last) << bytes;
    last = whole;
    if (bytes > 0) {
      EXPECT_GE(copy->spool->Stats().damaged_records, 1u) << bytes;
    }
    EXPECT_EQ(copy->SendAndWait(TestContent(77, 100)).result, CommitResult::kStored);
  }
  EXPECT_EQ(last, expected.size());
}

// The commit record of the batch is there, and the next one goes on from it.
TEST_F(DamageTest, AHoleInABatchIsDamageBeforeAnybodyReads) {
  SpoolHarness harness(1, options);
  Fill(harness);
  const MessageRef first = expected.begin()->first;
  ASSERT_TRUE(harness.disk().FlipBit(path, (first.block * kRecordAlignment + 70) * 8));
  harness.DeleteCheckpoints();  // with one the segment might not be read
  harness.Start();
  EXPECT_GE(harness.spool->Stats().damaged_records, 1u);
  EXPECT_EQ(harness.spool->Stats().torn_tails, 0u);
  EXPECT_EQ(harness.QuarantineFiles().size(), 1u);
}

TEST_F(DamageTest, AZeroedBlockInTheMiddleIsNamedAndTheRestIsUsed) {
  SpoolHarness original(1, options);
  Fill(original);
  const std::string zeros(kBlockBytes, '\0');
  const uint64_t last = (--expected.end())->first.block * kRecordAlignment;
  for (uint64_t at = kDataStart; at < last; at += kBlockBytes) {
    const auto copy = CopyOf(original);
    ASSERT_TRUE(copy->disk().Overwrite(path, at, AsBytes(zeros)));
    EXPECT_GE(CountWhole(*copy), expected.size() - 1) << at;
    EXPECT_GE(copy->spool->Stats().damaged_records, 1u) << at;
    EXPECT_EQ(copy->spool->Stats().torn_tails, 0u) << at;
    EXPECT_GE(copy->QuarantineFiles().size(), 1u) << at;
    // Again: the copy is there, the count is the same, nothing else changed.
    copy->Crash(CrashMode::kNothingUnsynced);
    EXPECT_GE(CountWhole(*copy), expected.size() - 1) << at;
  }
}

TEST_F(DamageTest, SwappedAndStaleBlocksAreRefused) {
  SpoolHarness original(1, options);
  Fill(original);
  const std::string file = *original.disk().Contents(path);
  const uint64_t first =
      expected.begin()->first.block * kRecordAlignment / kBlockBytes * kBlockBytes;
  const uint64_t second = (++expected.begin())->first.block * kRecordAlignment;
  const auto block = [&](uint64_t at) { return AsBytes(std::string_view(file).substr(at, 4096)); };
  const auto swapped = CopyOf(original);
  swapped->disk().Overwrite(path, first, block(second));
  swapped->disk().Overwrite(path, second, block(first));
  EXPECT_EQ(CountWhole(*swapped), expected.size() - 2);
  EXPECT_GE(swapped->spool->Stats().damaged_records, 1u);
  const auto doubled = CopyOf(original);
  doubled->disk().Overwrite(path, second, block(first));
  EXPECT_EQ(CountWhole(*doubled), expected.size() - 1);
}

TEST_F(DamageTest, ASegmentUnderAnotherNameIsLeftAlone) {
  SpoolHarness original(1, options);
  Fill(original);
  const std::string file = *original.disk().Contents(path);
  original.disk().Put(SpoolHarness::SegmentPath(40), AsBytes(file));
  EXPECT_EQ(CountWhole(original), expected.size());
  EXPECT_EQ(original.Live().size(), expected.size());
  EXPECT_TRUE(*original.disk().Contents(SpoolHarness::SegmentPath(40)) == file);
  // Its number counts as used.
  EXPECT_GT(original.SendAndWait(TestContent(9, 100)).message.segment, 40u);
}

TEST_F(DamageTest, UnknownFilesAreLeftAlone) {
  SpoolHarness original(1, options);
  Fill(original);
  Disk& disk = original.disk();
  disk.Put(std::string(kShard) + "notes.txt", AsBytes("mine"));
  disk.Put(std::string(kShard) + "segment-00000063", {});
  disk.Put(std::string(kShard) + "segment-00000064/inside", AsBytes("a directory"));
  disk.Put(std::string(kShard) + "segment-00000065", AsBytes("too short and not a header"));
  disk.Put(std::string(kShard) + "segment-00000066", AsBytes(std::string(70'000, 'x')));
  EXPECT_EQ(CountWhole(original), expected.size());
  EXPECT_GT(original.SendAndWait(TestContent(9, 100)).message.segment, 0x66u);
  for (const char* name : {"notes.txt", "segment-00000063", "segment-00000064/inside",
                           "segment-00000065", "segment-00000066"}) {
    EXPECT_TRUE(disk.Exists(std::string(kShard) + name)) << name;
  }
}

TEST_F(DamageTest, AFileThatWasBeingPreparedIsRemoved) {
  const uint64_t unused = MarkCount("segment never used");
  SpoolHarness original(1, options);
  Fill(original);
  original.disk().Put(SpoolHarness::SegmentPath(50), AsBytes(std::string(64_KiB, '\0')));
  EXPECT_EQ(CountWhole(original), expected.size());
  original.Idle(absl::Seconds(5));
  EXPECT_FALSE(original.disk().Exists(SpoolHarness::SegmentPath(50)));
  EXPECT_EQ(original.spool->Stats().damaged_records, 0u);
  EXPECT_GT(MarkCount("segment never used"), unused);
}

// The first header never reached the disk, the second one in part.
TEST_F(DamageTest, ATornHeaderOfAFileThatWasBeingPreparedIsNoDamage) {
  SpoolHarness original(1, options);
  Fill(original);
  const std::string whole = *original.disk().Contents(path);
  for (const uint64_t at : {uint64_t{0}, uint64_t{64_KiB - kBlockBytes}}) {
    for (const size_t kept : {size_t{1}, size_t{8}, size_t{9}, size_t{40}}) {
      const auto copy = CopyOf(original);
      std::string torn(64_KiB, '\0');
      torn.replace(at, kept, whole, 0, kept);
      copy->disk().Put(SpoolHarness::SegmentPath(50), AsBytes(torn));
      EXPECT_EQ(CountWhole(*copy), expected.size());
      copy->Idle(absl::Seconds(5));
      EXPECT_EQ(copy->spool->Stats().damaged_records, 0u) << at << " " << kept;
      EXPECT_FALSE(copy->disk().Exists(SpoolHarness::SegmentPath(50)));
      torn[30'000] = 'x';
      const auto used = CopyOf(original);
      used->disk().Put(SpoolHarness::SegmentPath(50), AsBytes(torn));
      EXPECT_EQ(CountWhole(*used), expected.size());
      used->Idle(absl::Seconds(5));
      EXPECT_EQ(used->spool->Stats().damaged_records, 1u) << at << " " << kept;
      EXPECT_TRUE(used->disk().Exists(SpoolHarness::SegmentPath(50)));
    }
  }
}

TEST_F(DamageTest, OneLostHeaderCostsNothing) {
  SpoolHarness original(1, options);
  Fill(original);
  const std::string zeros(kBlockBytes, '\0');
  for (const uint64_t at : {uint64_t{0}, uint64_t{64_KiB - kBlockBytes}}) {
    const auto copy = CopyOf(original);
    copy->disk().Overwrite(path, at, AsBytes(zeros));
    EXPECT_EQ(CountWhole(*copy), expected.size());
  }
  const auto copy = CopyOf(original);
  copy->disk().Overwrite(path, 0, AsBytes(zeros));
  copy->disk().Overwrite(path, 64_KiB - kBlockBytes, AsBytes(zeros));
  size_t elsewhere = 0;
  for (const auto& [message, content] : expected) {
    elsewhere += message.segment != segment ? 1 : 0;
  }
  ASSERT_LT(elsewhere, expected.size());
  EXPECT_EQ(CountWhole(*copy), elsewhere);
  EXPECT_GE(copy->spool->Stats().damaged_records, 1u);
  EXPECT_TRUE(copy->disk().Exists(path));
}

// The first header of a segment that is not scanned: its footer tells its messages.
TEST_F(DamageTest, ALostFirstHeaderIsToldThoughTheFooterIsGood) {
  SpoolHarness harness(1, options);
  FillSegments(harness);
  ASSERT_TRUE(harness.disk().FlipBit(SpoolHarness::SegmentPath(2), 200));
  const uint64_t by_footer = MarkCount("segment known by its footer");
  EXPECT_EQ(CountWhole(harness), expected.size());
  EXPECT_GE(MarkCount("segment known by its footer"), by_footer + 3);
  EXPECT_EQ(harness.spool->Stats().damaged_records, 1u);
}

TEST_F(DamageTest, AFirstHeaderOfAnotherSegmentIsOverruledByTheCopy) {
  SpoolHarness harness(1, options);
  FillSegments(harness);
  const std::string other = *harness.disk().Contents(SpoolHarness::SegmentPath(3));
  ASSERT_TRUE(harness.disk().Overwrite(SpoolHarness::SegmentPath(2), 0,
                                       AsBytes(std::string_view(other).substr(0, kBlockBytes))));
  EXPECT_EQ(CountWhole(harness), expected.size());
  EXPECT_EQ(harness.spool->Stats().damaged_records, 1u);
}

TEST_F(DamageTest, ADeletedSegmentIsNamedAndTheOthersAreUsed) {
  SpoolHarness harness(1, options);
  FillSegments(harness);
  const uint32_t middle = 3;
  ASSERT_TRUE(harness.disk().Delete(SpoolHarness::SegmentPath(middle)));
  size_t remaining = 0;
  for (const auto& [message, content] : expected) {
    remaining += message.segment != middle ? 1 : 0;
  }
  // A message may have parts there and its last record elsewhere.
  EXPECT_GE(CountWhole(harness), remaining - 1);
  EXPECT_GE(harness.spool->Stats().damaged_records, 1u);
}

TEST_F(DamageTest, ALostOldestSegmentIsNamedByTheCheckpoint) {
  SpoolHarness harness(1, options);
  FillSegments(harness);
  ASSERT_TRUE(harness.disk().Delete(SpoolHarness::SegmentPath(1)));
  harness.Start();
  EXPECT_EQ(harness.spool->Stats().damaged_records, 1u);
  EXPECT_LT(harness.Live().size(), expected.size());
}

// The newest checkpoint, which knows it dead, is lost: for the one before it mail is owed in it.
// With it gone nothing is missing.
TEST_F(DamageTest, AnOldestSegmentThatWentBackIsNotMissing) {
  SpoolHarness harness(1, options);
  FillSegments(harness);
  harness.Start();
  harness.Idle(absl::Seconds(1));
  for (const auto& [message, content] : expected) {
    if (message.segment <= 2) {  // the first of 2 has parts in 1
      harness.Settle(message, 0, SettleKind::kFailed, "550 no");
      harness.Settle(message, 0);
    }
  }
  ASSERT_TRUE(harness.TurnUntil(
      [&] { return !harness.disk().Exists(SpoolHarness::SegmentPath(1)); }, absl::Seconds(5)));
  harness.Crash(CrashMode::kAllUnsynced);
  ASSERT_TRUE(harness.disk().Delete(harness.CheckpointPaths().back()));
  harness.Start();
  EXPECT_EQ(harness.spool->Stats().damaged_records, 0u);
  const DomainAccount account = harness.spool->AccountOfAll();
  EXPECT_EQ(account.quarantined, 0u);
  EXPECT_GT(account.delivered, 0u);
  EXPECT_EQ(account.owed(), harness.spool->Stats().recipients_live);
}

TEST_F(DamageTest, UnreadableBlocksCostOnlyWhatLiesInThem) {
  SpoolHarness original(1, options);
  Fill(original);
  for (uint64_t n = 2; n < 12; ++n) {
    const auto copy = CopyOf(original);
    copy->world.FailDiskOperation(n, IoError::kDevice, false);
    EXPECT_GE(CountWhole(*copy) + 5, expected.size());
  }
}

}  // namespace
}  // namespace backstay
