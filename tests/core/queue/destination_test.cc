// tests/core/queue/destination_test.cc -- every row of the table, the probes, the window.
#include "core/queue/destination.h"

#include <gtest/gtest.h>

namespace backstay {
namespace {

using State = DestinationState;
using Event = DestinationEvent;

const Instant kStart = Instant::FromNanoseconds(3'600'000'000'000);

struct Row {
  State state;
  Event event;
  bool quiet;
  State next;
};

TEST(Destination, TheTableRowByRow) {
  const Row rows[] = {
      {State::kUp, Event::kAnswered, false, State::kUp},
      {State::kUp, Event::kUnreachable, false, State::kDown},
      {State::kUp, Event::kUnreachable, true, State::kDown},
      {State::kUp, Event::kTrouble, false, State::kSuspect},
      {State::kUp, Event::kTrouble, true, State::kDown},
      {State::kUp, Event::kProbeAnswered, false, State::kUp},
      {State::kUp, Event::kProbeFailed, false, State::kDown},
      {State::kUp, Event::kIsSelf, false, State::kHeld},
      {State::kSuspect, Event::kAnswered, true, State::kUp},
      {State::kSuspect, Event::kUnreachable, false, State::kDown},
      {State::kSuspect, Event::kTrouble, false, State::kSuspect},
      {State::kSuspect, Event::kTrouble, true, State::kDown},
      {State::kSuspect, Event::kProbeAnswered, false, State::kUp},
      {State::kSuspect, Event::kProbeFailed, false, State::kDown},
      {State::kSuspect, Event::kIsSelf, false, State::kHeld},
      {State::kDown, Event::kAnswered, false, State::kUp},
      {State::kDown, Event::kUnreachable, false, State::kDown},
      {State::kDown, Event::kTrouble, false, State::kDown},
      {State::kDown, Event::kTrouble, true, State::kDown},
      {State::kDown, Event::kProbeAnswered, false, State::kUp},
      {State::kDown, Event::kProbeFailed, false, State::kDown},
      {State::kDown, Event::kIsSelf, false, State::kHeld},
      {State::kHeld, Event::kAnswered, false, State::kHeld},
      {State::kHeld, Event::kUnreachable, false, State::kHeld},
      {State::kHeld, Event::kTrouble, true, State::kHeld},
      {State::kHeld, Event::kProbeAnswered, false, State::kHeld},
      {State::kHeld, Event::kProbeFailed, false, State::kHeld},
      {State::kHeld, Event::kIsSelf, false, State::kHeld},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(Next(row.state, row.event, row.quiet), row.next)
        << Describe(row.state) << " event " << static_cast<int>(row.event) << " quiet "
        << row.quiet;
  }
}

TEST(Destination, TroubleIsAnOutageOnlyWhenNothingSucceededForHalfAMinute) {
  Random random(1);
  Destination destination;
  destination.SetConnectionsMax(10);
  destination.Feed(Event::kAnswered, kStart, random);
  EXPECT_TRUE(destination.Feed(Event::kTrouble, kStart + absl::Seconds(29), random));
  EXPECT_EQ(destination.state(), State::kSuspect);
  EXPECT_TRUE(destination.may_deliver());
  EXPECT_EQ(destination.window(), 1U);
  EXPECT_TRUE(destination.Feed(Event::kTrouble, kStart + absl::Seconds(30), random));
  EXPECT_EQ(destination.state(), State::kDown);
  EXPECT_FALSE(destination.may_deliver());
}

TEST(Destination, ProbesAboutEverySecondForTenMinutesThenUpTo15Seconds) {
  Random random(1);
  Destination destination;
  destination.SetConnectionsMax(1);
  destination.Feed(Event::kUnreachable, kStart, random);
  Instant now = kStart;
  for (int probe = 0; now < kStart + absl::Minutes(10); ++probe) {
    const absl::Duration wait = destination.next_probe() - now;
    ASSERT_GE(wait, absl::Milliseconds(900)) << probe;
    ASSERT_LE(wait, absl::Milliseconds(1100)) << probe;
    now = destination.next_probe();
    destination.Feed(Event::kProbeFailed, now, random);
  }
  for (int probe = 0; probe < 1000; ++probe) {
    ASSERT_LE(destination.next_probe() - now, absl::Milliseconds(16500));
    now = destination.next_probe();
    destination.Feed(Event::kProbeFailed, now, random);
  }
  EXPECT_GE(destination.next_probe() - now, absl::Milliseconds(13500));
  EXPECT_EQ(destination.down_since(), kStart);
}

TEST(Destination, ReturnsWithAFewConnectionsAndGrowsByOneADelivery) {
  Random random(1);
  Destination destination;
  destination.SetConnectionsMax(5);
  destination.Feed(Event::kUnreachable, kStart, random);
  EXPECT_TRUE(destination.Feed(Event::kProbeAnswered, kStart + absl::Seconds(9), random));
  EXPECT_EQ(destination.window(), 2U);
  for (int delivery = 0; delivery < 10; ++delivery) {
    destination.OnDelivered(kStart + absl::Seconds(10));
  }
  EXPECT_EQ(destination.window(), 5U);
  destination.Feed(Event::kTrouble, kStart + absl::Seconds(11), random);
  destination.Feed(Event::kAnswered, kStart + absl::Seconds(12), random);
  EXPECT_EQ(destination.window(), 2U);
}

TEST(Destination, IsHeldUntilReleasedWhenItIsOurselves) {
  Random random(1);
  Destination destination;
  destination.Feed(Event::kIsSelf, kStart, random);
  EXPECT_FALSE(destination.may_deliver());
  destination.Release();
  EXPECT_TRUE(destination.may_deliver());
}

}  // namespace
}  // namespace backstay
