// tests/sim/scenarios/return_test.cc -- a primary that comes back, and is not what it was.
#include <algorithm>

#include "core/base/mark.h"
#include "tests/sim/scenarios/scenario.h"

namespace backstay {
namespace {

Scenario::Options Shards(size_t shards, std::string retry = "") {
  Scenario::Options options;
  options.shards = shards;
  options.retry = std::move(retry);
  options.pipelined = true;
  return options;
}

// As the shards say that have mail of the domain.
DomainStop StopOf(Scenario& scenario) {
  DomainStop stop = DomainStop::kNone;
  for (size_t shard = 0; shard < scenario.daemon.shards(); ++shard) {
    const Shard& one = scenario.daemon.shard(shard);
    for (const DomainId domain : one.routes().domains()) {
      if (one.spool().Name(domain) == "d0.example") {
        stop = std::max(stop, one.spool().StopOf(domain));
      }
    }
  }
  return stop;
}

// Down, with so much queued; back, and it knows nobody.
void ReturnEmptied(Scenario& scenario, size_t queued) {
  scenario.PrimaryDown();
  scenario.SendMany(queued);
  scenario.RunFor(absl::Minutes(3));
  scenario.primary.SetEmptied(true);
  scenario.PrimaryUp();
  scenario.RunFor(absl::Minutes(2));
}

TEST(ReturnScenario, CanariesGoFirstAndTheRestWaitsForOneOfThem) {
  Scenario scenario(Shards(1));
  scenario.PrimaryDown();
  scenario.SendMany(100);
  scenario.PrimaryBusy(true);
  scenario.PrimaryUp();
  EXPECT_TRUE(
      scenario.RunUntil([&] { return !scenario.primary.attempts().empty(); }, absl::Seconds(20)));
  scenario.RunFor(absl::Seconds(14));
  EXPECT_EQ(scenario.primary.attempts().size(), 5U);
  scenario.RunFor(absl::Seconds(15));
  EXPECT_EQ(scenario.primary.attempts().size(), 10U);  // others
  scenario.primary.set_manners({});
  EXPECT_TRUE(scenario.Drain(absl::Minutes(12)));
}

// The mail of one connection lies on one shard, and that may be another than the one that probes.
TEST(ReturnScenario, WhicheverShardHasMailSendsTheCanaries) {
  Scenario scenario(Shards(3));
  scenario.PrimaryDown();
  scenario.SendMany(300);
  scenario.RunFor(absl::Minutes(1));
  scenario.PrimaryBusy(true);
  scenario.PrimaryUp();
  EXPECT_TRUE(
      scenario.RunUntil([&] { return !scenario.primary.attempts().empty(); }, absl::Seconds(20)));
  scenario.RunFor(absl::Seconds(10));
  EXPECT_LE(scenario.primary.attempts().size(), 5U);
  scenario.primary.set_manners({});
  EXPECT_TRUE(scenario.Drain(absl::Minutes(12)));
}

TEST(ReturnScenario, CanariesOfAllShardsAreFive) {
  Scenario scenario(Shards(2));
  scenario.PrimaryDown();
  for (int connection = 0; connection < 10; ++connection) {
    scenario.SendMany(10);
  }
  for (size_t shard = 0; shard < 2; ++shard) {
    ASSERT_GE(scenario.daemon.shard(shard).spool().Stats().recipients_live, 10U);
  }
  scenario.PrimaryBusy(true);
  scenario.PrimaryUp();
  EXPECT_TRUE(
      scenario.RunUntil([&] { return !scenario.primary.attempts().empty(); }, absl::Seconds(20)));
  scenario.RunFor(absl::Seconds(10));
  EXPECT_EQ(scenario.primary.attempts().size(), 5U);
  scenario.primary.set_manners({});
  EXPECT_TRUE(scenario.Drain(absl::Minutes(12)));
}

TEST(ReturnScenario, NewMailTakesTurnsWithABacklog) {
  Scenario scenario(Shards(1));
  scenario.PrimaryDown();
  scenario.SendMany(600);
  PrimaryManners slow;
  slow.slow = 1'000'000;
  slow.slow_max = absl::Milliseconds(500);
  scenario.primary.set_manners(slow);
  scenario.PrimaryUp();
  scenario.RunUntil([&] { return scenario.primary.messages() >= 20; }, absl::Minutes(2));
  const std::string fresh = scenario.SendOne("fresh");
  const std::string later = scenario.SendOne("fresh");
  const auto is_tried = [&](const std::string& recipient) {
    const auto& attempts = scenario.primary.attempts();
    return std::any_of(attempts.begin(), attempts.end(),
                       [&](const auto& attempt) { return attempt.recipient == recipient; });
  };
  EXPECT_TRUE(
      scenario.RunUntil([&] { return is_tried(fresh) && is_tried(later); }, absl::Seconds(10)));
  EXPECT_GT(scenario.live(), 300U);
  scenario.primary.set_manners({});
  EXPECT_TRUE(scenario.Drain(absl::Minutes(5)));
  EXPECT_EQ(scenario.primary.messages(), 602U);
  EXPECT_EQ(scenario.primary.attempts().size(), 602U);  // none was met again
}

// Recipients that are deferred again and again have one message of eight.
TEST(ReturnScenario, LimboDoesNotHoldUpTheOthers) {
  Scenario scenario(Shards(1));
  for (int i = 0; i < 60; ++i) {
    const std::string recipient = scenario.Recipient("soft");
    scenario.primary.SetSoft(recipient);
    EXPECT_EQ(scenario.Send({"a@sender.example", {recipient}, "Subject: soft\r\n\r\n"}), 250);
  }
  scenario.RunFor(absl::Minutes(9));
  PrimaryManners slow;
  slow.slow = 1'000'000;
  slow.slow_max = absl::Seconds(2);
  scenario.primary.set_manners(slow);
  scenario.RunFor(absl::Seconds(55));
  const size_t before = scenario.primary.attempts().size();
  scenario.SendMany(200);  // while all of them come due
  scenario.RunFor(absl::Seconds(30));
  size_t soft = 0;
  const size_t all = scenario.primary.attempts().size() - before;
  for (size_t i = before; i < before + all; ++i) {
    soft += scenario.primary.attempts()[i].code == 450 ? 1 : 0;
  }
  EXPECT_LE(soft, all / 4) << all;
  scenario.primary.set_manners({});
  scenario.primary.ClearSoft();
  EXPECT_TRUE(scenario.Drain(absl::Hours(25)));
}

TEST(ReturnScenario, ConnectionsGrowOneByOne) {
  Scenario scenario(Shards(1));
  scenario.PrimaryDown();
  scenario.SendMany(600);
  scenario.primary.ResetCounts();
  PrimaryManners slow;
  slow.slow = 1'000'000;
  slow.slow_max = absl::Milliseconds(200);
  scenario.primary.set_manners(slow);
  scenario.PrimaryUp();
  scenario.RunUntil([&] { return scenario.primary.messages() >= 30; }, absl::Minutes(2));
  EXPECT_LE(scenario.primary.connections_max(), 10U);
  EXPECT_TRUE(scenario.Drain(absl::Minutes(10)));
  EXPECT_GT(scenario.primary.connections_max(), 15U);
}

TEST(ReturnScenario, APrimaryWithoutItsUsersBouncesNothing) {
  Scenario scenario(Shards(2));
  const uint64_t tripped = MarkCount("breaker_tripped");
  ReturnEmptied(scenario, 200);
  EXPECT_GT(MarkCount("breaker_tripped"), tripped);
  EXPECT_EQ(StopOf(scenario), DomainStop::kByBreaker);
  EXPECT_EQ(scenario.live(), 200U);
  EXPECT_EQ(scenario.pending(), 0U);
  const size_t attempts = scenario.primary.attempts().size();
  EXPECT_LT(attempts, 70U);
  // What comes now waits as well, and for as long as it takes.
  scenario.SendMany(10);
  scenario.RunFor(absl::Hours(24 * 6));
  EXPECT_EQ(scenario.primary.attempts().size(), attempts);
  EXPECT_EQ(scenario.live(), 210U);
  scenario.primary.SetEmptied(false);
  ASSERT_TRUE(scenario.daemon.ApplyRule(RuleVerb::kStart, {"d0.example"}).has_value());
  EXPECT_TRUE(scenario.Drain(absl::Minutes(12)));
  EXPECT_EQ(scenario.primary.messages(), 210U);
}

// It never was away, and the domain has so little mail that a run of refusals is most of it.
TEST(ReturnScenario, OfASmallDomainNothingIsBouncedEither) {
  Scenario scenario(Shards(1));
  scenario.SendMany(31);
  ASSERT_TRUE(scenario.Drain(absl::Minutes(1)));
  scenario.primary.SetEmptied(true);
  scenario.SendMany(39);
  scenario.RunFor(absl::Minutes(30));
  EXPECT_EQ(StopOf(scenario), DomainStop::kByBreaker);
  EXPECT_EQ(scenario.live(), 39U);
  EXPECT_EQ(scenario.pending(), 0U);
  scenario.primary.SetEmptied(false);
  ASSERT_TRUE(scenario.daemon.ApplyRule(RuleVerb::kStart, {"d0.example"}).has_value());
  EXPECT_TRUE(scenario.Drain(absl::Minutes(12)));
  EXPECT_EQ(scenario.primary.messages(), 70U);
}

// The order that stops the domain waits for another on a slow disk; nobody is asked meanwhile.
TEST(ReturnScenario, WhenTheBreakerTripsNobodyIsAskedAnyMore) {
  Scenario scenario(Shards(2));
  scenario.PrimaryDown();
  scenario.SendMany(300);
  scenario.RunFor(absl::Minutes(1));
  scenario.primary.SetEmptied(true);
  FaultPlan slow = FaultPlan::None();
  slow.sync_min = slow.sync_max = absl::Seconds(30);
  scenario.world.SetPlan(slow);
  Rule other;
  other.verb = RuleVerb::kHold;
  other.domains = {"other.example"};
  scenario.daemon.desk().Begin(std::move(other), /*counts_only=*/false);
  const uint64_t tripped = MarkCount("breaker_tripped");
  scenario.PrimaryUp();
  EXPECT_TRUE(
      scenario.RunUntil([&] { return MarkCount("breaker_tripped") > tripped; }, absl::Minutes(5)));
  const size_t attempts = scenario.primary.attempts().size();
  scenario.RunFor(absl::Seconds(25));
  EXPECT_EQ(StopOf(scenario), DomainStop::kNone);
  EXPECT_LE(scenario.primary.attempts().size(), attempts + 10);  // were under way
  scenario.world.SetPlan(FaultPlan::None());
  EXPECT_TRUE(scenario.RunUntil([&] { return StopOf(scenario) == DomainStop::kByBreaker; },
                                absl::Minutes(5)));
  EXPECT_EQ(MarkCount("breaker_tripped"), tripped + 1);
  scenario.primary.SetEmptied(false);
  ASSERT_TRUE(scenario.daemon.ApplyRule(RuleVerb::kStart, {"d0.example"}).has_value());
  EXPECT_TRUE(scenario.Drain(absl::Minutes(12)));
  EXPECT_EQ(scenario.primary.messages(), 300U);
}

TEST(ReturnScenario, ReleasedWhileItWasAwayADomainIsServedWhenItIsBack) {
  Scenario scenario(Shards(1));
  ReturnEmptied(scenario, 60);
  EXPECT_EQ(StopOf(scenario), DomainStop::kByBreaker);
  const std::string whole = scenario.plan.Config(2);
  ASSERT_TRUE(scenario.daemon.Reload(scenario.plan.Config(/*domain_left_out=*/0)).ok());
  ASSERT_TRUE(scenario.daemon.ApplyRule(RuleVerb::kStart, {"d0.example"}).has_value());
  scenario.primary.SetEmptied(false);
  ASSERT_TRUE(scenario.daemon.Reload(whole).ok());
  EXPECT_TRUE(scenario.Drain(absl::Minutes(30)));
  scenario.SendMany(5);
  EXPECT_TRUE(scenario.Drain(absl::Minutes(30)));
}

// Of each shard's mail so few is refused that it would say nothing by itself.
TEST(ReturnScenario, WhatManyShardsAreToldIsOneRun) {
  Scenario scenario(Shards(8));
  scenario.PrimaryDown();
  for (int message = 0; message < 60; ++message) {
    scenario.OfferOne();
  }
  for (size_t shard = 0; shard < 8; ++shard) {
    ASSERT_LT(scenario.daemon.shard(shard).spool().Stats().recipients_live, 20U);
  }
  scenario.primary.SetEmptied(true);
  scenario.PrimaryUp();
  scenario.RunFor(absl::Minutes(2));
  EXPECT_EQ(StopOf(scenario), DomainStop::kByBreaker);
  scenario.RunFor(absl::Hours(24));
  EXPECT_EQ(scenario.live(), 60U);
  EXPECT_EQ(scenario.pending(), 0U);
  scenario.primary.SetEmptied(false);
  ASSERT_TRUE(scenario.daemon.ApplyRule(RuleVerb::kStart, {"d0.example"}).has_value());
  EXPECT_TRUE(scenario.Drain(absl::Minutes(12)));
}

TEST(ReturnScenario, WhatTheBreakerHoldsIsHeldAfterACrash) {
  Scenario scenario(Shards(2));
  ReturnEmptied(scenario, 200);
  scenario.Crash(CrashMode::kNothingUnsynced);
  scenario.Restart();
  const size_t attempts = scenario.primary.attempts().size();
  scenario.RunFor(absl::Hours(3));
  EXPECT_EQ(StopOf(scenario), DomainStop::kByBreaker);
  EXPECT_EQ(scenario.primary.attempts().size(), attempts);
  EXPECT_EQ(scenario.live(), 200U);
  scenario.primary.SetEmptied(false);
  ASSERT_TRUE(scenario.daemon.ApplyRule(RuleVerb::kStart, {"d0.example"}).has_value());
  EXPECT_TRUE(scenario.Drain(absl::Minutes(12)));
}

TEST(ReturnScenario, AReleaseThatAcceptsRefusalsBouncesThem) {
  Scenario scenario(Shards(2));
  ReturnEmptied(scenario, 100);
  Rule rule;
  rule.verb = RuleVerb::kStart;
  rule.accepts_refusals = true;
  rule.domains = {"d0.example"};
  ASSERT_TRUE(scenario.daemon.ApplyRule(rule).has_value());
  EXPECT_TRUE(scenario.Drain(absl::Minutes(12)));
  EXPECT_EQ(scenario.pending(), 100U);
  for (const SimPrimary::Attempt& attempt : scenario.primary.attempts()) {
    scenario.ledger.OnRejected(attempt.recipient);
  }
}

// The same without accepting: the breaker does not trip again in this run, and what is refused
// waits for `bounce_after`.
TEST(ReturnScenario, AReleaseTriesEverythingOnceMore) {
  Scenario scenario(Shards(2, "bounce_after = \"30m\"\n"));
  ReturnEmptied(scenario, 100);
  const size_t before = scenario.primary.attempts().size();
  ASSERT_TRUE(scenario.daemon.ApplyRule(RuleVerb::kStart, {"d0.example"}).has_value());
  scenario.RunFor(absl::Minutes(20));
  EXPECT_EQ(scenario.primary.attempts().size(), before + 100);
  EXPECT_EQ(scenario.pending(), 0U);
  EXPECT_EQ(StopOf(scenario), DomainStop::kNone);
  scenario.primary.SetEmptied(false);
  EXPECT_TRUE(scenario.Drain(absl::Minutes(30)));
  EXPECT_EQ(scenario.primary.messages(), 100U);
}

TEST(ReturnScenario, ARefusalSoonAfterAnOutageWaitsForBounceAfter) {
  Scenario scenario(Shards(1, "bounce_after = \"2h\"\n"));
  scenario.PrimaryDown();
  scenario.SendOne("gone");
  scenario.SendOne();
  scenario.RunFor(absl::Minutes(1));
  scenario.PrimaryUp();
  scenario.RunFor(absl::Minutes(118));
  EXPECT_EQ(scenario.primary.messages(), 1U);
  EXPECT_EQ(scenario.pending(), 0U);
  EXPECT_EQ(scenario.live(), 1U);
  EXPECT_TRUE(scenario.Drain(absl::Minutes(10)));
  EXPECT_EQ(scenario.pending(), 1U);
}

// A restart does not forget that it was down: it is asked first, and a refusal is still doubted.
TEST(ReturnScenario, AnOutageIsKnownAfterARestart) {
  Scenario scenario(Shards(2, "bounce_after = \"2h\"\n"));
  scenario.PrimaryDown();
  scenario.SendMany(20);
  scenario.SendOne("gone");
  scenario.RunFor(absl::Minutes(1));
  scenario.Crash(CrashMode::kNothingUnsynced);
  const uint64_t resumed = MarkCount("resumed_as_down");
  scenario.Restart();
  EXPECT_GT(MarkCount("resumed_as_down"), resumed);
  scenario.PrimaryUp();
  scenario.RunFor(absl::Minutes(10));
  EXPECT_EQ(scenario.primary.messages(), 20U);
  EXPECT_EQ(scenario.live(), 1U);
  EXPECT_EQ(scenario.pending(), 0U);
  EXPECT_TRUE(scenario.daemon.Stop());
  scenario.Restart();
  scenario.RunFor(absl::Minutes(60));
  EXPECT_EQ(scenario.pending(), 0U);
  EXPECT_TRUE(scenario.Drain(absl::Minutes(60)));
  EXPECT_EQ(scenario.pending(), 1U);
}

TEST(ReturnScenario, WithoutAnOutageARefusalIsFinalAtOnce) {
  Scenario scenario(Shards(1, "bounce_after = \"2h\"\n"));
  scenario.SendOne("gone");
  EXPECT_TRUE(scenario.Drain(absl::Seconds(5)));
  EXPECT_EQ(scenario.pending(), 1U);
}

// A message whose content breaks the connection is tried again soon, not by the schedule's minutes.
TEST(ReturnScenario, ABrokenConnectionCostsSeconds) {
  Scenario scenario(Shards(1));
  PrimaryManners cutting;
  cutting.cut_in_content = 1'000'000;
  scenario.primary.set_manners(cutting);
  scenario.SendOne();
  scenario.RunFor(absl::Seconds(5));
  scenario.primary.set_manners({});
  EXPECT_TRUE(scenario.Drain(absl::Seconds(45)));
}

}  // namespace
}  // namespace backstay
