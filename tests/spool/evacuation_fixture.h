// tests/spool/evacuation_fixture.h -- a spool whose mostly dead segments are emptied soon.
#pragma once

#include <string>

#include "tests/spool/spool_harness.h"

namespace backstay {

class EvacuationTest : public testing::Test {
 protected:
  static SpoolOptions Options() {
    SpoolOptions options = SpoolHarness::SmallOptions();
    options.evacuation_calm = absl::Seconds(1);
    return options;
  }

  // Messages that come and go.
  static void GoRound(SpoolHarness& harness, uint64_t messages) {
    for (uint64_t i = 0; i < messages && !harness.world.crash_due(); ++i) {
      Sent& sent = harness.SendAndWait(TestContent(5000 + i, 12_KiB));
      if (sent.result == CommitResult::kStored) {
        harness.Settle(sent.message, 0);
      }
    }
  }

  // Until its segment is not there any more.
  static void LetItMove(SpoolHarness& harness, MessageRef message) {
    GoRound(harness, 70);
    const std::string home = SpoolHarness::SegmentPath(message.segment);
    EXPECT_TRUE(harness.TurnUntil([&] { return !harness.disk().Exists(home); }));
    harness.Idle(absl::Seconds(1));
  }

  // On a disk like that of `before`.
  static Instant StartFrom(SpoolHarness& before, SpoolHarness& harness) {
    harness.disk().CopyFrom(before.disk());
    harness.Start();
    return harness.io->Now();
  }

  static std::string WholeOf(const Sent& sent) { return sent.prefix + sent.content; }

  SpoolHarness harness_{1, Options()};
};

}  // namespace backstay
