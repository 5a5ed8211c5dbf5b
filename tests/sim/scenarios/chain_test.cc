// tests/sim/scenarios/chain_test.cc -- one message's commands behind the end of another.
#include "core/base/mark.h"
#include "tests/sim/scenarios/scenario.h"

namespace backstay {
namespace {

Scenario::Options Connections(size_t connections) {
  Scenario::Options options;
  options.connections = connections;
  options.pipelined = true;
  return options;
}

// So many wait, and the primary is back and has taken the first of them.
void Return(Scenario& scenario, size_t queued) {
  scenario.PrimaryDown();
  scenario.SendMany(queued);
  scenario.PrimaryUp();
  ASSERT_TRUE(
      scenario.RunUntil([&] { return scenario.primary.messages() >= 2; }, absl::Seconds(20)));
}

PrimaryManners Slow(absl::Duration most) {
  PrimaryManners manners;
  manners.slow = 1'000'000;
  manners.slow_max = most;
  return manners;
}

TEST(ChainScenario, ABacklogIsOneRoundTripAMessage) {
  for (const size_t connections : {1, 3, 20}) {
    Scenario scenario(Connections(connections));
    Return(scenario, 400);
    EXPECT_TRUE(scenario.Drain(absl::Seconds(30)));
    EXPECT_EQ(scenario.primary.messages(), 400U);
    EXPECT_EQ(scenario.ledger.duplicates(), 0U);
    // Two hundred messages pass before twenty connections may be open.
    EXPECT_GT(scenario.primary.chained(), connections == 20 ? 150U : 200U) << connections;
  }
}

// A free connection is better than a place behind another message.
TEST(ChainScenario, NothingIsChainedWhileAConnectionMayBeOpened) {
  Scenario scenario;
  scenario.SendMany(100);  // so many connections may be open from now on
  EXPECT_TRUE(scenario.Drain(absl::Minutes(1)));
  const uint64_t chained = scenario.primary.chained();
  scenario.primary.set_manners(Slow(absl::Milliseconds(200)));
  scenario.SendMany(5);
  EXPECT_TRUE(scenario.Drain(absl::Minutes(1)));
  EXPECT_EQ(scenario.primary.chained(), chained);
}

TEST(ChainScenario, CanariesGoAlone) {
  Scenario scenario(Connections(2));
  scenario.PrimaryDown();
  scenario.SendMany(60);
  PrimaryManners busy;
  busy.content_4xx = 1'000'000;
  scenario.primary.set_manners(busy);
  scenario.PrimaryUp();
  scenario.RunFor(absl::Minutes(1));
  EXPECT_GE(scenario.primary.attempts().size(), 4U);
  EXPECT_EQ(scenario.primary.chained(), 0U);
  scenario.primary.set_manners({});
  EXPECT_TRUE(scenario.Drain(absl::Minutes(20)));
  EXPECT_GT(scenario.primary.chained(), 0U);
}

// The message in doubt waits and is sent again; the one behind it was not tried, so it does not
// wait, and no other is sent twice.
TEST(ChainScenario, ALostReplyDelaysOneMessageAlone) {
  Scenario scenario(Connections(1));
  Return(scenario, 60);
  const uint64_t chained = scenario.primary.chained();
  ASSERT_TRUE(
      scenario.RunUntil([&] { return scenario.primary.chained() > chained; }, absl::Seconds(10)));
  const uint64_t before = scenario.primary.messages();
  PrimaryManners manners;
  manners.lost_reply = 1'000'000;
  scenario.primary.set_manners(manners);
  ASSERT_TRUE(
      scenario.RunUntil([&] { return scenario.primary.messages() > before; }, absl::Seconds(10)));
  scenario.primary.set_manners({});
  scenario.RunFor(absl::Seconds(10));
  EXPECT_EQ(scenario.live(), 1U);
  EXPECT_EQ(scenario.daemon.route_counters().deferred, 1U);
  EXPECT_TRUE(scenario.Drain(absl::Minutes(1)));
  EXPECT_EQ(scenario.ledger.duplicates(), 1U);
  EXPECT_EQ(scenario.primary.messages(), 61U);
}

// Order after order, on messages that were read while others were sent.
TEST(ChainScenario, WhatIsHeldMeanwhileIsNotSent) {
  Scenario scenario(Connections(1));
  Return(scenario, 60);
  scenario.primary.set_manners(Slow(absl::Seconds(1)));
  for (int round = 0; round < 10; ++round) {
    scenario.RunFor(absl::Milliseconds(700));
    ASSERT_TRUE(scenario.daemon.ApplyRule(RuleVerb::kHold, {"d0.example"}).has_value());
    // What was sent when the order returned ends; nothing else begins.
    const size_t tried = scenario.primary.attempts().size();
    scenario.RunFor(absl::Seconds(20));
    EXPECT_LE(scenario.primary.attempts().size(), tried + 1);
    ASSERT_TRUE(scenario.daemon.ApplyRule(RuleVerb::kRelease, {"d0.example"}).has_value());
  }
  scenario.primary.set_manners({});
  EXPECT_TRUE(scenario.Drain(absl::Minutes(1)));
  EXPECT_EQ(scenario.ledger.duplicates(), 0U);
}

// It offers PIPELINING and drops what it gets behind an end of data: found once, then avoided.
TEST(ChainScenario, APrimaryThatLosesWhatIsBehindGetsOneAtATime) {
  Scenario scenario(Connections(2));
  scenario.primary.SetForgetful(true);
  const uint64_t before = MarkCount("unchained_for_a_while");
  Return(scenario, 40);
  EXPECT_TRUE(scenario.Drain(absl::Minutes(7)));  // one deadline of five minutes
  EXPECT_EQ(MarkCount("unchained_for_a_while"), before + 1);
  EXPECT_LE(scenario.primary.chained(), 2U);
  EXPECT_EQ(scenario.primary.messages(), 40U);
  EXPECT_EQ(scenario.ledger.duplicates(), 0U);
  EXPECT_EQ(scenario.daemon.route_counters().deferred, 0U);
}

TEST(ChainScenario, WithoutPipeliningNothingIsReadAhead) {
  Scenario scenario(Connections(1));
  PrimaryManners manners;
  manners.pipelining = false;
  scenario.primary.set_manners(manners);
  Return(scenario, 30);
  EXPECT_TRUE(scenario.Drain(absl::Seconds(30)));
  EXPECT_EQ(scenario.primary.chained(), 0U);
}

// Cuts between an end of data and its reply, and everywhere else, while all of it is chained.
TEST(ChainScenario, ABacklogSurvivesAPrimaryThatCuts) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    Scenario::Options options = Connections(2);
    options.seed = seed;
    Scenario scenario(options);
    scenario.PrimaryDown();
    scenario.SendMany(120);
    PrimaryManners manners;
    manners.cut = 20'000;
    manners.lost_reply = 20'000;
    manners.content_4xx = 50'000;
    scenario.primary.set_manners(manners);
    scenario.PrimaryUp();
    scenario.RunFor(absl::Minutes(5));
    scenario.primary.set_manners({});
    EXPECT_TRUE(scenario.Drain(absl::Minutes(60))) << seed;
  }
}

}  // namespace
}  // namespace backstay
