// tests/core/queue/destination_test.cc -- the state table row by row, probing times, the window.
#include "core/queue/destination.h"

#include <gtest/gtest.h>

#include <set>

namespace backstay {
namespace {

using State = DestinationState;
using Event = DestinationEvent;

Instant Second(int64_t seconds) {
  return Instant::FromNanoseconds(seconds * 1'000'000'000);
}

TEST(Destination, EveryRowOfTheTable) {
  struct Row {
    State state;
    Event event;
    State soon;   // something succeeded within 30 s
    State quiet;  // nothing did
  };
  const Row rows[] = {
      {State::kUp, Event::kAnswered, State::kUp, State::kUp},
      {State::kUp, Event::kUnreachable, State::kDown, State::kDown},
      {State::kUp, Event::kTrouble, State::kSuspect, State::kDown},
      {State::kUp, Event::kProbeAnswered, State::kUp, State::kUp},
      {State::kUp, Event::kProbeFailed, State::kDown, State::kDown},
      {State::kUp, Event::kIsSelf, State::kHeld, State::kHeld},
      {State::kSuspect, Event::kAnswered, State::kUp, State::kUp},
      {State::kSuspect, Event::kUnreachable, State::kDown, State::kDown},
      {State::kSuspect, Event::kTrouble, State::kSuspect, State::kDown},
      {State::kSuspect, Event::kProbeAnswered, State::kUp, State::kUp},
      {State::kSuspect, Event::kProbeFailed, State::kDown, State::kDown},
      {State::kSuspect, Event::kIsSelf, State::kHeld, State::kHeld},
      {State::kDown, Event::kAnswered, State::kUp, State::kUp},
      {State::kDown, Event::kUnreachable, State::kDown, State::kDown},
      {State::kDown, Event::kTrouble, State::kDown, State::kDown},
      {State::kDown, Event::kProbeAnswered, State::kUp, State::kUp},
      {State::kDown, Event::kProbeFailed, State::kDown, State::kDown},
      {State::kDown, Event::kIsSelf, State::kHeld, State::kHeld},
      {State::kHeld, Event::kAnswered, State::kHeld, State::kHeld},
      {State::kHeld, Event::kUnreachable, State::kHeld, State::kHeld},
      {State::kHeld, Event::kTrouble, State::kHeld, State::kHeld},
      {State::kHeld, Event::kProbeAnswered, State::kHeld, State::kHeld},
      {State::kHeld, Event::kProbeFailed, State::kHeld, State::kHeld},
      {State::kHeld, Event::kIsSelf, State::kHeld, State::kHeld},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(Next(row.state, row.event, false), row.soon)
        << Describe(row.state) << " " << static_cast<int>(row.event);
    EXPECT_EQ(Next(row.state, row.event, true), row.quiet)
        << Describe(row.state) << " " << static_cast<int>(row.event);
  }
}

class DestinationTest : public ::testing::Test {
 protected:
  DestinationTest() {
    destination_.SetConnectionsMax(20);
    destination_.Feed(Event::kAnswered, Second(1000), random_);
  }
  bool Feed(Event event, Instant now) { return destination_.Feed(event, now, random_); }

  Random random_{1};
  Destination destination_;
};

TEST_F(DestinationTest, TroubleCountsOnlyAfterThirtySecondsWithoutSuccess) {
  EXPECT_TRUE(Feed(Event::kTrouble, Second(1029)));
  EXPECT_EQ(destination_.state(), State::kSuspect);
  EXPECT_TRUE(destination_.may_deliver());
  EXPECT_FALSE(Feed(Event::kTrouble, Second(1029)));
  EXPECT_TRUE(Feed(Event::kTrouble, Second(1030)));
  EXPECT_EQ(destination_.state(), State::kDown);
  EXPECT_FALSE(destination_.may_deliver());
  EXPECT_EQ(destination_.down_since(), Second(1030));
}

TEST_F(DestinationTest, ADeliveryCountsAsSuccess) {
  destination_.OnDelivered(Second(1020));
  Feed(Event::kTrouble, Second(1049));
  EXPECT_EQ(destination_.state(), State::kSuspect);
}

TEST_F(DestinationTest, SuspicionAllowsOneConnectionUntilADeliveryClearsIt) {
  destination_.OnDelivered(Second(1001));
  ASSERT_GT(destination_.window(), 1u);
  Feed(Event::kTrouble, Second(1002));
  EXPECT_EQ(destination_.window(), 1u);
  destination_.OnDelivered(Second(1003));
  EXPECT_EQ(destination_.state(), State::kUp);
  EXPECT_GT(destination_.window(), 1u);
}

TEST_F(DestinationTest, ADeliveryThatWasUnderWayDoesNotEndAnOutage) {
  Feed(Event::kUnreachable, Second(1002));
  destination_.OnDelivered(Second(1003));
  EXPECT_EQ(destination_.state(), State::kDown);
}

TEST_F(DestinationTest, FeedTellsOfChangesOnly) {
  EXPECT_FALSE(Feed(Event::kAnswered, Second(1001)));
  EXPECT_TRUE(Feed(Event::kUnreachable, Second(1002)));
  EXPECT_FALSE(Feed(Event::kProbeFailed, Second(1003)));
  EXPECT_TRUE(Feed(Event::kProbeAnswered, Second(1004)));
}

TEST_F(DestinationTest, ProbesAboutEverySecondForTenMinutes) {
  Feed(Event::kUnreachable, Second(2000));
  std::set<int64_t> waits;
  Instant now = Second(2000);
  while (now < Second(2600)) {
    const absl::Duration wait = destination_.next_probe() - now;
    ASSERT_GE(wait, absl::Milliseconds(900));
    ASSERT_LE(wait, absl::Milliseconds(1100));
    waits.insert(absl::ToInt64Milliseconds(wait));
    now = destination_.next_probe();
    Feed(Event::kProbeFailed, now);
  }
  EXPECT_GT(waits.size(), 50u);  // jittered
  EXPECT_EQ(destination_.down_since(), Second(2000));
  EXPECT_GT(destination_.probes_failed(), 540u);
}

TEST_F(DestinationTest, ProbesGrowToFifteenSecondsAndStayThere) {
  Feed(Event::kUnreachable, Second(2000));
  struct Case {
    int64_t outage;
    int64_t seconds;
  };
  for (const Case& c : {Case{599, 1}, Case{600, 1}, Case{630, 2}, Case{690, 4}, Case{750, 8},
                        Case{810, 15}, Case{86'400, 15}, Case{30 * 86'400, 15}}) {
    const Instant now = Second(2000 + c.outage);
    Feed(Event::kProbeFailed, now);
    const absl::Duration wait = destination_.next_probe() - now;
    EXPECT_GE(wait, absl::Milliseconds(900 * c.seconds)) << c.outage;
    EXPECT_LE(wait, absl::Milliseconds(1100 * c.seconds)) << c.outage;
  }
}

// Failed deliveries that were under way must not push the probe away.
TEST_F(DestinationTest, OnlyAFailedProbeMovesTheNextOne) {
  Feed(Event::kUnreachable, Second(2000));
  const Instant next = destination_.next_probe();
  Feed(Event::kUnreachable, Second(2000));
  Feed(Event::kTrouble, Second(2001));
  EXPECT_EQ(destination_.next_probe(), next);
}

TEST_F(DestinationTest, AProbeThatIsAskedForDoesNotWait) {
  Feed(Event::kUnreachable, Second(2000));
  destination_.ProbeNow(Second(2000));
  EXPECT_EQ(destination_.next_probe(), Second(2000));
  destination_.ProbeNow(Second(2001));
  EXPECT_EQ(destination_.next_probe(), Second(2000));
}

TEST_F(DestinationTest, EachOutageStartsAnew) {
  Feed(Event::kUnreachable, Second(2000));
  Feed(Event::kProbeFailed, Second(3000));
  Feed(Event::kProbeAnswered, Second(3010));
  Feed(Event::kUnreachable, Second(4000));
  EXPECT_EQ(destination_.down_since(), Second(4000));
  EXPECT_EQ(destination_.probes_failed(), 0u);
  EXPECT_LE(destination_.next_probe(), Second(4002));
}

TEST_F(DestinationTest, TheWindowGrowsByDeliveriesUpToTheMaximum) {
  EXPECT_EQ(destination_.window(), 2u);
  for (size_t delivered = 1; delivered < 100; ++delivered) {
    const size_t before = destination_.window();
    destination_.OnDelivered(Second(1001));
    EXPECT_LE(destination_.window(), before + 1);
  }
  EXPECT_EQ(destination_.window(), 20u);
}

TEST_F(DestinationTest, TroubleHalvesTheWindow) {
  for (int delivered = 0; delivered < 50; ++delivered) {
    destination_.OnDelivered(Second(1001));
  }
  Feed(Event::kTrouble, Second(1002));
  Feed(Event::kAnswered, Second(1002));
  EXPECT_EQ(destination_.window(), 10u);
  for (int trouble = 0; trouble < 10; ++trouble) {
    Feed(Event::kTrouble, Second(1003));
  }
  EXPECT_EQ(destination_.window(), 1u);
}

TEST_F(DestinationTest, AReturnStartsWithFew) {
  for (int delivered = 0; delivered < 50; ++delivered) {
    destination_.OnDelivered(Second(1001));
  }
  Feed(Event::kUnreachable, Second(2000));
  Feed(Event::kProbeAnswered, Second(2010));
  EXPECT_EQ(destination_.window(), 2u);
}

TEST_F(DestinationTest, AMaximumOfOneIsKept) {
  destination_.SetConnectionsMax(1);
  EXPECT_EQ(destination_.window(), 1u);
  destination_.OnDelivered(Second(1001));
  Feed(Event::kUnreachable, Second(2000));
  Feed(Event::kProbeAnswered, Second(2010));
  EXPECT_EQ(destination_.window(), 1u);
}

TEST_F(DestinationTest, HeldUntilReleased) {
  EXPECT_TRUE(Feed(Event::kIsSelf, Second(1001)));
  EXPECT_FALSE(destination_.may_deliver());
  EXPECT_FALSE(Feed(Event::kProbeAnswered, Second(1002)));
  destination_.OnDelivered(Second(1002));
  EXPECT_EQ(destination_.state(), State::kHeld);
  destination_.Release();
  EXPECT_EQ(destination_.state(), State::kUp);
}

TEST_F(DestinationTest, ReleaseChangesNothingElse) {
  Feed(Event::kUnreachable, Second(2000));
  destination_.Release();
  EXPECT_EQ(destination_.state(), State::kDown);
}

}  // namespace
}  // namespace backstay
