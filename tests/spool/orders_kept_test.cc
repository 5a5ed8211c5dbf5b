// tests/spool/orders_kept_test.cc -- what was ordered outlives the mail that it was ordered for,
// and is in force in the order in which it came, whatever a start reads.
#include "core/base/log.h"
#include "fmt/format.h"
#include "tests/spool/spool_harness.h"

namespace backstay {
namespace {

class OrdersKeptTest : public testing::Test {
 protected:
  OrdersKeptTest() {
    SetLogSink([](LogLevel, std::string_view) {});
  }
  ~OrdersKeptTest() override { SetLogSink(nullptr); }

  static SpoolOptions Options() {
    SpoolOptions options = SpoolHarness::SmallOptions();
    options.segment_bytes = 64_KiB;
    return options;
  }
  static Rule Order(RuleVerb verb, uint64_t epoch) {
    Rule rule;
    rule.verb = verb;
    rule.epoch = epoch;
    rule.domains = {"a.example"};
    return rule;
  }
  static bool Sync(SpoolHarness& harness) {
    const uint64_t wanted = harness.spool->SettlesQueued();
    return harness.TurnUntil([&] { return harness.spool->OutcomesSynced() >= wanted; });
  }
  // Mail that is settled at once, until the log goes on in the next segment.
  static void Roll(SpoolHarness& harness) {
    uint32_t segment = 0;
    for (uint64_t i = 0; i < 100; ++i) {
      const MessageRef sent = harness.SendAndWait(TestContent(i, 6000), {"b.example"}).message;
      harness.Settle(sent, 0);
      if (segment != 0 && sent.segment != segment) {
        return;
      }
      segment = sent.segment;
    }
  }
  // A domain is stopped, and all its mail is settled.
  static void StopAndSettle(SpoolHarness& harness) {
    const MessageRef message = harness.SendAndWait(TestContent(1, 500)).message;
    harness.spool->ApplyRule(Order(RuleVerb::kStop, 1));
    harness.Settle(message, 0);
  }
  static DomainStop Stop(SpoolHarness& harness) {
    return harness.spool->StopOf(harness.spool->Intern("a.example"));
  }
};

TEST_F(OrdersKeptTest, AStopOutlivesItsSegment) {
  for (uint64_t event = 1; event < 120; ++event) {
    SpoolHarness harness(event, Options());
    harness.Start();
    StopAndSettle(harness);
    Roll(harness);
    harness.world.CrashAfterEvent(event);
    harness.Idle(absl::Seconds(1));
    for (const CrashMode mode : {CrashMode::kRandom, CrashMode::kNothingUnsynced}) {
      harness.Restart(mode);
      ASSERT_EQ(Stop(harness), DomainStop::kByOperator) << event;
      harness.Idle(absl::Seconds(1));
    }
  }
}

// Nothing else keeps it: the checkpoint is written again until it is there, then the segment goes.
TEST_F(OrdersKeptTest, AStopOutlivesACheckpointThatFails) {
  for (uint64_t operation = 1; operation < 40; ++operation) {
    SpoolHarness harness(1, Options());
    harness.Start();
    StopAndSettle(harness);
    ASSERT_TRUE(Sync(harness));
    harness.Restart(CrashMode::kNothingUnsynced);
    harness.world.FailDiskOperation(operation, IoError::kNoSpace, false, IoVerb::kWrite);
    harness.Idle(absl::Seconds(5));
    harness.Restart(CrashMode::kNothingUnsynced);
    EXPECT_EQ(Stop(harness), DomainStop::kByOperator) << operation;
    harness.world.FailDiskOperation(operation, IoError::kNoSpace, false, IoVerb::kWrite);
    harness.Idle(absl::Seconds(30));
    EXPECT_LE(harness.SegmentFiles().size(), 2U) << operation;
    harness.Restart(CrashMode::kNothingUnsynced);
    EXPECT_EQ(Stop(harness), DomainStop::kByOperator) << operation;
  }
}

// Both stand in the open segment, and the checkpoint of the segment before knows both or one: what
// is read again behind it does not become newer.
TEST_F(OrdersKeptTest, AreInForceInTheirOrder) {
  enum class First : uint8_t { kReleased, kExpired, kParked };
  for (const First first : {First::kReleased, First::kExpired, First::kParked}) {
    for (int turns = 0; turns < 30; ++turns) {
      SpoolHarness harness(1, Options());
      harness.Start();
      const MessageRef message = harness.SendAndWait(TestContent(1, 500)).message;
      Spool& spool = *harness.spool;
      const DomainId domain = spool.Intern("a.example");
      if (first == First::kReleased) {
        spool.ApplyRule(Order(RuleVerb::kHold, 1));
      }
      Roll(harness);
      for (int turn = 0; turn < turns; ++turn) {
        harness.Turn();
      }
      switch (first) {
        case First::kReleased:
          ASSERT_EQ(spool.ApplyToMessage(Order(RuleVerb::kRelease, 0), message), 1U);
          spool.ApplyRule(Order(RuleVerb::kHold, 2));
          break;
        case First::kExpired:
          ASSERT_EQ(spool.ApplyToMessage(Order(RuleVerb::kExpire, 0), message), 1U);
          spool.ApplyRule(Order(RuleVerb::kReset, 1));
          break;
        case First::kParked:
          spool.Park(domain, message);
          spool.ApplyRule(Order(RuleVerb::kRelease, 1));
          break;
      }
      const Standing before = spool.StandingOf(message, domain);
      ASSERT_TRUE(Sync(harness));
      harness.Idle(absl::Seconds(1));
      harness.Restart(CrashMode::kNothingUnsynced);
      const Standing after = harness.spool->StandingOf(message, harness.spool->Intern("a.example"));
      const std::string what = fmt::format("{} {}", static_cast<int>(first), turns);
      EXPECT_EQ(before.is_held, first == First::kReleased) << what;
      EXPECT_EQ(after.is_held, before.is_held) << what;
      EXPECT_FALSE(after.is_expired) << what;
    }
  }
}

}  // namespace
}  // namespace backstay
