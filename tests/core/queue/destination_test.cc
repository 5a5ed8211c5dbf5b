// tests/core/queue/destination_test.cc -- the state table row by row, probing times, the window.
#include "core/queue/destination.h"

#include <gtest/gtest.h>

#include <set>

namespace backstay {
namespace {

using State = DestinationState;
using Event = DestinationEvent;

Instant AtSecond(int64_t seconds) {
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
      {State::kUp, Event::kRamped, State::kUp, State::kUp},
      {State::kUp, Event::kIsSelf, State::kHeld, State::kHeld},
      {State::kRamping, Event::kAnswered, State::kRamping, State::kRamping},
      {State::kRamping, Event::kUnreachable, State::kDown, State::kDown},
      {State::kRamping, Event::kTrouble, State::kRamping, State::kDown},
      {State::kRamping, Event::kProbeAnswered, State::kRamping, State::kRamping},
      {State::kRamping, Event::kProbeFailed, State::kDown, State::kDown},
      {State::kRamping, Event::kRamped, State::kUp, State::kUp},
      {State::kRamping, Event::kIsSelf, State::kHeld, State::kHeld},
      {State::kSuspect, Event::kAnswered, State::kUp, State::kUp},
      {State::kSuspect, Event::kUnreachable, State::kDown, State::kDown},
      {State::kSuspect, Event::kTrouble, State::kSuspect, State::kDown},
      {State::kSuspect, Event::kProbeAnswered, State::kUp, State::kUp},
      {State::kSuspect, Event::kProbeFailed, State::kDown, State::kDown},
      {State::kSuspect, Event::kRamped, State::kSuspect, State::kSuspect},
      {State::kSuspect, Event::kIsSelf, State::kHeld, State::kHeld},
      {State::kDown, Event::kAnswered, State::kRamping, State::kRamping},
      {State::kDown, Event::kUnreachable, State::kDown, State::kDown},
      {State::kDown, Event::kTrouble, State::kDown, State::kDown},
      {State::kDown, Event::kProbeAnswered, State::kRamping, State::kRamping},
      {State::kDown, Event::kProbeFailed, State::kDown, State::kDown},
      {State::kDown, Event::kRamped, State::kDown, State::kDown},
      {State::kDown, Event::kIsSelf, State::kHeld, State::kHeld},
      {State::kHeld, Event::kAnswered, State::kHeld, State::kHeld},
      {State::kHeld, Event::kUnreachable, State::kHeld, State::kHeld},
      {State::kHeld, Event::kTrouble, State::kHeld, State::kHeld},
      {State::kHeld, Event::kProbeAnswered, State::kHeld, State::kHeld},
      {State::kHeld, Event::kProbeFailed, State::kHeld, State::kHeld},
      {State::kHeld, Event::kRamped, State::kHeld, State::kHeld},
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
    destination_.Feed(Event::kAnswered, AtSecond(1000), random_);
  }
  bool Feed(Event event, Instant now) { return destination_.Feed(event, now, random_); }

  // Messages, one after the other.
  void Take(int messages, absl::Duration took = absl::Milliseconds(5)) {
    for (int i = 0; i < messages; ++i) {
      const std::optional<uint32_t> era = destination_.TryStart(AtSecond(1001));
      ASSERT_TRUE(era.has_value());
      destination_.OnEnd(*era, MessageFate::kTaken, took, AtSecond(1001));
    }
  }

  Random random_{1};
  Ramp ramp_{2};
  Destination destination_{ramp_, /*leads_ramp=*/true};
  Destination other_{ramp_, /*leads_ramp=*/false};  // of the other shard
};

TEST_F(DestinationTest, TroubleCountsOnlyAfterThirtySecondsWithoutSuccess) {
  EXPECT_TRUE(Feed(Event::kTrouble, AtSecond(1029)));
  EXPECT_EQ(destination_.state(), State::kSuspect);
  EXPECT_TRUE(destination_.may_deliver());
  EXPECT_FALSE(Feed(Event::kTrouble, AtSecond(1029)));
  EXPECT_TRUE(Feed(Event::kTrouble, AtSecond(1030)));
  EXPECT_EQ(destination_.state(), State::kDown);
  EXPECT_FALSE(destination_.may_deliver());
  EXPECT_EQ(destination_.down_since(), AtSecond(1030));
}

TEST_F(DestinationTest, ADeliveryCountsAsSuccess) {
  destination_.OnDelivered(AtSecond(1020));
  Feed(Event::kTrouble, AtSecond(1049));
  EXPECT_EQ(destination_.state(), State::kSuspect);
}

TEST_F(DestinationTest, SuspicionAllowsOneConnectionUntilADeliveryClearsIt) {
  Take(20);
  Feed(Event::kTrouble, AtSecond(1002));
  EXPECT_EQ(destination_.window(), 1u);
  destination_.OnDelivered(AtSecond(1003));
  EXPECT_EQ(destination_.state(), State::kUp);
  EXPECT_GT(destination_.window(), 1u);
}

TEST_F(DestinationTest, ADeliveryThatWasUnderWayDoesNotEndAnOutage) {
  Feed(Event::kUnreachable, AtSecond(1002));
  destination_.OnDelivered(AtSecond(1003));
  EXPECT_EQ(destination_.state(), State::kDown);
}

TEST_F(DestinationTest, FeedTellsOfChangesOnly) {
  EXPECT_FALSE(Feed(Event::kAnswered, AtSecond(1001)));
  EXPECT_TRUE(Feed(Event::kUnreachable, AtSecond(1002)));
  EXPECT_FALSE(Feed(Event::kProbeFailed, AtSecond(1003)));
  EXPECT_TRUE(Feed(Event::kProbeAnswered, AtSecond(1004)));
}

TEST_F(DestinationTest, ProbesAboutEverySecondForTenMinutes) {
  Feed(Event::kUnreachable, AtSecond(2000));
  std::set<int64_t> waits;
  Instant now = AtSecond(2000);
  while (now < AtSecond(2600)) {
    const absl::Duration wait = destination_.next_probe() - now;
    ASSERT_GE(wait, absl::Milliseconds(900));
    ASSERT_LE(wait, absl::Milliseconds(1100));
    waits.insert(absl::ToInt64Milliseconds(wait));
    now = destination_.next_probe();
    Feed(Event::kProbeFailed, now);
  }
  EXPECT_GT(waits.size(), 50u);  // jittered
  EXPECT_EQ(destination_.down_since(), AtSecond(2000));
  EXPECT_GT(destination_.probes_failed(), 540u);
}

TEST_F(DestinationTest, ProbesGrowToFifteenSecondsAndStayThere) {
  Feed(Event::kUnreachable, AtSecond(2000));
  struct Case {
    int64_t outage;
    int64_t seconds;
  };
  for (const Case& c : {Case{599, 1}, Case{600, 1}, Case{630, 2}, Case{690, 4}, Case{750, 8},
                        Case{810, 15}, Case{86'400, 15}, Case{30 * 86'400, 15}}) {
    const Instant now = AtSecond(2000 + c.outage);
    Feed(Event::kProbeFailed, now);
    const absl::Duration wait = destination_.next_probe() - now;
    EXPECT_GE(wait, absl::Milliseconds(900 * c.seconds)) << c.outage;
    EXPECT_LE(wait, absl::Milliseconds(1100 * c.seconds)) << c.outage;
  }
}

// Failed deliveries that were under way must not push the probe away.
TEST_F(DestinationTest, OnlyAFailedProbeMovesTheNextOne) {
  Feed(Event::kUnreachable, AtSecond(2000));
  const Instant next = destination_.next_probe();
  Feed(Event::kUnreachable, AtSecond(2000));
  Feed(Event::kTrouble, AtSecond(2001));
  EXPECT_EQ(destination_.next_probe(), next);
}

TEST_F(DestinationTest, AProbeThatIsAskedForDoesNotWait) {
  Feed(Event::kUnreachable, AtSecond(2000));
  destination_.ProbeNow(AtSecond(2000));
  EXPECT_EQ(destination_.next_probe(), AtSecond(2000));
  destination_.ProbeNow(AtSecond(2001));
  EXPECT_EQ(destination_.next_probe(), AtSecond(2000));
}

TEST_F(DestinationTest, EachOutageStartsAnew) {
  Feed(Event::kUnreachable, AtSecond(2000));
  Feed(Event::kProbeFailed, AtSecond(3000));
  Feed(Event::kProbeAnswered, AtSecond(3010));
  Feed(Event::kUnreachable, AtSecond(4000));
  EXPECT_EQ(destination_.down_since(), AtSecond(4000));
  EXPECT_EQ(destination_.probes_failed(), 0u);
  EXPECT_LE(destination_.next_probe(), AtSecond(4002));
}

TEST_F(DestinationTest, TheWindowGrowsByDeliveriesUpToTheMaximum) {
  EXPECT_EQ(destination_.window(), 2u);
  Take(300);
  EXPECT_EQ(destination_.window(), 20u);
}

TEST_F(DestinationTest, TroubleHalvesTheWindow) {
  Take(300);
  Feed(Event::kTrouble, AtSecond(1002));
  Feed(Event::kAnswered, AtSecond(1002));
  EXPECT_EQ(destination_.window(), 10u);
  for (int trouble = 0; trouble < 10; ++trouble) {
    Feed(Event::kTrouble, AtSecond(1003));
  }
  EXPECT_EQ(destination_.window(), 1u);
}

TEST_F(DestinationTest, AReturnBeginsWithCanariesAndEndsAtFullWidth) {
  Take(300);
  Feed(Event::kUnreachable, AtSecond(2000));
  Feed(Event::kProbeAnswered, AtSecond(2010));
  EXPECT_EQ(destination_.state(), State::kRamping);
  EXPECT_TRUE(destination_.in_canaries());
  EXPECT_EQ(destination_.window(), Ramp::kCanaries);
  Take(1);
  EXPECT_FALSE(destination_.in_canaries());
  EXPECT_EQ(destination_.state(), State::kRamping);
  Take(300);
  EXPECT_EQ(destination_.state(), State::kUp);
}

TEST_F(DestinationTest, NothingLeftToTryEndsARamp) {
  Feed(Event::kUnreachable, AtSecond(2000));
  EXPECT_FALSE(destination_.OnNothingLeft());
  EXPECT_EQ(destination_.state(), State::kDown);
  Feed(Event::kProbeAnswered, AtSecond(2010));
  EXPECT_FALSE(destination_.OnNothingLeft());  // the other shard may have some
  EXPECT_FALSE(destination_.OnNothingLeft());  // and it is asked once
  EXPECT_FALSE(other_.OnNothingLeft());
  EXPECT_TRUE(destination_.OnNothingLeft());
  EXPECT_EQ(destination_.state(), State::kUp);
  EXPECT_FALSE(destination_.OnNothingLeft());
  EXPECT_TRUE(destination_.MayStart(AtSecond(2010)));
}

// One shard says when it was down; what any of them learns counts for all.
TEST_F(DestinationTest, ShardsHaveOneWindowAndItsCanaries) {
  Take(300);
  other_.SetConnectionsMax(20);
  EXPECT_EQ(other_.window(), 20u);
  Feed(Event::kUnreachable, AtSecond(2000));
  other_.Feed(Event::kUnreachable, AtSecond(2001), random_);
  EXPECT_FALSE(other_.MayStart(AtSecond(2001)));
  other_.Feed(Event::kAnswered, AtSecond(2002), random_);  // a connection of before
  EXPECT_FALSE(other_.MayStart(AtSecond(2002)));
  Feed(Event::kProbeAnswered, AtSecond(2010));
  for (size_t canary = 0; canary < Ramp::kCanaries; ++canary) {
    EXPECT_TRUE((canary % 2 == 0 ? destination_ : other_).TryStart(AtSecond(2010)).has_value());
  }
  EXPECT_FALSE(destination_.MayStart(AtSecond(2010)));
  EXPECT_FALSE(other_.MayStart(AtSecond(2010)));
  other_.OnEnd(ramp_.era(), MessageFate::kTaken, absl::Milliseconds(5), AtSecond(2010));
  EXPECT_FALSE(destination_.in_canaries());
  EXPECT_EQ(destination_.window(), 2u);
}

TEST_F(DestinationTest, TroubleOfOneShardIsNoOutageOfAll) {
  Take(300);
  other_.Feed(Event::kUnreachable, AtSecond(2000), random_);
  EXPECT_EQ(destination_.window(), 20u);
  other_.Feed(Event::kProbeAnswered, AtSecond(2001), random_);
  EXPECT_FALSE(other_.in_canaries());
  EXPECT_TRUE(other_.MayStart(AtSecond(2001)));
  other_.Feed(Event::kTrouble, AtSecond(2002), random_);
  EXPECT_EQ(destination_.window(), 10u);  // but what it costs is less for all
}

TEST_F(DestinationTest, APrimaryThatBecomesSlowGetsLess) {
  Take(300);
  Take(40, absl::Milliseconds(500));
  EXPECT_LE(destination_.window(), 11u);
}

TEST_F(DestinationTest, KnowsWhenItWasLastDown) {
  EXPECT_FALSE(destination_.WasDownSince(AtSecond(0)));
  Feed(Event::kUnreachable, AtSecond(2000));
  Feed(Event::kProbeFailed, AtSecond(2005));
  Feed(Event::kProbeAnswered, AtSecond(2010));
  EXPECT_TRUE(destination_.WasDownSince(AtSecond(2005)));
  EXPECT_FALSE(destination_.WasDownSince(AtSecond(2006)));
}

TEST_F(DestinationTest, ResumesAsItWasLeft) {
  Ramp ramp(1);
  Destination down(ramp, /*leads_ramp=*/true);
  down.SetConnectionsMax(20);
  down.ResumeDown(AtSecond(500), AtSecond(1000));
  EXPECT_EQ(down.state(), State::kDown);
  EXPECT_EQ(down.next_probe(), AtSecond(1000));
  EXPECT_FALSE(ramp.MayStart(AtSecond(1000)));
  EXPECT_EQ(down.down_since(), AtSecond(500));
  EXPECT_TRUE(down.Feed(Event::kProbeAnswered, AtSecond(1001), random_));
  EXPECT_TRUE(down.in_canaries());
  Destination up(ramp_, /*leads_ramp=*/true);
  up.ResumeUp(AtSecond(-3600));
  EXPECT_EQ(up.state(), State::kUp);
  EXPECT_TRUE(up.WasDownSince(AtSecond(-86400)));
}

TEST_F(DestinationTest, ADoubtIsAsIfItHadJustBeenDown) {
  EXPECT_TRUE(destination_.Doubt(AtSecond(2000)));
  EXPECT_EQ(destination_.state(), State::kRamping);
  EXPECT_TRUE(destination_.in_canaries());
  EXPECT_TRUE(destination_.WasDownSince(AtSecond(2000)));
  EXPECT_EQ(destination_.not_up_since(), AtSecond(2000));
  EXPECT_TRUE(other_.Doubt(AtSecond(2001)));
  EXPECT_EQ(other_.state(), State::kRamping);
  Take(300);
  EXPECT_EQ(destination_.state(), State::kUp);
}

TEST_F(DestinationTest, WhoTakesMailIsNotDoubted) {
  Take(1);
  EXPECT_FALSE(destination_.Doubt(AtSecond(2000)));
  EXPECT_EQ(destination_.state(), State::kUp);
  EXPECT_FALSE(destination_.WasDownSince(AtSecond(0)));
  destination_.Forget();
  EXPECT_TRUE(destination_.Doubt(AtSecond(2001)));
}

TEST_F(DestinationTest, ADoubtEndsNoOutage) {
  Feed(Event::kUnreachable, AtSecond(2000));
  EXPECT_FALSE(destination_.Doubt(AtSecond(2001)));
  EXPECT_EQ(destination_.state(), State::kDown);
}

TEST_F(DestinationTest, AMaximumOfOneIsKept) {
  destination_.SetConnectionsMax(1);
  EXPECT_EQ(destination_.window(), 1u);
  Take(2);
  Feed(Event::kUnreachable, AtSecond(2000));
  Feed(Event::kProbeAnswered, AtSecond(2010));
  EXPECT_EQ(destination_.window(), 1u);
}

TEST_F(DestinationTest, HeldUntilReleased) {
  EXPECT_TRUE(Feed(Event::kIsSelf, AtSecond(1001)));
  EXPECT_FALSE(destination_.may_deliver());
  EXPECT_FALSE(Feed(Event::kProbeAnswered, AtSecond(1002)));
  destination_.OnDelivered(AtSecond(1002));
  EXPECT_EQ(destination_.state(), State::kHeld);
  destination_.Release();
  EXPECT_EQ(destination_.state(), State::kUp);
}

TEST_F(DestinationTest, ReleaseChangesNothingElse) {
  Feed(Event::kUnreachable, AtSecond(2000));
  destination_.Release();
  EXPECT_EQ(destination_.state(), State::kDown);
}

}  // namespace
}  // namespace backstay
