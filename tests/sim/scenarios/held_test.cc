// tests/sim/scenarios/held_test.cc -- held without an order: what was held is not given up for it,
// and a look ends it.
#include <string>

#include "core/base/mark.h"
#include "tests/sim/scenarios/scenario.h"

namespace backstay {
namespace {

Scenario::Options AnHour(size_t shards) {
  Scenario::Options options;
  options.shards = shards;
  options.retry = "expire_after = \"1h\"\n";
  return options;
}

// On shards of chance.
void OfferMany(Scenario& scenario, size_t count) {
  for (size_t message = 0; message < count; ++message) {
    scenario.SendMany(1);
  }
}

// The primary is away, and the hold has just ended.
void ExpectAnHourFromNow(Scenario& scenario, uint64_t queued) {
  scenario.RunFor(absl::Minutes(50));
  EXPECT_EQ(scenario.live(), queued) << "its time begins with the end of the hold";
  EXPECT_EQ(scenario.pending(), 0U);
  scenario.RunFor(absl::Minutes(20));
  EXPECT_EQ(scenario.live(), 0U) << "and ends";
  EXPECT_EQ(scenario.pending(), queued);
  for (size_t number = 0; number < scenario.ledger.offered(); ++number) {
    scenario.ledger.OnRejected(scenario.ledger.message(number).recipients[0]);
  }
}

Route& RouteTo(Scenario& scenario, size_t shard) {
  const DomainPlan* const plan = scenario.daemon.snapshot().FindDomain("d0.example");
  return *scenario.daemon.shard(shard).routes().RouteOf(*plan);
}

void Look(Scenario& scenario) {
  for (size_t shard = 0; shard < scenario.daemon.shards(); ++shard) {
    RouteTo(scenario, shard).LookNow();
  }
  scenario.RunFor(absl::Minutes(2));
}

TEST(HeldScenario, WhatWasHeldAsOurselvesHasItsTimeFromTheEndOfTheHold) {
  for (const size_t shards : {1, 2}) {
    Scenario scenario(AnHour(shards));
    scenario.primary.set_name("mx2.sim.example");
    OfferMany(scenario, 6);
    scenario.RunFor(absl::Hours(3));
    EXPECT_EQ(scenario.live(), 6U);
    scenario.PrimaryDown();
    ASSERT_TRUE(scenario.daemon.Reload(scenario.daemon.config()).ok());
    ExpectAnHourFromNow(scenario, 6);
  }
}

// Only the shard that probes meets ourselves; the others wait for its word.
TEST(HeldScenario, ShardsThatWaitForAProbeHearOfTheHold) {
  Scenario scenario(AnHour(2));
  scenario.PrimaryDown();
  OfferMany(scenario, 8);
  scenario.RunFor(absl::Minutes(1));
  scenario.primary.set_name("mx2.sim.example");
  scenario.PrimaryUp();
  scenario.RunFor(absl::Hours(3));
  EXPECT_EQ(scenario.live(), 8U);
  for (size_t shard = 0; shard < 2; ++shard) {
    EXPECT_TRUE(RouteTo(scenario, shard).is_held()) << shard;
  }
  scenario.PrimaryDown();
  ASSERT_TRUE(scenario.daemon.Reload(scenario.daemon.config()).ok());
  ExpectAnHourFromNow(scenario, 8);
}

TEST(HeldScenario, WhatHadNoAddressHasItsTimeFromTheEndOfTheHold) {
  Scenario::Options options = AnHour(1);
  options.way = StoryDomain::Way::kMx;
  Scenario scenario(options);
  scenario.zone.Remove("d0.example");
  scenario.RunFor(absl::Seconds(90));
  EXPECT_EQ(scenario.Standing(), "no-address");
  scenario.SendMany(3);
  scenario.RunFor(absl::Hours(3));
  EXPECT_EQ(scenario.live(), 3U);
  scenario.PrimaryDown();
  scenario.zone.AddMx("d0.example", 10, "primary0.sim.example");
  EXPECT_TRUE(scenario.RunUntil([&] { return scenario.Standing().empty(); }, absl::Minutes(2)));
  ExpectAnHourFromNow(scenario, 3);
}

// Without --force: it gives nothing up. Also when this run began without the domain.
TEST(HeldScenario, ADomainThatComesBackByAReloadHasItsTimeAnew) {
  for (const bool restarts : {false, true}) {
    Scenario scenario(AnHour(1));
    const std::string with = scenario.daemon.config();
    scenario.PrimaryDown();
    EXPECT_EQ(scenario.Send({"a@sender.example", {"late@d1.example"}, "Subject: late\r\n\r\n"}),
              250);
    ASSERT_TRUE(scenario.daemon.Reload(scenario.plan.Config(1)).ok());
    if (restarts) {
      scenario.Crash(CrashMode::kNothingUnsynced);
      scenario.Restart();
    }
    scenario.RunFor(absl::Hours(3));
    EXPECT_EQ(scenario.live(), 1U);
    const absl::Status back = scenario.daemon.Reload(with);
    ASSERT_TRUE(back.ok()) << back;
    ExpectAnHourFromNow(scenario, 1);
  }
}

TEST(HeldScenario, AReloadThatIsRefusedNamesTheWayOut) {
  Scenario scenario(AnHour(1));
  scenario.PrimaryDown();
  scenario.SendOne();
  scenario.RunFor(absl::Minutes(30));
  std::string config = scenario.daemon.config();
  const std::string hour = "expire_after = \"1h\"";
  config.replace(config.find(hour), hour.size(), "expire_after = \"5m\"");
  const absl::Status refused = scenario.daemon.Reload(config);
  EXPECT_NE(std::string(refused.message()).find("backstay queue reset --domain d0.example"),
            std::string::npos)
      << refused;
  scenario.PrimaryUp();
  EXPECT_TRUE(scenario.Drain(absl::Minutes(1)));
}

TEST(HeldScenario, ALookAsksAPrimaryThatIsUpAndIdle) {
  Scenario scenario(AnHour(2));
  scenario.SendOne();
  EXPECT_TRUE(scenario.Drain(absl::Minutes(1)));
  scenario.RunFor(absl::Minutes(10));
  const size_t before = scenario.primary.connections_accepted();
  Look(scenario);
  EXPECT_EQ(scenario.primary.connections_accepted(), before + 1) << "of the home shard alone";
  scenario.PrimaryDown();
  Look(scenario);
  for (size_t shard = 0; shard < 2; ++shard) {
    EXPECT_EQ(RouteTo(scenario, shard).destination().state(), DestinationState::kDown);
  }
}

TEST(HeldScenario, ALookEndsTheHoldOfWhatIsNotOurselvesAnyMore) {
  for (const size_t shards : {1, 2}) {
    Scenario scenario(AnHour(shards));
    scenario.primary.set_name("mx2.sim.example");
    OfferMany(scenario, 8);
    scenario.RunFor(absl::Minutes(5));
    const size_t before = scenario.primary.connections_accepted();
    Look(scenario);
    EXPECT_LE(scenario.primary.connections_accepted(), before + 1);
    EXPECT_EQ(scenario.live(), 8U) << "it still has our name";
    scenario.PrimaryDown();
    Look(scenario);
    scenario.RunFor(absl::Hours(3));
    EXPECT_EQ(scenario.live(), 8U) << "who does not answer stays held";
    scenario.primary.set_name("primary.example");
    scenario.PrimaryUp();
    scenario.RunFor(absl::Minutes(5));
    EXPECT_EQ(scenario.live(), 8U) << "nobody has looked";
    Look(scenario);
    EXPECT_TRUE(scenario.Drain(absl::Minutes(3)));
    EXPECT_EQ(scenario.primary.messages(), 8U);
  }
}

// The home shard had no mail for it, and is up all the while.
TEST(HeldScenario, ALookEndsAHoldThatOnlyAnotherShardHas) {
  int tried = 0;
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    Scenario::Options options = AnHour(2);
    options.seed = seed;
    Scenario scenario(options);
    scenario.primary.set_name("mx2.sim.example");
    scenario.SendMany(1);
    scenario.RunFor(absl::Seconds(10));
    const size_t home = RouteTo(scenario, 0).is_home() ? 0 : 1;
    tried += RouteTo(scenario, home).is_held() ? 0 : 1;
    scenario.primary.set_name("primary.example");
    Look(scenario);
    EXPECT_TRUE(scenario.Drain(absl::Minutes(1))) << seed;
  }
  EXPECT_GT(tried, 1);
}

}  // namespace
}  // namespace backstay
