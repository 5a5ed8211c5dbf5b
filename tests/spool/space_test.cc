// tests/spool/space_test.cc -- a disk that fills up, and empties again.
#include "core/base/log.h"
#include "spool/message_writer.h"
#include "tests/spool/spool_harness.h"

namespace backstay {
namespace {

int adjusted_lines = 0;

class SpaceTest : public testing::Test {
 protected:
  SpaceTest() {
    adjusted_lines = 0;
    SetLogSink([](LogLevel, std::string_view line) {
      adjusted_lines += line.find("reserve adjusted") != std::string_view::npos ? 1 : 0;
    });
  }
  ~SpaceTest() override { SetLogSink(nullptr); }
};

TEST_F(SpaceTest, BelowTheReserveNewMailIsRefusedAndComesBack) {
  SpoolHarness harness;
  harness.Start();
  harness.Idle(absl::Seconds(2));
  EXPECT_EQ(harness.spool->IntakeState(), CommitResult::kStored);
  harness.disk().set_capacity_bytes(harness.disk().used_bytes() + 500_KiB);
  harness.Idle(absl::Seconds(2));
  EXPECT_EQ(harness.spool->IntakeState(), CommitResult::kNoSpace);
  EXPECT_EQ(harness.SendAndWait(TestContent(1, 100)).result, CommitResult::kStored);
  harness.disk().set_capacity_bytes(harness.disk().used_bytes() + 10_MiB);
  harness.Idle(absl::Seconds(2));
  EXPECT_EQ(harness.spool->IntakeState(), CommitResult::kStored);
}

// As much as can be claimed now, in steps of 256 KiB.
uint64_t Claimable(SpoolHarness& harness) {
  uint64_t bytes = 0;
  for (bool fits = true; fits; bytes += fits ? 256_KiB : 0) {
    MessageWriter writer(*harness.spool);
    fits = writer.Claim(bytes + 256_KiB);
  }
  return bytes;
}

TEST_F(SpaceTest, WhatIsClaimedIsNoOtherMessages) {
  SpoolHarness harness;
  harness.Start();
  harness.disk().set_capacity_bytes(harness.disk().used_bytes() + 8_MiB);
  harness.Idle(absl::Seconds(2));
  const uint64_t room = Claimable(harness);
  ASSERT_GE(room, 1_MiB);
  MessageWriter first(*harness.spool);
  ASSERT_TRUE(first.Claim(room));
  EXPECT_EQ(Claimable(harness), 0U);
  harness.Idle(absl::Seconds(2));
  EXPECT_EQ(Claimable(harness), 0U) << "the next look at the disk forgets no claim";
  EXPECT_EQ(harness.spool->IntakeState(), CommitResult::kStored) << "nothing is used yet";
  const std::string content(room / 4, 'x');
  first.Append(AsBytes(content));
  EXPECT_EQ(Claimable(harness), 0U) << "what came was claimed";
  harness.Idle(absl::Seconds(2));
  EXPECT_LE(Claimable(harness), 256_KiB);
  first.Abandon();
  EXPECT_GE(Claimable(harness), room / 2);
}

TEST_F(SpaceTest, ShardsShareWhatIsAboveTheReserve) {
  uint64_t alone = 0;
  for (const size_t shards : {1, 4}) {
    SpoolHarness harness;
    harness.options.shards = shards;
    harness.Start();
    harness.disk().set_capacity_bytes(harness.disk().used_bytes() + 32_MiB);
    harness.Idle(absl::Seconds(2));
    alone = shards == 1 ? Claimable(harness) : alone;
    EXPECT_NEAR(static_cast<double>(Claimable(harness)), static_cast<double>(alone / shards),
                512_KiB);
  }
}

TEST_F(SpaceTest, WhenNoSegmentCanBePreparedDeliveryGoesOnAndSpaceHeals) {
  SpoolHarness harness;
  harness.Start();
  std::vector<MessageRef> stored;
  harness.disk().set_capacity_bytes(harness.disk().used_bytes() + 300_KiB);
  CommitResult last = CommitResult::kStored;
  for (uint64_t i = 0; i < 100 && last == CommitResult::kStored; ++i) {
    Sent& sent = harness.SendAndWait(TestContent(i, 20_KiB));
    ASSERT_EQ(sent.committed, 1);
    last = sent.result;
    if (last == CommitResult::kStored) {
      stored.push_back(sent.message);
    }
  }
  EXPECT_EQ(last, CommitResult::kNoSpace);
  EXPECT_EQ(harness.spool->IntakeState(), CommitResult::kNoSpace);
  EXPECT_GE(stored.size(), 10u);
  EXPECT_EQ(harness.Read(stored[0]).outcome, ReadOutcome::kOk);
  // Settles are taken though they cannot be written yet, and are not lost when space returns.
  for (size_t i = 1; i < stored.size(); ++i) {
    harness.Settle(stored[i], 0);
  }
  harness.Idle(absl::Seconds(5));
  harness.disk().set_capacity_bytes(harness.disk().used_bytes() + 10_MiB);
  harness.Idle(absl::Seconds(3));
  EXPECT_EQ(harness.spool->IntakeState(), CommitResult::kStored);
  EXPECT_EQ(harness.SendAndWait(TestContent(7, 100)).result, CommitResult::kStored);
  harness.Restart(CrashMode::kNothingUnsynced);
  EXPECT_EQ(harness.Live().size(), 2u);
}

// What was delivered while the disk was full is not delivered again.
TEST_F(SpaceTest, OnAFullDiskSettlesAreStillWritten) {
  SpoolHarness harness;
  harness.Start();
  std::vector<MessageRef> stored;
  harness.disk().set_capacity_bytes(harness.disk().used_bytes() + 300_KiB);
  for (uint64_t i = 0; i < 2000; ++i) {
    Sent& sent = harness.SendAndWait(TestContent(i, 2_KiB));
    if (sent.result != CommitResult::kStored) {
      EXPECT_EQ(sent.result, CommitResult::kNoSpace);
      break;
    }
    stored.push_back(sent.message);
  }
  ASSERT_GE(stored.size(), 50u);
  for (size_t i = 0; i + 1 < stored.size(); ++i) {
    harness.Settle(stored[i], 0);
  }
  const uint64_t wanted = harness.spool->SettlesQueued();
  EXPECT_TRUE(harness.TurnUntil([&] { return harness.spool->OutcomesSynced() >= wanted; },
                                absl::Seconds(5)));
  harness.Restart(CrashMode::kNothingUnsynced);
  EXPECT_EQ(harness.Live(), std::vector<MessageRef>{stored.back()});
}

TEST_F(SpaceTest, ADiskWithoutRoomForOneSegmentStillStarts) {
  SpoolHarness harness;
  harness.Start();
  const MessageRef message = harness.SendAndWait(TestContent(1, 100)).message;
  harness.Idle(absl::Seconds(1));
  harness.Crash(CrashMode::kNothingUnsynced);
  harness.disk().set_capacity_bytes(harness.disk().used_bytes() + 10_KiB);
  harness.Start();
  EXPECT_TRUE(harness.is_ready);
  EXPECT_TRUE(harness.ready_status.ok());
  EXPECT_EQ(harness.spool->IntakeState(), CommitResult::kNoSpace);
  EXPECT_EQ(harness.Read(message).outcome, ReadOutcome::kOk);
  EXPECT_EQ(harness.SegmentFiles().size(), 2u);  // nothing half-made is left lying around
}

TEST_F(SpaceTest, ReadOnlyClosesIntakeAndHeals) {
  SpoolHarness harness;
  harness.Start();
  const MessageRef message = harness.SendAndWait(TestContent(1, 100)).message;
  harness.disk().SetReadOnly(true);
  EXPECT_NE(harness.SendAndWait(TestContent(2, 100)).result, CommitResult::kStored);
  harness.Idle(absl::Seconds(165));
  EXPECT_EQ(harness.spool->IntakeState(), CommitResult::kFailed);
  EXPECT_EQ(harness.Read(message).outcome, ReadOutcome::kOk);
  harness.disk().SetReadOnly(false);
  harness.Idle(absl::Seconds(5));
  EXPECT_EQ(harness.spool->IntakeState(), CommitResult::kStored);
  EXPECT_EQ(harness.SendAndWait(TestContent(3, 100)).result, CommitResult::kStored);
}

TEST_F(SpaceTest, AReserveThatDoesNotFitIsAdjustedWithOneLine) {
  for (const uint64_t reserve : {uint64_t{0}, uint64_t{1} << 50}) {
    adjusted_lines = 0;
    SpoolOptions options = SpoolHarness::SmallOptions();
    options.reserve_bytes = reserve;
    SpoolHarness harness(1, options);
    harness.Start();
    harness.Idle(absl::Seconds(10));
    EXPECT_EQ(adjusted_lines, 1);
    EXPECT_EQ(harness.spool->IntakeState(), CommitResult::kStored);
  }
}

}  // namespace
}  // namespace backstay
