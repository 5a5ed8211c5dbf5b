// tests/sim/scenarios/shares_test.cc -- limits that are the daemon's, on many shards.
#include <algorithm>

#include "core/base/mark.h"
#include "tests/sim/scenarios/scenario.h"
#include "tests/support/line_client.h"

namespace backstay {
namespace {

Scenario::Options ManyShards(size_t shards, size_t connections = 20) {
  Scenario::Options options;
  options.shards = shards;
  options.connections = connections;
  options.pipelined = true;
  return options;
}

size_t LiveOn(Scenario& scenario, size_t shard) {
  return scenario.daemon.shard(shard).spool().Stats().recipients_live;
}

size_t ShardsWithMail(Scenario& scenario) {
  size_t shards = 0;
  for (size_t shard = 0; shard < scenario.daemon.shards(); ++shard) {
    shards += LiveOn(scenario, shard) > 0 ? 1 : 0;
  }
  return shards;
}

void Spread(Scenario& scenario, size_t messages) {
  for (size_t message = 0; message < messages; ++message) {
    scenario.OfferOne();
  }
}

void MakeSlow(Scenario& scenario, absl::Duration at_most) {
  PrimaryManners slow;
  slow.slow = 1'000'000;
  slow.slow_max = at_most;
  scenario.primary.set_manners(slow);
}

// All goes out; returns how many connections there were at most.
size_t DrainAndCount(Scenario& scenario) {
  size_t most = 0;
  EXPECT_TRUE(scenario.RunUntil(
      [&] {
        most = std::max(most, scenario.daemon.connections());
        return scenario.live() == 0;
      },
      absl::Minutes(30)));
  return most;
}

TEST(SharesScenario, MoreShardsThanConnectionsDrainAllTheSame) {
  for (const size_t connections : {1, 3}) {
    Scenario scenario(ManyShards(8, connections));
    scenario.PrimaryDown();
    Spread(scenario, 120);
    ASSERT_GT(ShardsWithMail(scenario), 5U);
    MakeSlow(scenario, absl::Milliseconds(500));
    scenario.PrimaryUp();
    EXPECT_LE(DrainAndCount(scenario), connections);
    EXPECT_EQ(scenario.primary.messages(), 120U);
  }
}

TEST(SharesScenario, MailOfOneShardMayHaveAllConnections) {
  Scenario scenario(ManyShards(8));
  scenario.PrimaryDown();
  scenario.SendMany(900);  // on one connection
  ASSERT_EQ(ShardsWithMail(scenario), 1U);
  MakeSlow(scenario, absl::Milliseconds(200));
  scenario.PrimaryUp();
  const size_t most = DrainAndCount(scenario);
  EXPECT_LE(most, 20U);
  EXPECT_GE(most, 18U);
}

// A backlog on one shard keeps all connections busy; what comes on another one has its part.
TEST(SharesScenario, AShardThatComesLateHasItsPart) {
  Scenario scenario(ManyShards(2, 4));
  scenario.PrimaryDown();
  scenario.SendMany(1000);
  MakeSlow(scenario, absl::Seconds(1));
  scenario.PrimaryUp();
  ASSERT_TRUE(
      scenario.RunUntil([&] { return scenario.daemon.connections() == 4; }, absl::Minutes(5)));
  const size_t full = LiveOn(scenario, 0) > 0 ? 0 : 1;
  const RouteTable& other = scenario.daemon.shard(1 - full).routes();
  const uint64_t before = MarkCount("yielded_to_another_shard");
  for (int tries = 0; tries < 100 && LiveOn(scenario, 1 - full) < 5; ++tries) {
    scenario.OfferOne();
  }
  ASSERT_GE(LiveOn(scenario, 1 - full), 5U);
  EXPECT_TRUE(scenario.RunUntil([&] { return other.totals().delivered >= 5; }, absl::Seconds(20)));
  EXPECT_GT(LiveOn(scenario, full), 100U);
  EXPECT_GT(MarkCount("yielded_to_another_shard"), before);
  MakeSlow(scenario, absl::Milliseconds(5));
  EXPECT_LE(DrainAndCount(scenario), 4U);
}

TEST(SharesScenario, FiveCanariesFromAllShards) {
  Scenario scenario(ManyShards(8));
  scenario.PrimaryDown();
  Spread(scenario, 200);
  ASSERT_EQ(ShardsWithMail(scenario), 8U);
  scenario.PrimaryBusy(true);
  scenario.PrimaryUp();
  EXPECT_TRUE(
      scenario.RunUntil([&] { return !scenario.primary.attempts().empty(); }, absl::Seconds(20)));
  scenario.RunFor(absl::Seconds(14));
  EXPECT_EQ(scenario.primary.attempts().size(), 5U);
  scenario.RunFor(absl::Seconds(15));
  EXPECT_EQ(scenario.primary.attempts().size(), 10U);
  scenario.primary.set_manners({});
  EXPECT_TRUE(scenario.Drain(absl::Minutes(12)));
}

// Without mail nothing is left to wait for.
TEST(SharesScenario, AReturnIsOverWhenNoShardHasMail) {
  Scenario scenario(ManyShards(8));
  scenario.PrimaryDown();
  scenario.SendOne();
  scenario.RunFor(absl::Minutes(1));
  scenario.PrimaryUp();
  EXPECT_TRUE(scenario.Drain(absl::Seconds(10)));
  scenario.RunFor(absl::Seconds(1));
  const DomainPlan* const plan = scenario.daemon.snapshot().FindDomain("d0.example");
  for (size_t shard = 0; shard < scenario.daemon.shards(); ++shard) {
    EXPECT_EQ(scenario.daemon.shard(shard).routes().RouteOf(*plan)->destination().state(),
              DestinationState::kUp);
  }
}

// Wherever its mail lies; over a restart, over a reload, and until it is gone.
TEST(SharesScenario, AQuotaIsOfAllShards) {
  Scenario::Options options = ManyShards(8);
  options.pipelined = false;
  options.domain = "quota_messages = 40\n";
  Scenario scenario(options);
  scenario.PrimaryDown();
  Spread(scenario, 60);
  EXPECT_EQ(scenario.client.stored(), 40U);
  EXPECT_GT(ShardsWithMail(scenario), 5U);
  scenario.Crash(CrashMode::kNothingUnsynced);
  scenario.Restart();
  Spread(scenario, 10);
  EXPECT_EQ(scenario.client.stored(), 40U);
  scenario.plan.domain_lines = "quota_messages = 50\n";
  ASSERT_TRUE(scenario.daemon.Reload(scenario.plan.Config(2)).ok());
  Spread(scenario, 20);
  EXPECT_EQ(scenario.client.stored(), 50U);
  scenario.PrimaryUp();
  EXPECT_TRUE(scenario.Drain(absl::Minutes(5)));
  scenario.RunFor(absl::Seconds(2));
  Spread(scenario, 10);
  EXPECT_EQ(scenario.client.stored(), 60U);
  EXPECT_TRUE(scenario.Drain(absl::Minutes(5)));
}

// The answer of whichever shard is asked.
std::string SaidToEtrn(Scenario& scenario) {
  LineClient client(scenario.world, scenario.client_host, *SocketAddress::Parse("10.0.0.1:25"));
  const auto next = [&client] { return client.NextLine(absl::Seconds(5)).value_or("(nothing)"); };
  next();  // the banner
  client.Send("HELO client.example\r\n");
  next();
  client.Send("ETRN d0.example\r\n");
  const std::string answer = next();
  client.Disconnect();
  return answer;
}

// Whoever is asked tells what waits on all of them: over a restart, over reloads, until it is gone.
TEST(SharesScenario, EtrnTellsWhatWaitsOnAllShards) {
  const std::string asked = "etrn_from = [\"10.2.0.0/16\"]\n";
  const auto pending = [](int messages) {
    return "253 2.0.0 " + std::to_string(messages) + " pending messages for d0.example started";
  };
  Scenario::Options options = ManyShards(8);
  options.smtp = asked;
  Scenario scenario(options);
  EXPECT_EQ(SaidToEtrn(scenario), "251 2.0.0 No messages waiting");
  scenario.PrimaryDown();
  for (int messages = 1; messages <= 20; ++messages) {
    scenario.OfferOne();
    EXPECT_EQ(SaidToEtrn(scenario), pending(messages));
  }
  EXPECT_GT(ShardsWithMail(scenario), 4U);
  scenario.Crash(CrashMode::kNothingUnsynced);
  scenario.Restart();
  EXPECT_EQ(SaidToEtrn(scenario), pending(20));
  for (const std::string& smtp : {std::string(), asked}) {
    scenario.plan.smtp = smtp;
    ASSERT_TRUE(scenario.daemon.Reload(scenario.plan.Config(2)).ok());
    Spread(scenario, 5);
  }
  EXPECT_EQ(SaidToEtrn(scenario), pending(30));
  scenario.PrimaryUp();
  EXPECT_TRUE(scenario.Drain(absl::Minutes(5)));
  scenario.RunFor(absl::Seconds(2));
  for (int calls = 0; calls < 10; ++calls) {
    EXPECT_EQ(SaidToEtrn(scenario), "251 2.0.0 No messages waiting");
  }
}

// A deletion takes away what lies there, on whichever shard.
TEST(SharesScenario, WhatADeletionLeavesHasRoom) {
  Scenario::Options options = ManyShards(4);
  options.pipelined = false;
  options.domain = "quota_bytes = \"20KiB\"\n";
  Scenario scenario(options);
  scenario.PrimaryDown();
  std::vector<std::string> stored;
  for (int offered = 0; offered < 200; ++offered) {
    const std::string recipient = scenario.OfferOne();
    if (scenario.client.stored() > stored.size()) {
      stored.push_back(recipient);
    }
  }
  EXPECT_GT(stored.size(), 20U);
  EXPECT_LT(stored.size(), 150U);
  ASSERT_TRUE(scenario.daemon.ApplyRule(RuleVerb::kDelete).has_value());
  EXPECT_TRUE(scenario.Drain(absl::Seconds(10)));
  scenario.RunFor(absl::Seconds(2));
  for (const std::string& recipient : stored) {
    scenario.ledger.OnDeleted(recipient);
  }
  Spread(scenario, 5);
  EXPECT_EQ(scenario.client.stored(), stored.size() + 5);
  scenario.PrimaryUp();
  EXPECT_TRUE(scenario.Drain(absl::Minutes(5)));
}

}  // namespace
}  // namespace backstay
