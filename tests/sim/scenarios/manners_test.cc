// tests/sim/scenarios/manners_test.cc -- primaries that answer, but not as one would wish.
#include "tests/sim/scenarios/scenario.h"

namespace backstay {
namespace {

const Destination& DestinationOf(Scenario& scenario) {
  const DomainPlan* const plan = scenario.daemon.snapshot().FindDomain("d0.example");
  return scenario.daemon.shard(0).routes().RouteOf(*plan)->destination();
}

// The mail is with it; whether it says goodbye is a matter of courtesy.
TEST(MannersScenario, APrimaryThatIsSilentAtQuitIsWell) {
  Scenario scenario;
  scenario.primary.SetSilentAtQuit(true);
  scenario.SendOne();
  EXPECT_TRUE(scenario.Drain(absl::Seconds(30)));
  const size_t window = DestinationOf(scenario).window();
  EXPECT_TRUE(
      scenario.RunUntil([&] { return scenario.primary.connections() == 0; }, absl::Seconds(20)));
  scenario.RunFor(absl::Seconds(1));
  EXPECT_EQ(DestinationOf(scenario).state(), DestinationState::kUp);
  EXPECT_EQ(DestinationOf(scenario).window(), window);
  scenario.RunFor(absl::Minutes(2));  // so that one more would be an outage
  scenario.SendOne();
  EXPECT_TRUE(scenario.Drain(absl::Seconds(30)));
  scenario.RunFor(absl::Seconds(20));
  EXPECT_EQ(DestinationOf(scenario).state(), DestinationState::kUp);
}

// Row 130. What counts is a whole reply: each byte alone is no answer.
TEST(MannersScenario, AReplyByteByByteHasNoMoreTimeThanSilence) {
  Scenario scenario;
  scenario.primary.SetDripping(absl::Minutes(4));
  scenario.SendOne();
  EXPECT_TRUE(
      scenario.RunUntil([&] { return scenario.primary.connections() == 1; }, absl::Seconds(10)));
  EXPECT_TRUE(scenario.RunUntil([&] { return scenario.primary.connections() == 0; },
                                absl::Minutes(5) + absl::Seconds(5)));
  EXPECT_NE(DestinationOf(scenario).state(), DestinationState::kUp);
  scenario.primary.SetDripping(absl::ZeroDuration());
  EXPECT_TRUE(scenario.Drain(absl::Minutes(12)));
}

// A slow one is not that: each reply counts anew.
TEST(MannersScenario, RepliesThatAreSlowButWholeAreWaitedFor) {
  Scenario scenario;
  PrimaryManners slow;
  slow.slow = 1'000'000;
  slow.slow_max = absl::Minutes(4);
  scenario.primary.set_manners(slow);
  scenario.SendOne();
  EXPECT_TRUE(scenario.Drain(absl::Minutes(30)));
  EXPECT_EQ(scenario.primary.connections_accepted(), 1U);
}

}  // namespace
}  // namespace backstay
