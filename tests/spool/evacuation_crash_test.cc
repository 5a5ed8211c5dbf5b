// tests/spool/evacuation_crash_test.cc -- what is being moved when a segment fails or the machine
// stops.
#include "core/base/mark.h"
#include "tests/spool/evacuation_fixture.h"

namespace backstay {
namespace {

// When the first write of a segment fails it goes at once, and the one before it is the newest
// again: sealed once more, it keeps the footer that names what was moved to it.
TEST_F(EvacuationTest, WhatWasMovedIsFoundThoughTheNextSegmentFailed) {
  const uint64_t sealed_again = MarkCount("segment sealed again");
  const auto move = [](SpoolHarness& harness) {
    harness.Start();
    const MessageRef message = harness.SendAndWait(TestContent(1, 5_KiB)).message;
    LetItMove(harness, message);
    return message;
  };
  move(harness_);
  uint64_t fitting = 0;
  for (uint32_t segment = 0;; ++fitting) {
    const MessageRef sent = harness_.SendAndWait(TestContent(5000, 12_KiB)).message;
    harness_.Settle(sent, 0);
    if (segment != 0 && sent.segment != segment) {
      break;
    }
    segment = sent.segment;
  }
  for (uint64_t operation = 1; operation < 8; ++operation) {
    SpoolHarness harness(1, Options());
    const MessageRef message = move(harness);
    GoRound(harness, fitting);
    harness.world.FailDiskOperation(operation, IoError::kDevice, false);
    GoRound(harness, 60);
    harness.Idle(absl::Seconds(5));
    harness.Restart(CrashMode::kNothingUnsynced);
    ASSERT_EQ(harness.Live(), std::vector{message}) << operation;
    EXPECT_EQ(harness.Read(message).outcome, ReadOutcome::kOk) << operation;
  }
  EXPECT_GT(MarkCount("segment sealed again"), sealed_again);
}

// One power cut after another while segments are being emptied.
TEST_F(EvacuationTest, ACrashAtAnyMomentLeavesOneMessage) {
  uint64_t moved = 0;
  for (uint64_t event = 1; event < 160; event += 2) {
    SpoolHarness harness(event, Options());
    harness.Start();
    std::vector<MessageRef> waiting;
    std::vector<std::string> contents;
    for (uint64_t i = 0; i < 3; ++i) {
      const Sent& sent = harness.SendAndWait(TestContent(i, i == 0 ? 18_KiB : 2_KiB));
      waiting.push_back(sent.message);
      contents.push_back(WholeOf(sent));
    }
    GoRound(harness, 70);
    harness.Idle(absl::Milliseconds(200));  // what is settled is known as settled
    harness.world.CrashAfterEvent(event);
    harness.Idle(absl::Seconds(3));
    for (const CrashMode mode :
         {event % 2 == 0 ? CrashMode::kRandom : CrashMode::kNothingUnsynced, CrashMode::kRandom}) {
      moved += harness.spool->Stats().messages_moved;
      harness.Restart(mode);
      EXPECT_EQ(harness.spool->Stats().damaged_records, 0U) << event;
      ASSERT_EQ(harness.Live(), waiting) << event;
      for (size_t i = 0; i < waiting.size(); ++i) {
        EXPECT_TRUE(harness.Read(waiting[i]).content == contents[i]) << event;
      }
      harness.world.CrashAfterEvent(event);
      harness.Idle(absl::Seconds(5));
    }
  }
  EXPECT_GT(moved, 100U);
}

}  // namespace
}  // namespace backstay
