// tests/sim/scenarios/expiry_test.cc -- mail whose time is over, or nearly.
#include "core/base/log.h"
#include "core/base/mark.h"
#include "tests/sim/scenarios/scenario.h"

namespace backstay {
namespace {

Scenario::Options Held(size_t shards) {
  Scenario::Options options;
  options.shards = shards;
  options.retry = "expire_after = \"2h\"\non_expiry = \"hold\"\n";
  options.pipelined = true;
  return options;
}

// So much is queued, and its time is over; the primary is back.
void ParkAndReturn(Scenario& scenario, size_t queued) {
  scenario.PrimaryDown();
  scenario.SendMany(queued);
  scenario.RunFor(absl::Hours(3));
  EXPECT_EQ(scenario.live(), queued);
  scenario.PrimaryUp();
  scenario.RunFor(absl::Minutes(10));
}

TEST(ExpiryScenario, HeldMailIsNeitherBouncedNorDeliveredAndNewMailIs) {
  Scenario scenario(Held(2));
  ParkAndReturn(scenario, 50);
  EXPECT_EQ(scenario.primary.messages(), 0U);
  EXPECT_EQ(scenario.live(), 50U);
  EXPECT_EQ(scenario.pending(), 0U);
  scenario.SendMany(5);
  scenario.RunFor(absl::Minutes(5));
  EXPECT_EQ(scenario.primary.messages(), 5U);
  scenario.Crash(CrashMode::kNothingUnsynced);
  scenario.Restart();
  scenario.RunFor(absl::Hours(24));
  EXPECT_EQ(scenario.primary.messages(), 5U);
  EXPECT_EQ(scenario.live(), 50U);
  const auto released = scenario.daemon.ApplyRule(RuleVerb::kRelease, {"d0.example"});
  ASSERT_TRUE(released.has_value());
  EXPECT_EQ(released->recipients, 50U);
  EXPECT_TRUE(scenario.Drain(absl::Minutes(5)));
  EXPECT_EQ(scenario.primary.messages(), 55U);
}

TEST(ExpiryScenario, AResetMakesParkedMailGoOn) {
  Scenario scenario(Held(1));
  ParkAndReturn(scenario, 10);
  ASSERT_TRUE(scenario.daemon.ApplyRule(RuleVerb::kReset, {"d0.example"}).has_value());
  EXPECT_TRUE(scenario.Drain(absl::Minutes(5)));
  EXPECT_EQ(scenario.primary.messages(), 10U);
}

TEST(ExpiryScenario, ParkedMailIsBouncedByOrderOnly) {
  Scenario scenario(Held(1));
  ParkAndReturn(scenario, 10);
  ASSERT_TRUE(scenario.daemon.ApplyRule(RuleVerb::kExpire, {"d0.example"}).has_value());
  EXPECT_TRUE(scenario.Drain(absl::Minutes(5)));
  EXPECT_EQ(scenario.pending(), 10U);
  EXPECT_EQ(scenario.primary.messages(), 0U);
  for (size_t number = 0; number < scenario.ledger.offered(); ++number) {
    scenario.ledger.OnRejected(scenario.ledger.message(number).recipients[0]);
  }
}

// What comes when mail is parked already has its own two hours.
TEST(ExpiryScenario, EachMessageIsParkedByItsOwnAge) {
  Scenario scenario(Held(1));
  scenario.PrimaryDown();
  scenario.SendMany(10);
  scenario.RunFor(absl::Minutes(90));
  scenario.SendMany(10);
  scenario.RunFor(absl::Minutes(60));
  scenario.PrimaryUp();
  scenario.RunFor(absl::Minutes(5));
  EXPECT_EQ(scenario.live(), 10U);
  EXPECT_EQ(scenario.primary.messages(), 10U);
}

// A reset gives one message in the middle an age of its own.
TEST(ExpiryScenario, AMessageWithAnAgeOfItsOwnIsParkedByItself) {
  Scenario scenario(Held(1));
  scenario.PrimaryDown();
  scenario.SendMany(10);
  scenario.RunFor(absl::Minutes(60));
  Shard& shard = scenario.daemon.shard(0);
  const DomainId domain = shard.routes().domains()[0];
  std::optional<MessageRef> third;
  for (int i = 0; i < 3; ++i) {
    third = shard.spool().NextLive(domain, third);
  }
  Rule reset;
  const_cast<Spool&>(shard.spool()).ApplyToMessage(reset, *third);
  scenario.RunFor(absl::Minutes(90));
  EXPECT_FALSE(shard.spool().StandingOf(*third, domain).is_held);
  const uint64_t by_itself = MarkCount("message_parked_by_itself");
  scenario.RunFor(absl::Minutes(60));
  EXPECT_TRUE(shard.spool().StandingOf(*third, domain).is_parked);
  EXPECT_GT(MarkCount("message_parked_by_itself"), by_itself);
  scenario.PrimaryUp();
  scenario.RunFor(absl::Minutes(10));
  EXPECT_EQ(scenario.live(), 10U);
  ASSERT_TRUE(scenario.daemon.ApplyRule(RuleVerb::kRelease, {"d0.example"}).has_value());
  EXPECT_TRUE(scenario.Drain(absl::Minutes(5)));
}

}  // namespace
}  // namespace backstay
