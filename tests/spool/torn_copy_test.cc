// tests/spool/torn_copy_test.cc -- a power cut tears the last batch with a moved message: it is not
// known by what is left of that, as long as there is anything else.
#include "tests/spool/evacuation_fixture.h"

namespace backstay {
namespace {

class TornCopyTest : public EvacuationTest {
 protected:
  // The last bytes of the message, where they lie last.
  static void Tear(SpoolHarness& harness, std::string_view content) {
    const std::string_view end = content.substr(content.size() - 500);
    std::string copy;
    size_t at = std::string::npos;
    for (const std::string& name : harness.SegmentFiles()) {
      const std::string path = SpoolHarness::PathOf(name);
      const size_t found = harness.disk().Contents(path)->rfind(end);
      copy = found != std::string::npos ? path : copy;
      at = found != std::string::npos ? found : at;
    }
    ASSERT_NE(at, std::string::npos);
    ASSERT_TRUE(harness.disk().FlipBit(copy, at * 8));
  }

  // Sent, and moved so often; of the last time something is missing. Returns what it was.
  // `with_other`: mail of another domain lies beside what is left of it.
  std::string MoveAndTear(SpoolHarness& harness, uint64_t moves, bool with_other = false) {
    harness.Start();
    const Sent& large = harness.SendAndWait(TestContent(1, 28_KiB));
    message_ = large.message;
    const std::string content = WholeOf(large);
    if (moves == 2) {
      LetItMove(harness, message_);
    }
    GoRound(harness, with_other ? 40 : 70);
    if (with_other) {
      harness.SendAndWait(TestContent(2, 60_KiB), {"b.example"});
    }
    EXPECT_TRUE(harness.TurnUntil([&] { return harness.spool->Stats().messages_moved == moves; }));
    harness.Crash(CrashMode::kNothingUnsynced);
    Tear(harness, content);
    return content;
  }

  void ExpectWholeIn(SpoolHarness& harness, const std::string& content) {
    ASSERT_EQ(harness.Live(), std::vector{message_});
    const ReadBack back = harness.Read(message_);
    EXPECT_EQ(back.outcome, ReadOutcome::kOk);
    EXPECT_TRUE(back.content == content);
  }

  MessageRef message_;
};

// It is known by the record before, and stays known by that when a checkpoint comes to cover what
// is left of the batch.
TEST_F(TornCopyTest, IsNotTakenForTheMessage) {
  for (const uint64_t moves : {1, 2}) {
    SpoolHarness harness(1, Options());
    const std::string content = MoveAndTear(harness, moves);
    harness.Start();
    ASSERT_EQ(harness.spool->Stats().torn_tails, 1U) << moves;
    for (int run = 0; run < 2; ++run) {
      ExpectWholeIn(harness, content);
      harness.Idle(absl::Milliseconds(500));  // for a checkpoint, not for a move
      ASSERT_EQ(harness.spool->Stats().messages_moved, 0U);
      harness.Restart(CrashMode::kNothingUnsynced);
    }
  }
}

// The start that found it could write no batch that tells of it, but a checkpoint.
TEST_F(TornCopyTest, IsNotTakenThoughNoStartCouldTellOfIt) {
  const std::string content = MoveAndTear(harness_, 2);
  const size_t checkpoints = harness_.CheckpointPaths().size();
  harness_.world.FailDiskOperation(1, IoError::kNoSpace, true, IoVerb::kAllocate);
  harness_.Start();
  harness_.Idle(absl::Milliseconds(500));
  ASSERT_EQ(harness_.spool->Stats().batches, 0U);
  ASSERT_GE(harness_.CheckpointPaths().size(), checkpoints);
  harness_.world.StopFaults();
  harness_.Restart(CrashMode::kNothingUnsynced);
  ExpectWholeIn(harness_, content);
}

// It is moved once more from where it was, and that goes: the copy behind the torn one is whole.
TEST_F(TornCopyTest, GivesWayToALaterOne) {
  const std::string content = MoveAndTear(harness_, 1, true);
  harness_.Start();
  const std::string home = SpoolHarness::SegmentPath(message_.segment);
  ASSERT_TRUE(harness_.TurnUntil([&] { return !harness_.disk().Exists(home); }));
  harness_.Idle(absl::Milliseconds(200));  // and will not come back
  harness_.Crash(CrashMode::kNothingUnsynced);
  harness_.DeleteCheckpoints();
  harness_.Start();
  ExpectWholeIn(harness_, content);
}

// The same when the checkpoint of that start knows the message where it was.
TEST_F(TornCopyTest, GivesWayToALaterOneThatNoCheckpointKnows) {
  harness_.Start();
  Sent& large = harness_.Begin(TestContent(1, 28_KiB));
  large.writer.Append(AsBytes(large.content).first(20_KiB));
  GoRound(harness_, 20);  // its record comes to lie in another segment
  large.writer.Append(AsBytes(large.content).subspan(20_KiB));
  large.writer.Finish(large);
  ASSERT_TRUE(harness_.TurnUntil([&] { return large.committed == 1; }));
  message_ = large.message;
  const std::string content = WholeOf(large);
  ASSERT_GT(message_.segment, 1U);
  harness_.SendAndWait(TestContent(2, 60_KiB), {"b.example"});  // that one stays
  GoRound(harness_, 30);
  harness_.SendAndWait(TestContent(3, 60_KiB), {"b.example"});
  ASSERT_EQ(harness_.spool->Stats().messages_moved, 0U);
  ASSERT_TRUE(harness_.TurnUntil([&] { return harness_.spool->Stats().messages_moved == 1; }));
  harness_.Crash(CrashMode::kNothingUnsynced);
  Tear(harness_, content);
  harness_.Start();
  ASSERT_EQ(harness_.spool->Stats().torn_tails, 1U);
  const auto is_there = [&](uint32_t segment) {
    return harness_.disk().Exists(SpoolHarness::SegmentPath(segment));
  };
  ASSERT_TRUE(harness_.TurnUntil([&] { return !is_there(1); }));
  harness_.Idle(absl::Milliseconds(200));  // and will not come back
  ASSERT_TRUE(is_there(message_.segment));
  harness_.Restart(CrashMode::kNothingUnsynced);
  ExpectWholeIn(harness_, content);
}

}  // namespace
}  // namespace backstay
