// tests/sim/scenarios/trial_test.cc -- mail that has waited meets a primary that nobody knows:
// another one, or the same after a restart.
#include <fmt/format.h>

#include <algorithm>

#include "core/base/mark.h"
#include "tests/sim/scenarios/scenario.h"

namespace backstay {
namespace {

Scenario::Options On(size_t shards) {
  Scenario::Options options;
  options.shards = shards;
  options.pipelined = true;
  return options;
}

// The configuration with the host of reports as primary, of all domains or of those from there on.
std::string MovedTo(const Scenario& scenario, std::string_view from = "") {
  std::string config = scenario.daemon.config();
  const std::string before = scenario.primary.address().ToString();
  for (size_t at = config.find(before, config.find(from)); at != std::string::npos;
       at = config.find(before, at)) {
    config.replace(at, before.size(), scenario.smart_host.address().ToString());
  }
  return config;
}

std::string OnlyTheFirstMovedTo(const Scenario& scenario) {
  std::string config = scenario.daemon.config();
  const std::string before = scenario.primary.address().ToString();
  config.replace(config.find(before), before.size(), scenario.smart_host.address().ToString());
  return config;
}

bool IsHeldByBreaker(Scenario& scenario) {
  bool is_held = false;
  for (size_t shard = 0; shard < scenario.daemon.shards(); ++shard) {
    const Shard& one = scenario.daemon.shard(shard);
    for (const DomainId domain : one.routes().domains()) {
      is_held |= one.spool().Name(domain) == "d0.example" &&
                 one.spool().StopOf(domain) == DomainStop::kByBreaker;
    }
  }
  return is_held;
}

// On several connections, so that all shards have some.
void Queue(Scenario& scenario, size_t connections, size_t messages) {
  for (size_t connection = 0; connection < connections; ++connection) {
    scenario.SendMany(messages);
  }
}

// Nothing is bounced; when the users are there again all of it goes out.
void ExpectHeldThenDelivered(Scenario& scenario, SimPrimary& primary, uint64_t queued) {
  EXPECT_TRUE(scenario.RunUntil([&] { return IsHeldByBreaker(scenario); }, absl::Minutes(15)));
  scenario.RunFor(absl::Hours(3));
  EXPECT_EQ(scenario.pending(), 0U);
  EXPECT_EQ(scenario.live(), queued);
  const uint64_t before = primary.messages();
  primary.SetEmptied(false);
  ASSERT_TRUE(scenario.daemon.ApplyRule(RuleVerb::kStart, {"d0.example"}).has_value());
  EXPECT_TRUE(scenario.Drain(absl::Minutes(30)));
  EXPECT_EQ(primary.messages(), before + queued);
}

TEST(TrialScenario, ANewPrimaryWithoutUsersBouncesNothing) {
  for (const size_t shards : {1, 3}) {
    Scenario scenario(On(shards));
    scenario.PrimaryDown();
    Queue(scenario, 6, 50);
    scenario.RunFor(absl::Minutes(1));
    scenario.smart_host.SetEmptied(true);
    scenario.smart_host.Open();
    ASSERT_TRUE(scenario.daemon.Reload(MovedTo(scenario)).ok());
    ExpectHeldThenDelivered(scenario, scenario.smart_host, 300);
  }
}

TEST(TrialScenario, CanariesGoFirstToANewPrimary) {
  Scenario scenario(On(3));
  scenario.PrimaryDown();
  Queue(scenario, 6, 10);
  scenario.RunFor(absl::Minutes(1));
  PrimaryManners busy;
  busy.rcpt_4xx = 1'000'000;
  scenario.smart_host.set_manners(busy);
  scenario.smart_host.Open();
  ASSERT_TRUE(scenario.daemon.Reload(MovedTo(scenario)).ok());
  EXPECT_TRUE(scenario.RunUntil([&] { return !scenario.smart_host.attempts().empty(); },
                                absl::Seconds(10)));
  scenario.RunFor(absl::Seconds(13));
  EXPECT_LE(scenario.smart_host.attempts().size(), 5U);
  scenario.smart_host.set_manners({});
  EXPECT_TRUE(scenario.Drain(absl::Minutes(12)));
}

// Too few for the breaker: a refusal is final `bounce_after` after it was first said.
TEST(TrialScenario, AFewWaitForBounceAfter) {
  Scenario scenario(On(1));
  scenario.PrimaryDown();
  scenario.SendMany(5);
  scenario.RunFor(absl::Minutes(1));
  scenario.smart_host.SetEmptied(true);
  scenario.smart_host.Open();
  ASSERT_TRUE(scenario.daemon.Reload(MovedTo(scenario)).ok());
  scenario.RunFor(absl::Minutes(50));
  EXPECT_GE(scenario.smart_host.attempts().size(), 5U);
  EXPECT_EQ(scenario.pending(), 0U);
  scenario.smart_host.SetEmptied(false);
  EXPECT_TRUE(scenario.Drain(absl::Minutes(15)));
  EXPECT_EQ(scenario.smart_host.messages(), 5U);
}

// No host of the list is another one, but it is another destination.
TEST(TrialScenario, OtherNetworksThatAreAllowedBounceNothing) {
  Scenario scenario(On(1));
  scenario.PrimaryBusy(true);
  scenario.SendMany(60);
  scenario.RunFor(absl::Minutes(1));
  ASSERT_EQ(scenario.live(), 60U);
  scenario.primary.set_manners({});
  scenario.primary.SetEmptied(true);
  scenario.plan.allowed_networks = "[\"10.0.0.0/8\"]";
  ASSERT_TRUE(scenario.daemon.Reload(scenario.plan.Config(2)).ok());
  ExpectHeldThenDelivered(scenario, scenario.primary, 60);
}

// The other one has had mail of another domain all the time, and goes on to have it.
TEST(TrialScenario, AnotherDomainsPrimaryIsNewToThisOne) {
  Scenario scenario(On(1));
  scenario.smart_host.Open();
  ASSERT_TRUE(scenario.daemon.Reload(MovedTo(scenario, "d1.example")).ok());
  const auto send_other = [&](int number) {
    const std::string recipient = fmt::format("other{}@d1.example", number);
    EXPECT_EQ(scenario.Send({"a@sender.example", {recipient}, "Subject: other\r\n\r\n"}), 250);
  };
  send_other(0);
  EXPECT_TRUE(scenario.Drain(absl::Seconds(5)));
  scenario.PrimaryDown();
  scenario.SendMany(60);
  scenario.RunFor(absl::Minutes(1));
  scenario.smart_host.SetEmptied(true);
  ASSERT_TRUE(scenario.daemon.Reload(OnlyTheFirstMovedTo(scenario)).ok());
  EXPECT_TRUE(scenario.RunUntil([&] { return IsHeldByBreaker(scenario); }, absl::Minutes(5)));
  EXPECT_EQ(scenario.pending(), 0U);
  scenario.smart_host.SetEmptied(false);
  const DomainPlan* const plan = scenario.daemon.snapshot().FindDomain("d1.example");
  EXPECT_EQ(scenario.daemon.shard(0).routes().RouteOf(*plan)->destination().state(),
            DestinationState::kUp);
  send_other(1);
  // Beside what was under way when the breaker tripped.
  EXPECT_TRUE(scenario.RunUntil(
      [&] { return scenario.ledger.times_delivered("other1@d1.example") == 1; }, absl::Seconds(2)));
  ASSERT_TRUE(scenario.daemon.ApplyRule(RuleVerb::kStart, {"d0.example"}).has_value());
  EXPECT_TRUE(scenario.Drain(absl::Minutes(30)));
}

// Held as nobody's, it meets its primary of before; that may be what it was, or not.
TEST(TrialScenario, ADomainThatIsBackBouncesNothing) {
  Scenario scenario(On(1));
  scenario.PrimaryBusy(true);
  scenario.SendMany(60);
  scenario.RunFor(absl::Seconds(30));
  ASSERT_TRUE(scenario.daemon.Reload(scenario.plan.Config(/*domain_left_out=*/0)).ok());
  scenario.RunFor(absl::Hours(30));
  scenario.primary.set_manners({});
  scenario.primary.SetEmptied(true);
  ASSERT_TRUE(scenario.daemon.Reload(scenario.plan.Config(2)).ok());
  ExpectHeldThenDelivered(scenario, scenario.primary, 60);
}

// A name that leads to another host.
TEST(TrialScenario, APrimaryThatMovedInTheDnsBouncesNothing) {
  Scenario::Options options = On(2);
  options.way = StoryDomain::Way::kNames;
  Scenario scenario(options);
  scenario.PrimaryBusy(true);
  scenario.SendMany(60);
  scenario.RunFor(absl::Minutes(1));
  ASSERT_EQ(scenario.live(), 60U);
  const uint64_t moved = MarkCount("primary_somewhere_else");
  scenario.smart_host.SetEmptied(true);
  scenario.smart_host.Open();
  scenario.zone.Remove("primary0.sim.example");
  scenario.zone.AddAddress("primary0.sim.example", std::string(kReportHost));
  EXPECT_TRUE(scenario.RunUntil([&] { return MarkCount("primary_somewhere_else") > moved; },
                                absl::Minutes(5)));
  ExpectHeldThenDelivered(scenario, scenario.smart_host, 60);
}

// Held, as it greeted with our own name; then it has another one.
TEST(TrialScenario, WhoGreetedAsWeDoBouncesNothing) {
  Scenario scenario(On(1));
  scenario.primary.set_name("mx2.sim.example");
  scenario.SendMany(60);
  scenario.RunFor(absl::Minutes(5));
  ASSERT_EQ(scenario.live(), 60U);
  scenario.primary.set_name("primary.example");
  scenario.primary.SetEmptied(true);
  ASSERT_TRUE(scenario.daemon.Reload(scenario.daemon.config()).ok());
  ExpectHeldThenDelivered(scenario, scenario.primary, 60);
}

// It was up all the time, and lost its users while we were away.
TEST(TrialScenario, ABacklogOfBeforeARestartIsNotBounced) {
  for (const size_t shards : {1, 2}) {
    Scenario scenario(On(shards));
    scenario.PrimaryBusy(true);
    Queue(scenario, 4, 40);
    scenario.RunFor(absl::Minutes(1));
    ASSERT_EQ(scenario.live(), 160U);
    EXPECT_TRUE(scenario.daemon.Stop());
    scenario.primary.set_manners({});
    scenario.primary.SetEmptied(true);
    const uint64_t on_trial = MarkCount("backlog_on_trial");
    scenario.Restart();
    EXPECT_GT(MarkCount("backlog_on_trial"), on_trial);
    ExpectHeldThenDelivered(scenario, scenario.primary, 160);
  }
}

// None of it was tried before: a primary that was slow, and a crash.
TEST(TrialScenario, ALargeBacklogBeginsWithCanariesAfterARestart) {
  Scenario scenario(On(2));
  PrimaryManners slow;
  slow.slow = 1'000'000;
  slow.slow_max = absl::Minutes(4);
  scenario.primary.set_manners(slow);
  Queue(scenario, 4, 100);
  scenario.Crash(CrashMode::kNothingUnsynced);
  scenario.PrimaryDown();  // its connections end; the daemon does not see it
  scenario.PrimaryBusy(true);
  scenario.PrimaryUp();
  const size_t before = scenario.primary.attempts().size();
  scenario.Restart();
  EXPECT_TRUE(scenario.RunUntil([&] { return scenario.primary.attempts().size() > before; },
                                absl::Seconds(10)));
  scenario.RunFor(absl::Seconds(13));
  EXPECT_LE(scenario.primary.attempts().size(), before + 5);
  scenario.primary.set_manners({});
  EXPECT_TRUE(scenario.Drain(absl::Minutes(12)));
}

// Nothing waited, and no outage was seen: that most is taken is known from before.
TEST(TrialScenario, WhatIsUsualIsKnownAfterARestart) {
  Scenario scenario(On(2));
  Queue(scenario, 3, 100);
  EXPECT_TRUE(scenario.Drain(absl::Minutes(5)));
  EXPECT_TRUE(scenario.daemon.Stop());
  scenario.Restart();
  scenario.primary.SetEmptied(true);
  scenario.SendMany(40);
  EXPECT_TRUE(scenario.RunUntil([&] { return IsHeldByBreaker(scenario); }, absl::Minutes(2)));
  EXPECT_EQ(scenario.pending(), 0U);
  scenario.primary.SetEmptied(false);
  ASSERT_TRUE(scenario.daemon.ApplyRule(RuleVerb::kStart, {"d0.example"}).has_value());
  EXPECT_TRUE(scenario.Drain(absl::Minutes(12)));
  EXPECT_EQ(scenario.primary.messages(), 340U);
}

// A healthy primary that put a few off: nothing that is new waits for canaries of theirs, and a
// refusal of it is final.
TEST(TrialScenario, ARestartWithLittleQueuedSlowsNothing) {
  Scenario scenario(On(2));
  for (int message = 0; message < 10; ++message) {
    const std::string recipient = scenario.Recipient("soft");
    scenario.primary.SetSoft(recipient);
    EXPECT_EQ(scenario.Send({"a@sender.example", {recipient}, "Subject: soft\r\n\r\n"}), 250);
  }
  scenario.RunFor(absl::Minutes(1));
  EXPECT_TRUE(scenario.daemon.Stop());
  scenario.RunFor(absl::Minutes(12));
  scenario.Restart();
  ASSERT_EQ(scenario.live(), 10U);
  scenario.SendOne();
  EXPECT_TRUE(
      scenario.RunUntil([&] { return scenario.primary.messages() == 1; }, absl::Seconds(1)));
  scenario.RunFor(absl::Seconds(2));
  scenario.SendOne("gone");
  EXPECT_TRUE(scenario.RunUntil([&] { return scenario.pending() == 1; }, absl::Seconds(2)));
  scenario.primary.ClearSoft();
  EXPECT_TRUE(scenario.Drain(absl::Hours(25)));
}

}  // namespace
}  // namespace backstay
