// tests/spool/reclaim_crash_test.cc -- a machine that stops while a segment goes, twice in a row:
// what the second run gives back does not undo what the first one did.
#include "core/base/log.h"
#include "spool/segment.h"
#include "tests/spool/spool_harness.h"

namespace backstay {
namespace {

class ReclaimCrashTest : public testing::Test {
 protected:
  ReclaimCrashTest() {
    SetLogSink([](LogLevel, std::string_view) {});
  }
  ~ReclaimCrashTest() override { SetLogSink(nullptr); }

  // Until one lies in this segment.
  static std::vector<MessageRef> FillUpTo(SpoolHarness& harness, uint32_t segment, size_t bytes) {
    std::vector<MessageRef> messages;
    do {
      messages.push_back(harness.SendAndWait(TestContent(messages.size(), bytes)).message);
      EXPECT_EQ(harness.sent.back()->result, CommitResult::kStored);
    } while (!testing::Test::HasFailure() && messages.back().segment < segment);
    return messages;
  }
  static bool IsThere(SpoolHarness& harness, uint32_t segment) {
    return harness.disk().Exists(SpoolHarness::SegmentPath(segment));
  }
};

// The second one holds the settles of the first: of the two only the second may come back.
TEST_F(ReclaimCrashTest, AnUnlinkOfTheRunBeforeIsDurableBeforeTheNextOne) {
  for (uint64_t seed = 1; seed <= 16; ++seed) {
    SpoolHarness harness(seed);
    harness.Start();
    harness.world.FailDiskOperation(1, IoError::kDevice, true, IoVerb::kRename);  // no spares
    std::vector<MessageRef> messages = FillUpTo(harness, 2, 30_KiB);
    harness.Idle(absl::Milliseconds(500));
    for (size_t i = 1; i < messages.size(); ++i) {
      harness.Settle(messages[i], 0);
    }
    // From now on no checkpoint and no new segment.
    harness.disk().set_capacity_bytes(harness.disk().used_bytes());
    const std::vector<MessageRef> more = FillUpTo(harness, 3, 30_KiB);
    harness.Settle(messages.front(), 0);
    for (const MessageRef message : more) {
      harness.Settle(message, 0);
    }
    ASSERT_TRUE(harness.TurnUntil([&] { return !IsThere(harness, 1); }));
    harness.Crash(CrashMode::kAllUnsynced);
    harness.disk().set_capacity_bytes(harness.disk().used_bytes());
    harness.Start();
    ASSERT_FALSE(IsThere(harness, 1));
    ASSERT_TRUE(harness.Live().empty());
    ASSERT_TRUE(harness.TurnUntil([&] { return !IsThere(harness, 2); }));
    harness.Crash(CrashMode::kRandom);
    harness.disk().set_capacity_bytes(1_GiB);
    harness.Start();
    EXPECT_TRUE(harness.Live().empty()) << seed;
  }
}

// Either name of a file that was to be a spare may be there after a crash, or both: then it is the
// segment all the same.
TEST_F(ReclaimCrashTest, ASpareThatIsASegmentTooStaysWhole) {
  SpoolOptions options = SpoolHarness::SmallOptions();
  options.segment_bytes = 3_MiB;
  int both = 0;
  for (uint64_t seed = 1; seed <= 32; ++seed) {
    SpoolHarness harness(seed, options);
    harness.Start();
    for (const MessageRef message : FillUpTo(harness, 2, 300_KiB)) {
      harness.Settle(message, 0);
    }
    const std::string spare = SpoolHarness::PathOf(NameOfSpare(1).data());
    ASSERT_TRUE(harness.TurnUntil([&] { return harness.disk().Exists(spare); }));
    harness.Crash(CrashMode::kRandom);
    both += IsThere(harness, 1) && harness.disk().Exists(spare) ? 1 : 0;
    harness.Start();
    bool is_whole = true;
    harness.TurnUntil(
        [&] {
          const auto contents = harness.disk().Contents(SpoolHarness::SegmentPath(1));
          is_whole &= !contents.has_value() || contents->size() == options.segment_bytes;
          return !is_whole;
        },
        absl::Seconds(2));
    EXPECT_TRUE(is_whole) << seed;
  }
  EXPECT_GT(both, 0);
}

}  // namespace
}  // namespace backstay
