// tests/sim/scenarios/reports_test.cc -- reports by MX: strangers who are there, who are not, who
// take nothing, and who say nothing.
#include <fmt/format.h>

#include <string>

#include "core/base/mark.h"
#include "tests/sim/scenarios/scenario.h"

namespace backstay {
namespace {

Scenario::Options ByMx(std::string retry = "bounce_after = \"0\"\n") {
  Scenario::Options options;
  options.retry = std::move(retry);
  options.reports = ReportWay::kMx;
  options.pipelined = true;
  return options;
}

// A message that the primary refuses: its sender is to be told. Returns its recipient.
std::string Fail(Scenario& scenario, std::string_view sender_domain) {
  const std::string recipient = scenario.Recipient("gone");
  EXPECT_EQ(scenario.Send({fmt::format("s@{}", sender_domain), {recipient}, "Subject: x\r\n\r\n"}),
            250);
  return recipient;
}

// `count` of them at once, from Domain(0), Domain(1), ...
std::string Domain(size_t number) {
  return fmt::format("d{}.strangers.example", number);
}

void FailFromMany(Scenario& scenario, size_t count) {
  for (size_t number = 0; number < count; ++number) {
    scenario.client.Enqueue(
        {"s@" + Domain(number), {scenario.Recipient("gone")}, "Subject: x\r\n\r\n"});
  }
  EXPECT_TRUE(scenario.RunUntil([&] { return scenario.client.done(); }, absl::Hours(1)));
}

// Nothing is owed to anybody, and no report waits.
bool AllEnded(Scenario& scenario, absl::Duration at_most) {
  return scenario.RunUntil([&] { return scenario.live() == 0 && scenario.pending() == 0; },
                           at_most);
}

size_t Told(const Scenario& scenario, const std::string& recipient) {
  return scenario.ledger.times_told(recipient, "failed");
}

// ---- where they go ----

TEST(ReportsByMx, EachGoesToAHostOfItsSendersDomain) {
  for (const std::string_view domain : {kSenderDomain, kImplicitDomain, kAliasDomain}) {
    Scenario scenario(ByMx());
    const std::string recipient = Fail(scenario, domain);
    EXPECT_TRUE(AllEnded(scenario, absl::Seconds(30))) << domain;
    EXPECT_EQ(Told(scenario, recipient), 1U) << domain;
    ASSERT_EQ(scenario.smart_host.attempts().size(), 1U);
    EXPECT_EQ(scenario.smart_host.attempts()[0].recipient, fmt::format("s@{}", domain));
  }
}

// The primary hears of a hundred at a time.
TEST(ReportsByMx, OneTellsOfAllRecipientsThatWereRefused) {
  Scenario scenario(ByMx());
  Message message{fmt::format("s@{}", kSenderDomain), {}, "Subject: x\r\n\r\n"};
  for (int i = 0; i < 350; ++i) {
    message.recipients.push_back(scenario.Recipient("gone"));
  }
  EXPECT_EQ(scenario.Send(message), 250);
  EXPECT_TRUE(AllEnded(scenario, absl::Minutes(1)));
  EXPECT_EQ(Told(scenario, message.recipients.front()), 1U);
  EXPECT_EQ(Told(scenario, message.recipients.back()), 1U);
  EXPECT_EQ(scenario.smart_host.attempts().size(), 1U);
}

TEST(ReportsByMx, AnAddressLiteralIsItsOwnHost) {
  Scenario scenario(ByMx());
  const std::string recipient = Fail(scenario, fmt::format("[{}]", kReportHost));
  EXPECT_TRUE(AllEnded(scenario, absl::Seconds(30)));
  EXPECT_EQ(Told(scenario, recipient), 1U);
}

TEST(ReportsByMx, WhoTakesNoMailIsNotToldAndTheReportIsDiscardedByRule) {
  for (const std::string_view domain : {kNullMxDomain, kNobodyDomain, kOurMxDomain, kSelfDomain}) {
    Scenario scenario(ByMx());
    scenario.ledger.OnUntellable(domain);
    const uint64_t dead = MarkCount("dead_report");
    Fail(scenario, domain);
    EXPECT_TRUE(AllEnded(scenario, absl::Seconds(30))) << domain;
    EXPECT_EQ(scenario.daemon.route_counters().discarded, 1U) << domain;
    EXPECT_EQ(MarkCount("dead_report"), dead + 1) << domain;
    EXPECT_EQ(scenario.smart_host.connections_accepted(), 0U) << domain;
  }
}

TEST(ReportsByMx, AHostThatGreetsWithOurNameIsNoWay) {
  Scenario scenario(ByMx());
  scenario.smart_host.set_name("mx2.sim.example");
  scenario.ledger.OnUntellable(kImplicitDomain);
  Fail(scenario, kImplicitDomain);
  EXPECT_TRUE(AllEnded(scenario, absl::Seconds(30)));
  EXPECT_EQ(scenario.daemon.route_counters().discarded, 1U);
  EXPECT_EQ(scenario.smart_host.connections_accepted(), 1U);
}

TEST(ReportsByMx, ARefusedReportIsDiscarded) {
  Scenario scenario(ByMx());
  scenario.smart_host.SetEmptied(true);
  scenario.ledger.OnUntellable(kImplicitDomain);
  Fail(scenario, kImplicitDomain);
  EXPECT_TRUE(AllEnded(scenario, absl::Seconds(30)));
  EXPECT_EQ(scenario.daemon.route_counters().discarded, 1U);
}

TEST(ReportsByMx, ADomainThatHasBecomeOursHasItsReportsByItsPrimary) {
  Scenario scenario(ByMx());
  scenario.smart_host.Close();
  Fail(scenario, kImplicitDomain);
  scenario.RunFor(absl::Minutes(1));
  ASSERT_EQ(scenario.live(), 1U);
  const uint64_t ours = MarkCount("stranger_became_ours");
  const std::string more =
      fmt::format("[[domain]]\nname = \"{}\"\nprimary = [\"10.1.0.1:25\"]\n", kImplicitDomain);
  ASSERT_TRUE(scenario.daemon.Reload(scenario.daemon.config() + more).ok());
  EXPECT_TRUE(AllEnded(scenario, absl::Minutes(11)));
  EXPECT_GT(MarkCount("stranger_became_ours"), ours);
  EXPECT_EQ(scenario.primary.attempts().back().recipient, fmt::format("s@{}", kImplicitDomain));
}

TEST(ReportsByMx, WhatWaitsTakesTheRouteThatAReloadBrings) {
  Scenario scenario(ByMx());
  scenario.zone.Remove(std::string(kImplicitDomain));
  scenario.zone.SetSilent(std::string(kImplicitDomain), true);
  const std::string recipient = Fail(scenario, kImplicitDomain);
  scenario.RunFor(absl::Minutes(2));
  ASSERT_EQ(scenario.live(), 1U);
  scenario.plan.reports = ReportWay::kHost;
  ASSERT_TRUE(scenario.daemon.Reload(scenario.plan.Config(scenario.plan.domains.size())).ok());
  EXPECT_TRUE(AllEnded(scenario, absl::Minutes(11)));
  EXPECT_EQ(Told(scenario, recipient), 1U);
}

// ---- strangers who are away ----

// Its host is asked at the times of the schedule and at no others: nobody probes a stranger.
TEST(ReportsByMx, AStrangerWhoIsAwayIsTriedByTheScheduleAlone) {
  Scenario scenario(ByMx());
  PrimaryManners busy;
  busy.greeting_421 = 1'000'000;
  scenario.smart_host.set_manners(busy);
  const std::string recipient = Fail(scenario, kImplicitDomain);
  scenario.RunFor(absl::Hours(24));
  EXPECT_EQ(scenario.smart_host.connections_accepted(), 4U);  // at 0, 10, 20, 30 minutes
  EXPECT_EQ(scenario.live(), 1U);
  scenario.Crash(CrashMode::kNothingUnsynced);
  scenario.Restart();
  scenario.RunFor(absl::Minutes(20));
  EXPECT_EQ(scenario.smart_host.connections_accepted(), 4U);
  scenario.smart_host.set_manners({});
  EXPECT_TRUE(AllEnded(scenario, absl::Hours(1)));
  EXPECT_EQ(Told(scenario, recipient), 1U);
  EXPECT_EQ(scenario.smart_host.connections_accepted(), 5U);
}

TEST(ReportsByMx, AReportWhoseTimeIsOverIsDiscarded) {
  Scenario scenario(ByMx());
  scenario.smart_host.Close();
  scenario.ledger.OnUntellable(kImplicitDomain);
  Fail(scenario, kImplicitDomain);
  scenario.RunFor(absl::Hours(5 * 24 - 1));
  EXPECT_EQ(scenario.live(), 1U);
  EXPECT_TRUE(AllEnded(scenario, absl::Hours(2)));
  EXPECT_EQ(scenario.daemon.route_counters().discarded, 1U);
}

TEST(ReportsByMx, WithoutDnsReportsWait) {
  for (const DnsZone::Mood mood : {DnsZone::Mood::kFails, DnsZone::Mood::kSilent}) {
    Scenario scenario(ByMx());
    scenario.zone.SetMood(mood);
    const std::string recipient = Fail(scenario, kImplicitDomain);
    scenario.RunFor(absl::Minutes(15));
    EXPECT_EQ(scenario.live(), 1U);
    EXPECT_EQ(scenario.daemon.route_counters().discarded, 0U);
    scenario.zone.SetMood(DnsZone::Mood::kAnswers);
    EXPECT_TRUE(AllEnded(scenario, absl::Minutes(10)));
    EXPECT_EQ(Told(scenario, recipient), 1U);
  }
}

// One connection finds out; the others of the domain are deferred without one.
TEST(ReportsByMx, ADomainThatIsAwayCostsOneConnectionHoweverMuchIsForIt) {
  Scenario scenario(ByMx());
  PrimaryManners busy;
  busy.greeting_421 = 1'000'000;
  scenario.smart_host.set_manners(busy);
  const uint64_t unseen = MarkCount("report_deferred_unseen");
  for (int count = 0; count < 50; ++count) {
    scenario.client.Enqueue(
        {fmt::format("s@{}", kImplicitDomain), {scenario.Recipient("gone")}, "Subject: x\r\n\r\n"});
  }
  ASSERT_TRUE(scenario.RunUntil([&] { return scenario.client.done(); }, absl::Minutes(2)));
  scenario.RunFor(absl::Minutes(1));
  EXPECT_EQ(scenario.live(), 50U);
  EXPECT_EQ(scenario.smart_host.connections_accepted(), 1U);
  EXPECT_GE(MarkCount("report_deferred_unseen"), unseen + 50);
  scenario.smart_host.set_manners({});
  EXPECT_TRUE(AllEnded(scenario, absl::Minutes(11)));
  EXPECT_LE(scenario.smart_host.connections_accepted(), 3U);
}

// ---- many ----

// More than there are connections, each with a host that is there and says nothing for an hour.
TEST(ReportsByMx, SlowStrangersDoNotHoldUpTheOthers) {
  Scenario scenario(ByMx());
  Host& host = scenario.world.AddHost("slow", *SocketAddress::Parse("10.9.0.3:0"));
  SimPrimary slow(scenario.world, host, 25, Random(7), scenario.ledger);
  PrimaryManners manners;
  manners.slow = 1'000'000;
  manners.slow_max = absl::Hours(10);
  slow.set_manners(manners);
  slow.Open();
  for (size_t number = 0; number < 200; ++number) {
    scenario.zone.AddAddress(Domain(number), "10.9.0.3");
  }
  FailFromMany(scenario, 200);
  scenario.RunFor(absl::Seconds(5));
  EXPECT_EQ(slow.connections(), ReportLane::kVisitsMax);
  const std::string recipient = Fail(scenario, kImplicitDomain);
  const uint64_t left = MarkCount("slow_stranger_left");
  EXPECT_TRUE(scenario.RunUntil([&] { return Told(scenario, recipient) == 1; }, absl::Minutes(4)));
  EXPECT_GT(MarkCount("slow_stranger_left"), left);
  EXPECT_LE(scenario.daemon.connections(), ReportLane::kVisitsMax);
  slow.set_manners({});
  EXPECT_TRUE(AllEnded(scenario, absl::Minutes(30)));
}

TEST(ReportsByMx, DomainsWithoutNameServersDoNotHoldUpTheOthers) {
  Scenario scenario(ByMx());
  for (size_t number = 0; number < 400; ++number) {
    scenario.zone.SetSilent(Domain(number), true);
  }
  FailFromMany(scenario, 400);
  const std::string recipient = Fail(scenario, kImplicitDomain);
  EXPECT_TRUE(scenario.RunUntil([&] { return Told(scenario, recipient) == 1; }, absl::Minutes(2)));
  for (size_t number = 0; number < 400; ++number) {
    scenario.zone.SetSilent(Domain(number), false);
    scenario.zone.AddAddress(Domain(number), std::string(kReportHost));
  }
  EXPECT_TRUE(AllEnded(scenario, absl::Minutes(30)));
}

// Neither a name nor a route for each; what is remembered of them is bounded.
TEST(ReportsByMx, ThousandsOfDomainsLeaveNothingBehind) {
  Scenario scenario(ByMx());
  constexpr size_t kStrangers = StrangerTable::kStrangersMax + 1000;
  const uint64_t forgotten = MarkCount("stranger_forgotten");
  for (size_t number = 0; number < kStrangers; ++number) {
    scenario.ledger.OnUntellable(Domain(number));
  }
  FailFromMany(scenario, kStrangers);
  EXPECT_TRUE(AllEnded(scenario, absl::Hours(1)));
  const RouteTable& routes = scenario.daemon.shard(0).routes();
  EXPECT_EQ(routes.domains().size(), 2U);  // d0.example, and that of all reports
  EXPECT_EQ(routes.routes().size(), 1U);
  EXPECT_EQ(routes.reports().strangers().size(), StrangerTable::kStrangersMax);
  EXPECT_EQ(routes.reports().strangers().waiting(), 0U);
  EXPECT_GE(MarkCount("stranger_forgotten"), forgotten + 900);
  EXPECT_EQ(scenario.daemon.route_counters().discarded, kStrangers);
}

// More for one domain than may wait for it: all are told, the rest a little later.
TEST(ReportsByMx, ADomainWithVeryManyReportsGetsThemAll) {
  Scenario scenario(ByMx());
  scenario.smart_host.Close();
  constexpr size_t kMany = StrangerTable::kWaitingOfOneMax * 2;
  for (size_t number = 0; number < kMany; ++number) {
    scenario.client.Enqueue({fmt::format("s{}@{}", number, kImplicitDomain),
                             {scenario.Recipient("gone")},
                             "Subject: x\r\n\r\n"});
  }
  ASSERT_TRUE(scenario.RunUntil([&] { return scenario.client.done(); }, absl::Minutes(10)));
  scenario.RunFor(absl::Minutes(2));
  EXPECT_EQ(scenario.live(), kMany);
  scenario.smart_host.Open();
  const uint64_t put_off = MarkCount("report_put_off");
  EXPECT_TRUE(scenario.daemon.ApplyRule(RuleVerb::kReset).has_value());
  EXPECT_TRUE(AllEnded(scenario, absl::Minutes(5)));
  EXPECT_GT(MarkCount("report_put_off"), put_off);
  EXPECT_EQ(scenario.ledger.reports(), kMany);
}

// ---- crashes ----

TEST(ReportsByMx, ReportsThatWaitSurviveACrashAtAnyMoment) {
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    Scenario::Options options = ByMx();
    options.seed = seed;
    options.shards = 1 + seed % 2;
    Scenario scenario(options);
    std::vector<std::string> recipients;
    for (int count = 0; count < 10; ++count) {
      recipients.push_back(Fail(scenario, kSenderDomain));
    }
    scenario.RunFor(absl::Milliseconds(static_cast<int64_t>(seed * seed * 7)));
    scenario.Crash(CrashMode::kRandom);
    scenario.Restart();
    EXPECT_TRUE(AllEnded(scenario, absl::Minutes(1)));
    for (const std::string& recipient : recipients) {
      EXPECT_EQ(Told(scenario, recipient), 1U) << "seed " << seed;
    }
  }
}

}  // namespace
}  // namespace backstay
