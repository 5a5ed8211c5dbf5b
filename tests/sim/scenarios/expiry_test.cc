// tests/sim/scenarios/expiry_test.cc -- mail whose time is over, or nearly.
#include <algorithm>
#include <string>
#include <vector>

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

// Senders are told of what is given up.
Scenario::Options Reported(std::string retry) {
  Scenario::Options options;
  options.retry = std::move(retry);
  options.reports = ReportWay::kHost;
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
  scenario.RunFor(absl::Hours(3));
  EXPECT_EQ(scenario.primary.messages(), 5U);
  EXPECT_EQ(scenario.live(), 50U);
  const auto released = scenario.daemon.ApplyRule(RuleVerb::kRelease, {"d0.example"});
  ASSERT_TRUE(released.has_value());
  EXPECT_EQ(released->recipients, 50U);
  EXPECT_TRUE(scenario.Drain(absl::Minutes(5)));
  EXPECT_EQ(scenario.primary.messages(), 55U);
}

std::string With(const Scenario& scenario, const std::string& retry) {
  std::string config = scenario.daemon.config();
  const size_t at = config.find("expire_after = ");
  return config.replace(at, config.find('\n', at) - at, retry);
}

// "5h" for "5d", and all that waits for a primary that is down since yesterday would bounce.
TEST(ExpiryScenario, AReloadThatWouldGiveMailUpIsRefusedUnlessItIsForced) {
  Scenario::Options options;
  options.shards = 2;
  options.retry = "expire_after = \"5d\"\n";
  Scenario scenario(options);
  scenario.PrimaryDown();
  scenario.SendMany(30);
  scenario.RunFor(absl::Hours(10));
  for (const char* retry : {"expire_after = \"5h\"", "expire_after = \"5d\"\nmax_retries = 3",
                            "expire_after = \"9h\"\nschedule = [\"1h\"]"}) {
    const absl::Status refused = scenario.daemon.Reload(With(scenario, retry));
    ASSERT_FALSE(refused.ok()) << retry;
    EXPECT_NE(std::string(refused.message()).find("give up 30 queued recipients"),
              std::string::npos)
        << refused;
  }
  ASSERT_TRUE(scenario.daemon.Reload(With(scenario, "expire_after = \"12h\"")).ok());
  ASSERT_TRUE(scenario.daemon.ApplyRule(RuleVerb::kHold, {"d0.example"}).has_value());
  ASSERT_TRUE(scenario.daemon.Reload(With(scenario, "expire_after = \"5h\"")).ok());
  ASSERT_TRUE(scenario.daemon.Reload(With(scenario, "expire_after = \"5d\"")).ok());
  ASSERT_TRUE(scenario.daemon.ApplyRule(RuleVerb::kRelease, {"d0.example"}).has_value());
  ASSERT_TRUE(scenario.daemon.Reload(With(scenario, "expire_after = \"5h\"")).ok());  // as new
  scenario.RunFor(absl::Hours(4));
  EXPECT_EQ(scenario.live(), 30U);
  ASSERT_FALSE(scenario.daemon.Reload(With(scenario, "expire_after = \"3h\"")).ok());
  ASSERT_TRUE(scenario.daemon.Reload(With(scenario, "expire_after = \"3h\""), true).ok());
  scenario.RunFor(absl::Minutes(10));
  EXPECT_EQ(scenario.live(), 0U);
  EXPECT_EQ(scenario.pending(), 30U);
  for (size_t number = 0; number < scenario.ledger.offered(); ++number) {
    scenario.ledger.OnRejected(scenario.ledger.message(number).recipients[0]);
  }
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
  ASSERT_TRUE(scenario.daemon.ApplyRule(RuleVerb::kRelease).has_value());
  EXPECT_TRUE(scenario.Drain(absl::Minutes(5)));
}

// Of its first domain.
std::optional<MessageRef> NthLive(const Shard& shard, int n) {
  const DomainId domain = shard.routes().domains()[0];
  std::optional<MessageRef> found;
  for (int i = 0; i < n; ++i) {
    found = shard.spool().NextLive(domain, found);
  }
  return found;
}

// A reset gives one message in the middle an age of its own.
TEST(ExpiryScenario, AMessageWithAnAgeOfItsOwnIsParkedByItself) {
  Scenario scenario(Held(1));
  scenario.PrimaryDown();
  scenario.SendMany(10);
  scenario.RunFor(absl::Minutes(60));
  Shard& shard = scenario.daemon.shard(0);
  const DomainId domain = shard.routes().domains()[0];
  const std::optional<MessageRef> third = NthLive(shard, 3);
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

void ResetFirst(Scenario& scenario) {
  Shard& shard = scenario.daemon.shard(0);
  const std::optional<MessageRef> first = NthLive(shard, 1);
  ASSERT_TRUE(first.has_value());
  const_cast<Spool&>(shard.spool()).ApplyToMessage(Rule(), *first);
}

// The log's order is that of age, but for the one at its beginning.
TEST(ExpiryScenario, AMessageWithAnAgeOfItsOwnKeepsNobodyAlive) {
  Scenario scenario(Reported("expire_after = \"1h\"\n"));
  scenario.PrimaryDown();
  scenario.SendMany(10);
  scenario.RunFor(absl::Minutes(50));
  ASSERT_NO_FATAL_FAILURE(ResetFirst(scenario));
  scenario.RunFor(absl::Minutes(20));
  EXPECT_EQ(scenario.live(), 1U);
  EXPECT_EQ(scenario.ledger.reports(), 9U);
  for (int number = 1; number < 10; ++number) {
    scenario.ledger.OnRejected("many" + std::to_string(number) + "@d0.example");
  }
  scenario.PrimaryUp();
  EXPECT_TRUE(scenario.Drain(absl::Minutes(1)));
  EXPECT_EQ(scenario.primary.messages(), 1U);
}

// Released by itself from what is held, it has its own age, too.
TEST(ExpiryScenario, WhatWasReleasedByItselfIsGivenUpInTheMidstOfWhatIsHeld) {
  Scenario scenario(Reported("expire_after = \"1h\"\n"));
  scenario.PrimaryDown();
  scenario.SendMany(10);
  ASSERT_TRUE(scenario.daemon.ApplyRule(RuleVerb::kHold, {"d0.example"}).has_value());
  Shard& shard = scenario.daemon.shard(0);
  const std::optional<MessageRef> third = NthLive(shard, 3);
  Rule release;
  release.verb = RuleVerb::kRelease;
  const_cast<Spool&>(shard.spool()).ApplyToMessage(release, *third);
  scenario.RunFor(absl::Minutes(80));
  EXPECT_EQ(scenario.live(), 9U);
  EXPECT_EQ(scenario.ledger.reports(), 1U);
  scenario.ledger.OnRejected("many2@d0.example");
  ASSERT_TRUE(scenario.daemon.ApplyRule(RuleVerb::kRelease, {"d0.example"}).has_value());
  scenario.PrimaryUp();
  EXPECT_TRUE(scenario.Drain(absl::Minutes(1)));
}

// ---- ahead of it ----

std::vector<std::string> lines;

void Capture(LogLevel, std::string_view line) {
  lines.emplace_back(line);
}

// Lines that warn of a mass expiry.
size_t Warnings() {
  return static_cast<size_t>(std::count_if(lines.begin(), lines.end(), [](const std::string& line) {
    return line.find("mass expiry ahead") != std::string::npos;
  }));
}

class AheadScenario : public testing::Test {
 protected:
  AheadScenario() {
    lines.clear();
    SetLogSink(&Capture);
  }
  ~AheadScenario() override { SetLogSink(nullptr); }
};

Scenario::Options Expiring(size_t shards) {
  Scenario::Options options;
  options.shards = shards;
  options.retry = "expire_after = \"25h\"\nschedule = [\"24h\"]\n";
  options.pipelined = true;
  return options;
}

// Busy, not down: days of that are cheaper to simulate than the probes of a primary that is down.
bool DrainByReset(Scenario& scenario) {
  scenario.PrimaryBusy(false);
  return scenario.daemon.ApplyRule(RuleVerb::kReset).has_value() && scenario.Drain(absl::Hours(1));
}

TEST_F(AheadScenario, TheOperatorIsWarnedADayAndSixHoursAhead) {
  Scenario scenario(Expiring(2));
  scenario.PrimaryBusy(true);
  for (int connection = 0; connection < 10; ++connection) {
    scenario.SendMany(15);
  }
  for (size_t shard = 0; shard < 2; ++shard) {
    ASSERT_GE(scenario.daemon.shard(shard).spool().Stats().recipients_live, 10U);
  }
  scenario.RunFor(absl::Minutes(55));
  EXPECT_EQ(Warnings(), 0U);
  scenario.RunFor(absl::Minutes(10));
  ASSERT_EQ(Warnings(), 1U);
  const auto line = std::find_if(lines.begin(), lines.end(), [](const std::string& one) {
    return one.find("mass expiry ahead") != std::string::npos;
  });
  EXPECT_NE(line->find("mail for d0.example is given up"), std::string::npos) << *line;
  EXPECT_NE(line->find("150 recipients"), std::string::npos) << *line;  // of both shards
  EXPECT_NE(line->find("backstay queue reset --domain d0.example"), std::string::npos) << *line;
  scenario.RunFor(absl::Hours(17));
  EXPECT_EQ(Warnings(), 1U);
  scenario.RunFor(absl::Hours(1));
  EXPECT_EQ(Warnings(), 2U);
  // A start says it once more, not once for each of the two.
  for (int run = 0; run < 2; ++run) {
    scenario.Crash(CrashMode::kNothingUnsynced);
    scenario.Restart();
    scenario.RunFor(absl::Minutes(10));
    EXPECT_EQ(Warnings(), 3U + run);
  }
  // What has new time is not warned of.
  ASSERT_TRUE(scenario.daemon.ApplyRule(RuleVerb::kReset, {"d0.example"}).has_value());
  scenario.RunFor(absl::Minutes(30));
  EXPECT_EQ(Warnings(), 4U);
  EXPECT_TRUE(DrainByReset(scenario));
}

TEST_F(AheadScenario, AMessageWithAnAgeOfItsOwnSilencesNothing) {
  Scenario::Options options = Expiring(1);
  options.retry = "expire_after = \"50h\"\nschedule = [\"24h\"]\n";
  Scenario scenario(options);
  scenario.PrimaryBusy(true);
  scenario.SendMany(150);
  scenario.RunFor(absl::Hours(20));
  ASSERT_NO_FATAL_FAILURE(ResetFirst(scenario));
  scenario.RunFor(absl::Hours(7));
  EXPECT_EQ(Warnings(), 1U);
  EXPECT_TRUE(DrainByReset(scenario));
}

TEST_F(AheadScenario, AFewMessagesAreNoMass) {
  Scenario scenario(Expiring(1));
  scenario.PrimaryBusy(true);
  scenario.SendMany(20);
  scenario.RunFor(absl::Hours(20));
  EXPECT_EQ(Warnings(), 0U);
  EXPECT_TRUE(DrainByReset(scenario));
}

// The oldest of much fresh mail is not the first of much that is given up.
TEST_F(AheadScenario, WhatComesDaysLaterIsNotCounted) {
  Scenario::Options options = Expiring(1);
  options.retry = "expire_after = \"50h\"\nschedule = [\"24h\"]\n";
  Scenario scenario(options);
  scenario.PrimaryBusy(true);
  scenario.SendMany(20);
  scenario.RunFor(absl::Hours(30));
  scenario.SendMany(200);
  scenario.RunFor(absl::Hours(16));
  EXPECT_EQ(Warnings(), 0U);
  EXPECT_TRUE(DrainByReset(scenario));
}

// ---- budgets ----

bool AllTold(Scenario& scenario, absl::Duration at_most) {
  return scenario.RunUntil([&] { return scenario.live() == 0 && scenario.pending() == 0; },
                           at_most);
}

TEST(BudgetScenario, AFailureIsToldOnce) {
  Scenario scenario(Reported("bounce_after = \"0\"\n"));
  const std::string recipient = scenario.SendOne("gone");
  EXPECT_TRUE(AllTold(scenario, absl::Minutes(1)));
  EXPECT_EQ(scenario.ledger.times_told(recipient, "failed"), 1U);
  EXPECT_EQ(scenario.ledger.reports(), 1U);
}

// The rest waits for its turn; other senders are told meanwhile, and a crash loses nothing.
TEST(BudgetScenario, ASenderWithManyFailuresIsToldOfThemSlowly) {
  Scenario scenario(Reported("bounce_after = \"0\"\n"));
  const uint64_t over = MarkCount("report_over_budget");
  for (int i = 0; i < 15; ++i) {
    Message message{"many@sender.example", {}, "Subject: many\r\n\r\n"};
    for (int j = 0; j < 10; ++j) {
      message.recipients = {scenario.Recipient("gone")};
      scenario.client.Enqueue(message);
    }
  }
  ASSERT_TRUE(scenario.RunUntil([&] { return scenario.client.done(); }, absl::Minutes(10)));
  scenario.RunFor(absl::Seconds(20));
  EXPECT_LE(scenario.ledger.reports(), 110U);
  EXPECT_GE(scenario.ledger.reports(), 100U);
  const std::string other = scenario.SendOne("gone");
  scenario.RunFor(absl::Seconds(5));
  EXPECT_EQ(scenario.ledger.times_told(other, "failed"), 1U);
  EXPECT_GT(scenario.pending(), 30U);
  EXPECT_GT(MarkCount("report_over_budget"), over);
  scenario.RunFor(absl::Minutes(1));
  EXPECT_LE(scenario.ledger.reports(), 125U);
  scenario.Crash(CrashMode::kNothingUnsynced);
  scenario.Restart();
  EXPECT_TRUE(AllTold(scenario, absl::Minutes(10)));
  EXPECT_EQ(scenario.ledger.reports(), 151U);
}

// Nothing more is given up than senders may be told of; the rest stays queued, and may still be
// saved.
TEST(BudgetScenario, ExpiryWaitsForReports) {
  Scenario scenario(Reported("expire_after = \"1h\"\n"));
  scenario.PrimaryDown();
  std::string content = "Subject: m\r\n\r\n";
  for (int i = 0; i < 2600; ++i) {
    scenario.client.Enqueue(
        {"s" + std::to_string(i) + "@sender.example", {scenario.Recipient("many")}, content});
  }
  ASSERT_TRUE(scenario.RunUntil([&] { return scenario.client.done(); }, absl::Minutes(50)));
  const uint64_t waits = MarkCount("expiry_waits_for_reports");
  scenario.RunUntil([&] { return scenario.pending() > 0; }, absl::Hours(2));
  scenario.RunFor(absl::Seconds(1));
  EXPECT_GT(MarkCount("expiry_waits_for_reports"), waits);
  EXPECT_GT(scenario.pending(), 500U);
  EXPECT_LE(scenario.pending(), 2010U);
  scenario.PrimaryUp();
  EXPECT_TRUE(AllTold(scenario, absl::Hours(1)));
  EXPECT_GT(scenario.primary.messages(), 300U);
  for (size_t number = 0; number < scenario.ledger.offered(); ++number) {
    const std::string& recipient = scenario.ledger.message(number).recipients[0];
    if (scenario.ledger.times_delivered(recipient) == 0) {
      scenario.ledger.OnRejected(recipient);
      EXPECT_EQ(scenario.ledger.times_told(recipient, "failed"), 1U) << recipient;
    }
  }
}

// ---- late mail ----

Scenario::Options Late(size_t shards) {
  Scenario::Options options = Reported("delay_warning = \"4h\"\n");
  options.shards = shards;
  return options;
}

TEST(LateScenario, ASenderIsToldOnceThatHisMailIsLate) {
  Scenario scenario(Late(2));
  scenario.PrimaryDown();
  std::vector<std::string> recipients;
  for (int i = 0; i < 10; ++i) {
    recipients.push_back(scenario.SendOne());
  }
  scenario.RunFor(absl::Minutes(238));
  EXPECT_EQ(scenario.ledger.reports(), 0U);
  scenario.RunFor(absl::Minutes(5));
  EXPECT_EQ(scenario.ledger.reports(), 10U);
  for (const std::string& recipient : recipients) {
    EXPECT_EQ(scenario.ledger.times_told(recipient, "delayed"), 1U);
  }
  const std::string& report = scenario.smart_host.last_content();
  EXPECT_NE(report.find("\r\nWill-Retry-Until: "), std::string::npos) << report;
  EXPECT_NE(report.find("\r\nStatus: 4.4.1\r\n"), std::string::npos) << report;
  scenario.RunFor(absl::Hours(1));
  EXPECT_EQ(scenario.ledger.reports(), 10U);
  // Nor again after a start, and what comes later has its own four hours.
  EXPECT_TRUE(scenario.daemon.Stop());
  scenario.Restart();
  scenario.SendOne();
  scenario.RunFor(absl::Hours(5));
  EXPECT_EQ(scenario.ledger.reports(), 11U);
  scenario.PrimaryUp();
  EXPECT_TRUE(AllTold(scenario, absl::Minutes(10)));
  EXPECT_EQ(scenario.primary.messages(), 11U);
}

// A crash at any moment around the reports costs one report more at most; CheckEnd of the ledger
// says how often each was told.
TEST(LateScenario, ACrashTellsASenderOnceMoreAtMost) {
  for (uint64_t seed = 1; seed <= 12; ++seed) {
    Scenario::Options options = Late(1);
    options.seed = seed;
    Scenario scenario(options);
    scenario.PrimaryDown();
    for (int i = 0; i < 3; ++i) {
      scenario.SendOne();
    }
    scenario.RunFor(absl::Hours(4) - absl::Minutes(1));
    scenario.RunUntil([&] { return scenario.ledger.reports() >= 1; }, absl::Minutes(5));
    scenario.RunFor(absl::Milliseconds(5) * static_cast<int64_t>(seed - 1));
    scenario.Crash(CrashMode::kRandom);
    scenario.Restart();
    scenario.RunFor(absl::Minutes(5));
    EXPECT_GE(scenario.ledger.reports(), 3U);
    EXPECT_LE(scenario.ledger.reports(), 6U);
    scenario.PrimaryUp();
    EXPECT_TRUE(AllTold(scenario, absl::Minutes(10)));
  }
}

TEST(LateScenario, NobodyIsToldOfMailWithoutASenderAndMailOfSeveralDomainsIsToldOfOnce) {
  Scenario scenario(Late(1));
  scenario.PrimaryDown();
  const std::string null_sender = scenario.Recipient("user");
  EXPECT_EQ(scenario.Send({"", {null_sender}, "Subject: null\r\n\r\n"}), 250);
  EXPECT_EQ(scenario.Send({"a@sender.example",
                           {"one@d1.example", "two@d0.example", "three@d0.example"},
                           "Subject: several\r\n\r\n"}),
            250);
  scenario.RunFor(absl::Hours(5));
  EXPECT_EQ(scenario.ledger.reports(), 1U);
  for (const char* recipient : {"one@d1.example", "two@d0.example", "three@d0.example"}) {
    EXPECT_EQ(scenario.ledger.times_told(recipient, "delayed"), 1U) << recipient;
  }
  EXPECT_EQ(scenario.ledger.times_told(null_sender, "delayed"), 0U);
  scenario.PrimaryUp();
  EXPECT_TRUE(AllTold(scenario, absl::Minutes(10)));
}

// What the primary said, and who it was.
TEST(LateScenario, AReportNamesThePrimaryAndItsWords) {
  Scenario scenario(Late(1));
  const std::string recipient = scenario.Recipient("soft");
  scenario.primary.SetSoft(recipient);
  EXPECT_EQ(scenario.Send({"a@sender.example", {recipient}, "Subject: soft\r\n\r\n"}), 250);
  scenario.RunFor(absl::Hours(5));
  ASSERT_EQ(scenario.ledger.times_told(recipient, "delayed"), 1U);
  const std::string& report = scenario.smart_host.last_content();
  EXPECT_NE(report.find("\r\nStatus: 4.2.1\r\nRemote-MTA: dns; [10.1.0.1]\r\n"
                        "Diagnostic-Code: smtp; 450 4.2.1 Mailbox busy\r\nLast-Attempt-Date: "),
            std::string::npos)
      << report;
  scenario.primary.ClearSoft();
  EXPECT_TRUE(AllTold(scenario, absl::Hours(25)));
}

}  // namespace
}  // namespace backstay
