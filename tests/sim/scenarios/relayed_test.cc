// tests/sim/scenarios/relayed_test.cc -- senders who want to hear of a success, and primaries that
// tell them nothing: the report that is owed beside the delivery.
#include <fmt/format.h>

#include <string>

#include "core/base/mark.h"
#include "core/shard/debt_list.h"
#include "tests/sim/scenarios/scenario.h"

namespace backstay {
namespace {

constexpr std::string_view kAskedContent = "Subject: x\r\n\r\nwords\r\n";

Scenario::Options Asked(ReportWay way = ReportWay::kHost) {
  Scenario::Options options;
  options.retry = "bounce_after = \"0\"\n";
  options.reports = way;
  options.pipelined = true;
  return options;
}

// To one who is to be told of: returns the recipient.
std::string SendAsking(Scenario& scenario, std::string sender = "a@sender.example") {
  const std::string recipient = scenario.Recipient("asks");
  EXPECT_EQ(scenario.Send({std::move(sender), {recipient}, std::string(kAskedContent)}), 250);
  return recipient;
}

// `count` of them, each from a sender of his own.
void SendManyAsking(Scenario& scenario, size_t count) {
  for (size_t number = 0; number < count; ++number) {
    scenario.client.Enqueue({fmt::format("s{}@sender.example", number),
                             {scenario.Recipient("asks")},
                             std::string(kAskedContent)});
  }
  ASSERT_TRUE(scenario.RunUntil([&] { return scenario.client.done(); }, absl::Hours(1)));
}

bool EndsAll(Scenario& scenario, absl::Duration at_most = absl::Minutes(1)) {
  return scenario.RunUntil([&] { return scenario.live() == 0 && scenario.pending() == 0; },
                           at_most);
}

size_t TimesRelayed(const Scenario& scenario, const std::string& recipient) {
  return scenario.ledger.times_told(recipient, "relayed");
}

void LetReportsGo(Scenario& scenario, ReportWay way) {
  scenario.plan.reports = way;
  scenario.smart_host.Open();
  ASSERT_TRUE(scenario.daemon.Reload(scenario.plan.Config(scenario.plan.domains.size())).ok());
}

bool Tells(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

// ---- who is told ----

TEST(Relayed, WhoAskedIsToldOnceAndItIsADelivery) {
  Scenario scenario(Asked());
  const std::string recipient = SendAsking(scenario);
  const std::string quiet = scenario.SendOne();
  EXPECT_TRUE(EndsAll(scenario));
  EXPECT_EQ(TimesRelayed(scenario, recipient), 1U);
  EXPECT_EQ(scenario.ledger.reports(), 1U);
  EXPECT_EQ(scenario.daemon.route_counters().delivered, 3U);  // two messages and a report
  EXPECT_EQ(scenario.daemon.route_counters().failed, 0U);
  const DomainAccount account = scenario.daemon.account();
  EXPECT_EQ(account, (DomainAccount{.accepted = 2, .generated = 1, .delivered = 3}));
  scenario.RunFor(absl::Seconds(1));  // its last settle is in the log
  scenario.Crash(CrashMode::kAllUnsynced);
  scenario.Restart();
  EXPECT_EQ(scenario.daemon.account(), account);
  const std::string& report = scenario.smart_host.last_content();
  EXPECT_TRUE(Tells(report, "Action: relayed\r\nStatus: 2.0.0\r\nRemote-MTA: dns; [10.1.0.1]\r\n"));
  EXPECT_TRUE(Tells(report, "handed to [10.1.0.1], which does not send delivery notifications"));
  EXPECT_TRUE(Tells(report, "\r\nSubject: x\r\n"));
  EXPECT_FALSE(Tells(report, "words"));
}

TEST(Relayed, APrimaryThatOffersDsnTellsHimItself) {
  Scenario scenario(Asked());
  PrimaryManners manners;
  manners.dsn = true;
  scenario.primary.set_manners(manners);
  SendAsking(scenario);
  EXPECT_TRUE(EndsAll(scenario));
  scenario.RunFor(absl::Minutes(1));
  EXPECT_EQ(scenario.ledger.reports(), 0U);
}

// Each recipient by the session that took him.
TEST(Relayed, WhatAPrimaryOffersMayChange) {
  Scenario scenario(Asked());
  PrimaryManners manners;
  manners.dsn = true;
  const std::string before = SendAsking(scenario);
  EXPECT_TRUE(EndsAll(scenario));
  scenario.PrimaryDown();
  scenario.primary.set_manners(manners);
  scenario.PrimaryUp();
  const std::string passed_on = SendAsking(scenario);
  EXPECT_TRUE(EndsAll(scenario));
  scenario.PrimaryDown();
  scenario.primary.set_manners({});
  scenario.PrimaryUp();
  const std::string behind = SendAsking(scenario);
  EXPECT_TRUE(EndsAll(scenario));
  EXPECT_EQ(TimesRelayed(scenario, before), 1U);
  EXPECT_EQ(TimesRelayed(scenario, passed_on), 0U);
  EXPECT_EQ(TimesRelayed(scenario, behind), 1U);
}

TEST(Relayed, NobodyIsToldOfMailWithoutASender) {
  Scenario scenario(Asked());
  SendAsking(scenario, "");
  EXPECT_TRUE(EndsAll(scenario));
  EXPECT_EQ(scenario.ledger.reports(), 0U);
}

TEST(Relayed, AMessageThatNeededASecondTryIsToldOfWhenItIsTaken) {
  Scenario scenario(Asked());
  scenario.PrimaryDown();
  const std::string recipient = SendAsking(scenario);
  scenario.RunFor(absl::Minutes(5));
  EXPECT_EQ(scenario.ledger.reports(), 0U);
  scenario.PrimaryUp();
  EXPECT_TRUE(EndsAll(scenario));
  EXPECT_EQ(TimesRelayed(scenario, recipient), 1U);
}

// One report for what one attempt has settled: each with his own fate, and by his own wish.
TEST(Relayed, AReportTellsOfAllThatWasSettledTogether) {
  Scenario scenario(Asked());
  const std::string taken = scenario.Recipient("asks");
  const std::string quiet = scenario.Recipient("user");
  const std::string refused = scenario.Recipient("goneasks");
  const std::string refused_unasked = scenario.Recipient("gone");
  const std::string refused_unwanted = scenario.Recipient("goneonly");
  const std::string never = scenario.Recipient("never");
  const std::string later = scenario.Recipient("only");
  scenario.primary.SetSoft(later);
  EXPECT_EQ(scenario.Send({"a@sender.example",
                           {taken, quiet, refused, refused_unasked, refused_unwanted, never, later},
                           std::string(kAskedContent)}),
            250);
  EXPECT_TRUE(scenario.RunUntil(
      [&] { return scenario.ledger.reports() == 1 && scenario.live() == 1; }, absl::Minutes(1)));
  EXPECT_EQ(TimesRelayed(scenario, taken), 1U);
  EXPECT_EQ(scenario.ledger.times_told(refused, "failed"), 1U);
  EXPECT_EQ(scenario.ledger.times_told(refused_unasked, "failed"), 1U);
  EXPECT_EQ(scenario.pending(), 0U);
  scenario.primary.ClearSoft();
  EXPECT_TRUE(EndsAll(scenario, absl::Minutes(30)));
  EXPECT_EQ(TimesRelayed(scenario, later), 1U);
  EXPECT_EQ(scenario.ledger.reports(), 2U);
}

// ---- the debt ----

// Where there is no way for reports it waits as that of a failure; so a crash between the delivery
// and its report is a matter of when the way comes.
TEST(Relayed, ACrashBetweenDeliveryAndReportRepeatsNeither) {
  for (const size_t shards : {1, 2}) {
    Scenario::Options options = Asked(ReportWay::kOff);
    options.shards = shards;
    Scenario scenario(options);
    const std::string recipient = SendAsking(scenario);
    const std::string refused = scenario.Recipient("gone");
    EXPECT_EQ(scenario.Send({"b@sender.example", {refused}, std::string(kAskedContent)}), 250);
    EXPECT_TRUE(scenario.RunUntil([&] { return scenario.pending() == 2; }, absl::Minutes(1)));
    for (int crashes = 0; crashes < 2; ++crashes) {
      scenario.RunFor(absl::Seconds(2));
      scenario.Crash(CrashMode::kNothingUnsynced);
      scenario.Restart();
      scenario.RunFor(absl::Seconds(10));
      EXPECT_EQ(scenario.pending(), 2U);
      EXPECT_EQ(scenario.live(), 0U);
    }
    EXPECT_EQ(scenario.primary.messages(), 1U);
    LetReportsGo(scenario, ReportWay::kHost);
    EXPECT_TRUE(EndsAll(scenario));
    EXPECT_EQ(TimesRelayed(scenario, recipient), 1U);
    EXPECT_EQ(scenario.ledger.times_told(refused, "failed"), 1U);
    EXPECT_EQ(scenario.ledger.duplicates(), 0U);
  }
}

TEST(Relayed, ItIsToldOnceWheneverTheCrashComes) {
  for (uint64_t seed = 1; seed <= 12; ++seed) {
    Scenario::Options options = Asked();
    options.seed = seed;
    options.shards = 1 + seed % 2;
    Scenario scenario(options);
    SendManyAsking(scenario, 5);
    scenario.RunFor(absl::Milliseconds(static_cast<int64_t>(seed * seed)));
    scenario.Crash(CrashMode::kRandom);
    scenario.Restart();
    EXPECT_TRUE(EndsAll(scenario));
    for (size_t number = 0; number < 5; ++number) {
      const std::string& recipient = scenario.ledger.message(number).recipients[0];
      EXPECT_EQ(TimesRelayed(scenario, recipient), 1U) << "seed " << seed;
    }
  }
}

// Whatever the operator orders, it was delivered: neither sent again, nor given up.
TEST(Relayed, NoOrderSendsItAgainOrCallsItAFailure) {
  Scenario::Options options = Asked(ReportWay::kOff);
  options.retry += "expire_after = \"1h\"\n";
  Scenario scenario(options);
  const std::string recipient = SendAsking(scenario);
  EXPECT_TRUE(scenario.RunUntil([&] { return scenario.pending() == 1; }, absl::Minutes(1)));
  for (const RuleVerb verb :
       {RuleVerb::kReset, RuleVerb::kExpire, RuleVerb::kHold, RuleVerb::kRelease}) {
    EXPECT_TRUE(scenario.daemon.ApplyRule(verb).has_value());
    scenario.RunFor(absl::Minutes(2));
    EXPECT_EQ(scenario.pending(), 1U);
    EXPECT_EQ(scenario.live(), 0U);
  }
  scenario.RunFor(absl::Hours(3));  // nor is it ever too old
  EXPECT_EQ(scenario.daemon.route_counters().failed, 0U);
  EXPECT_EQ(scenario.primary.messages(), 1U);
  LetReportsGo(scenario, ReportWay::kHost);
  EXPECT_TRUE(EndsAll(scenario));
  EXPECT_EQ(TimesRelayed(scenario, recipient), 1U);
}

TEST(Relayed, AnOrderToDeleteEndsTheDebtAndNobodyIsTold) {
  Scenario scenario(Asked(ReportWay::kOff));
  scenario.ledger.OnDeleted(SendAsking(scenario));
  EXPECT_TRUE(scenario.RunUntil([&] { return scenario.pending() == 1; }, absl::Minutes(1)));
  EXPECT_TRUE(scenario.daemon.ApplyRule(RuleVerb::kDelete).has_value());
  EXPECT_TRUE(EndsAll(scenario));
  LetReportsGo(scenario, ReportWay::kHost);
  scenario.RunFor(absl::Minutes(1));
  EXPECT_EQ(scenario.ledger.reports(), 0U);
}

// A large message's head is read first, then its header section; the order comes between the two.
TEST(Relayed, WhatIsDeletedWhileItsReportIsBegunIsToldOfByNobody) {
  const uint64_t settled = MarkCount("settled_before_its_report");
  std::string content = "Subject: x\r\n";
  while (content.size() < 300'000) {
    content += fmt::format("X-Filler: {}\r\n", std::string(900, 'x'));
  }
  for (int delay = 10; delay < 60 && MarkCount("settled_before_its_report") == settled; ++delay) {
    Scenario scenario(Asked());
    const std::string recipient = scenario.Recipient("asks");
    EXPECT_EQ(scenario.Send({"a@sender.example", {recipient}, content}), 250);
    EXPECT_TRUE(scenario.RunUntil([&] { return scenario.pending() == 1; }, absl::Minutes(1)));
    scenario.RunFor(DebtList::kQuietFor + absl::Microseconds(5) * delay);
    EXPECT_TRUE(scenario.daemon.ApplyRule(RuleVerb::kDelete).has_value());
    EXPECT_TRUE(EndsAll(scenario));
    scenario.RunFor(absl::Seconds(5));
    EXPECT_EQ(scenario.ledger.times_told(recipient, "failed"), 0U);
    if (TimesRelayed(scenario, recipient) == 0) {
      scenario.ledger.OnDeleted(recipient);
    }
  }
  EXPECT_GT(MarkCount("settled_before_its_report"), settled);
}

// ---- budgets ----

TEST(Relayed, ASenderIsToldOfManySlowlyAndNoneIsLost) {
  Scenario scenario(Asked());
  for (int number = 0; number < 150; ++number) {
    scenario.client.Enqueue(
        {"many@sender.example", {scenario.Recipient("asks")}, std::string(kAskedContent)});
  }
  ASSERT_TRUE(scenario.RunUntil([&] { return scenario.client.done(); }, absl::Minutes(10)));
  scenario.RunFor(absl::Seconds(20));
  EXPECT_GE(scenario.ledger.reports(), 100U);
  EXPECT_LE(scenario.ledger.reports(), 110U);
  EXPECT_EQ(scenario.live(), 0U);
  scenario.Crash(CrashMode::kNothingUnsynced);
  scenario.Restart();
  EXPECT_TRUE(EndsAll(scenario, absl::Minutes(10)));
  EXPECT_EQ(scenario.ledger.reports(), 150U);
}

// What was delivered can wait: a failure is told before it, and expiry does not wait for it, also
// when both were found by a start.
TEST(Relayed, FailuresAreToldFirstAndExpiryDoesNotWait) {
  Scenario::Options options = Asked(ReportWay::kOff);
  options.retry += "expire_after = \"1h\"\n";
  Scenario scenario(options);
  SendManyAsking(scenario, 2'100);
  EXPECT_TRUE(scenario.RunUntil([&] { return scenario.pending() == 2'100; }, absl::Minutes(10)));
  scenario.Crash(CrashMode::kNothingUnsynced);
  scenario.Restart();
  scenario.RunFor(absl::Seconds(1));
  EXPECT_EQ(scenario.pending(), 2'100U);
  scenario.PrimaryDown();
  const std::string given_up = scenario.SendOne();
  const uint64_t waits = MarkCount("expiry_waits_for_reports");
  EXPECT_TRUE(scenario.RunUntil([&] { return scenario.live() == 0; }, absl::Hours(2)));
  scenario.ledger.OnRejected(given_up);
  EXPECT_EQ(MarkCount("expiry_waits_for_reports"), waits);
  LetReportsGo(scenario, ReportWay::kHost);
  scenario.RunFor(absl::Seconds(5));
  EXPECT_EQ(scenario.ledger.times_told(given_up, "failed"), 1U);
  EXPECT_GT(scenario.pending(), 900U);
  EXPECT_TRUE(EndsAll(scenario, absl::Minutes(10)));
}

}  // namespace
}  // namespace backstay
