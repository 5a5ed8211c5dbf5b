// tests/sim/scenarios/rules_test.cc -- the operator's rules over a whole daemon.
#include "core/base/mark.h"
#include "tests/sim/scenarios/scenario.h"

namespace backstay {
namespace {

Scenario::Options TwoShards() {
  Scenario::Options options;
  options.shards = 2;
  options.retry = "profile = \"smartermail\"\n";
  return options;
}

TEST(RulesScenario, WhatIsHeldWaitsAndNewMailGoesOut) {
  Scenario scenario(TwoShards());
  scenario.PrimaryDown();
  scenario.SendMany(20);
  const auto held = scenario.daemon.ApplyRule(RuleVerb::kHold);
  ASSERT_TRUE(held.has_value());
  EXPECT_EQ(held->recipients, 20U);
  scenario.PrimaryUp();
  scenario.SendMany(5);
  scenario.RunFor(absl::Minutes(2));
  EXPECT_EQ(scenario.primary.messages(), 5U);
  EXPECT_EQ(scenario.live(), 20U);
  // Days later it is still there, and a release begins its time anew.
  scenario.RunFor(absl::Hours(24 * 9));
  EXPECT_EQ(scenario.live(), 20U);
  const auto released = scenario.daemon.ApplyRule(RuleVerb::kRelease, {"d0.example"});
  ASSERT_TRUE(released.has_value());
  EXPECT_EQ(released->recipients, 20U);
  EXPECT_TRUE(scenario.Drain(absl::Minutes(2)));
  EXPECT_EQ(scenario.primary.messages(), 25U);
}

TEST(RulesScenario, ResetBeginsTheScheduleAnewAndSurvivesACrash) {
  Scenario scenario(TwoShards());
  scenario.PrimaryDown();
  const std::string recipient = scenario.SendOne();
  scenario.RunFor(absl::Minutes(1400));
  const auto reset = scenario.daemon.ApplyRule(RuleVerb::kReset);
  ASSERT_TRUE(reset.has_value());
  EXPECT_EQ(reset->recipients, 1U);
  scenario.Crash(CrashMode::kNothingUnsynced);
  scenario.Restart();
  scenario.RunFor(absl::Minutes(1468));
  EXPECT_EQ(scenario.live(), 1U);
  EXPECT_TRUE(scenario.RunUntil([&] { return scenario.pending() == 1; }, absl::Minutes(6)));
  scenario.ledger.OnRejected(recipient);  // for the ledger: given up by the schedule
}

TEST(RulesScenario, ResetMakesDeferredMailDueNow) {
  Scenario scenario(TwoShards());
  const std::string recipient = scenario.Recipient("soft");
  scenario.primary.SetSoft(recipient);
  EXPECT_EQ(scenario.Send({"a@sender.example", {recipient}, "Subject: soft\r\n\r\n"}), 250);
  scenario.RunFor(absl::Minutes(60));
  EXPECT_EQ(scenario.live(), 1U);
  scenario.primary.ClearSoft();
  scenario.RunFor(absl::Minutes(60));  // due a day later
  EXPECT_EQ(scenario.live(), 1U);
  ASSERT_TRUE(scenario.daemon.ApplyRule(RuleVerb::kReset, {"d0.example"}).has_value());
  EXPECT_TRUE(scenario.Drain(absl::Seconds(10)));
}

TEST(RulesScenario, ExpireGivesUpAtOnceAndDeleteForgets) {
  Scenario scenario(TwoShards());
  scenario.PrimaryDown();
  const std::string expired = scenario.SendOne("expired");
  ASSERT_TRUE(scenario.daemon.ApplyRule(RuleVerb::kExpire).has_value());
  EXPECT_TRUE(scenario.RunUntil([&] { return scenario.pending() == 1; }, absl::Seconds(10)));
  const std::string deleted = scenario.SendOne("deleted");
  const auto outcome = scenario.daemon.ApplyRule(RuleVerb::kDelete);
  ASSERT_TRUE(outcome.has_value());
  EXPECT_EQ(outcome->recipients, 2U);  // one is dsn pending
  EXPECT_TRUE(scenario.RunUntil([&] { return scenario.live() == 0; }, absl::Seconds(10)));
  EXPECT_EQ(scenario.pending(), 0U);
  scenario.PrimaryUp();
  scenario.RunFor(absl::Minutes(5));
  EXPECT_EQ(scenario.primary.messages(), 0U);
  scenario.ledger.OnDeleted(expired);
  scenario.ledger.OnDeleted(deleted);
}

// An order to give up is newer than the hold, and means all that waits.
TEST(RulesScenario, WhatIsHeldIsGivenUpToo) {
  for (const RuleVerb hold : {RuleVerb::kHold, RuleVerb::kStop}) {
    Scenario scenario(TwoShards());
    scenario.PrimaryDown();
    const std::string given_up = scenario.SendOne("given-up");
    ASSERT_TRUE(scenario.daemon.ApplyRule(hold, {"d0.example"}).has_value());
    const auto outcome = scenario.daemon.ApplyRule(RuleVerb::kExpire);
    ASSERT_TRUE(outcome.has_value());
    EXPECT_EQ(outcome->recipients, 1U);
    EXPECT_TRUE(scenario.RunUntil([&] { return scenario.pending() == 1; }, absl::Seconds(10)));
    scenario.ledger.OnRejected(given_up);  // for the ledger: by the order
  }
}

// What was stopped stays so wherever mail comes in, also on shards that this start is the first of.
TEST(RulesScenario, ANewShardLearnsWhatWasStopped) {
  Scenario scenario(TwoShards());
  ASSERT_TRUE(scenario.daemon.ApplyRule(RuleVerb::kStop, {"d0.example", "other.example"}));
  ASSERT_TRUE(scenario.daemon.ApplyRule(RuleVerb::kStart, {"other.example"}));
  ASSERT_TRUE(scenario.daemon.ApplyRule(RuleVerb::kReset, {"other.example"}));
  EXPECT_TRUE(scenario.daemon.Stop());
  scenario.plan.shards = 4;
  SimDaemon larger(scenario.world, scenario.host, scenario.plan.Config(2));
  ASSERT_TRUE(larger.StartAndServe().ok());
  scenario.RunFor(absl::Seconds(5));
  for (int count = 0; count < 24; ++count) {
    scenario.SendMany(1);  // a connection each: spread over the shards
  }
  scenario.RunFor(absl::Minutes(5));
  EXPECT_EQ(scenario.primary.messages(), 0U);
  for (size_t shard = 0; shard < 4; ++shard) {
    EXPECT_GT(larger.shard(shard).spool().Stats().messages_live, 0U) << shard;
    EXPECT_EQ(larger.shard(shard).spool().LastRule().epoch, 3U) << shard;
  }
  ASSERT_TRUE(larger.ApplyRule(RuleVerb::kStart, {"d0.example"}).has_value());
  EXPECT_TRUE(
      scenario.RunUntil([&] { return larger.stats().recipients_live == 0; }, absl::Minutes(1)));
  EXPECT_EQ(scenario.primary.messages(), 24U);
  EXPECT_TRUE(larger.Stop());
}

// The primary has it in hand when the order comes: what it says afterwards changes nothing.
TEST(RulesScenario, WhatIsDeletedUnderWayIsOver) {
  for (const bool is_taken : {true, false}) {
    const uint64_t under_way = MarkCount("deleted_under_way");
    for (int wait = 0; wait < 60; wait += 4) {  // at each step of the transaction
      Scenario scenario;
      PrimaryManners manners;
      manners.slow = 1'000'000;
      manners.slow_max = absl::Seconds(20);
      manners.content_4xx = is_taken ? 0 : 1'000'000;
      scenario.primary.set_manners(manners);
      const std::string deleted = scenario.SendOne("deleted");
      scenario.RunFor(absl::Seconds(wait));
      ASSERT_TRUE(scenario.daemon.ApplyRule(RuleVerb::kDelete).has_value());
      EXPECT_TRUE(scenario.Drain(absl::Seconds(10)));
      scenario.RunFor(absl::Minutes(5));
      EXPECT_EQ(scenario.live() + scenario.pending(), 0U);
      scenario.ledger.OnDeleted(deleted);
    }
    EXPECT_GT(MarkCount("deleted_under_way"), under_way + 3) << is_taken;
  }
}

}  // namespace
}  // namespace backstay
