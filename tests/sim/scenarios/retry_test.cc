// tests/sim/scenarios/retry_test.cc -- the schedule on virtual time, and a primary that goes and
// comes.
#include "tests/sim/scenarios/scenario.h"

namespace backstay {
namespace {

Scenario::Options SmarterMail() {
  Scenario::Options options;
  options.retry = "profile = \"smartermail\"\n";
  return options;
}

// Attempts of a recipient, in seconds after the first.
std::vector<double> AttemptMinutes(const Scenario& scenario, const std::string& recipient) {
  std::vector<double> minutes;
  std::optional<Instant> first;
  for (const SimPrimary::Attempt& attempt : scenario.primary.attempts()) {
    if (attempt.recipient == recipient) {
      first = first.value_or(attempt.at);
      minutes.push_back(absl::ToDoubleMinutes(attempt.at - *first));
    }
  }
  return minutes;
}

TEST(RetryScenario, OwnDeferralsFollowTheSmarterMailScheduleAndEndInADsn) {
  Scenario scenario(SmarterMail());
  const std::string recipient = scenario.Recipient("soft");
  scenario.primary.SetSoft(recipient);
  EXPECT_EQ(scenario.Send({"a@sender.example", {recipient}, "Subject: soft\r\n\r\n"}), 250);
  scenario.RunFor(absl::Minutes(1469));
  EXPECT_EQ(scenario.pending(), 0U);
  EXPECT_EQ(scenario.live(), 1U);
  scenario.RunFor(absl::Minutes(4));
  const std::vector<double> minutes = AttemptMinutes(scenario, recipient);
  ASSERT_EQ(minutes.size(), 5U);
  const double expected[] = {0, 10, 20, 30, 1470};
  for (size_t index = 0; index < minutes.size(); ++index) {
    EXPECT_NEAR(minutes[index], expected[index], 0.1) << index;
  }
  EXPECT_EQ(scenario.pending(), 1U);
  EXPECT_EQ(scenario.live(), 0U);
  scenario.ledger.OnRejected(recipient);  // for the ledger: given up by the schedule
  scenario.RunFor(absl::Hours(48));
  EXPECT_EQ(AttemptMinutes(scenario, recipient).size(), 5U);
}

TEST(RetryScenario, DeferralsSurviveARestart) {
  Scenario scenario(SmarterMail());
  const std::string recipient = scenario.Recipient("soft");
  scenario.primary.SetSoft(recipient);
  EXPECT_EQ(scenario.Send({"a@sender.example", {recipient}, "Subject: soft\r\n\r\n"}), 250);
  scenario.RunFor(absl::Minutes(12));
  EXPECT_TRUE(scenario.daemon.Stop());
  scenario.Restart();
  scenario.RunFor(absl::Minutes(5));
  EXPECT_EQ(AttemptMinutes(scenario, recipient).size(), 2U);  // not tried at start: due at 20
  scenario.RunFor(absl::Minutes(5));
  EXPECT_EQ(AttemptMinutes(scenario, recipient).size(), 3U);
  scenario.primary.ClearSoft();
  EXPECT_TRUE(scenario.Drain(absl::Minutes(15)));
}

TEST(RetryScenario, OutageIsChargedWithoutSocketsAndEndsAtTheLastRetry) {
  Scenario scenario(SmarterMail());
  scenario.PrimaryDown();
  const std::string recipient = scenario.SendOne();
  scenario.RunFor(absl::Minutes(1469));
  EXPECT_EQ(scenario.live(), 1U);
  EXPECT_EQ(scenario.pending(), 0U);
  EXPECT_TRUE(scenario.RunUntil([&] { return scenario.pending() == 1; }, absl::Minutes(5)));
  EXPECT_EQ(scenario.live(), 0U);
  EXPECT_TRUE(scenario.primary.attempts().empty());
  scenario.ledger.OnRejected(recipient);  // for the ledger: given up by the schedule
}

// At the end of its time the destination has not been asked since: nothing is given up on old news.
TEST(RetryScenario, GivingUpNeedsARealFailureAtOrAfterTheEnd) {
  Scenario scenario(SmarterMail());
  scenario.PrimaryDown();
  scenario.SendOne();
  scenario.RunFor(absl::Minutes(1469));
  scenario.PrimaryUp();  // the probe of the last minute answers
  EXPECT_TRUE(scenario.Drain(absl::Minutes(1)));
  EXPECT_EQ(scenario.pending(), 0U);
  EXPECT_EQ(scenario.primary.messages(), 1U);
}

// Ten minutes after each try that recovery brought, until the schedule has its turn again.
TEST(RetryScenario, APrimaryThatIsBusyWhenItReturnsIsAskedAgainSoon) {
  Scenario scenario(SmarterMail());
  scenario.PrimaryDown();
  scenario.SendMany(3);
  scenario.RunFor(absl::Minutes(60));
  scenario.PrimaryBusy(true);
  scenario.PrimaryUp();
  scenario.RunFor(absl::Minutes(25));
  EXPECT_EQ(scenario.live(), 3U);
  scenario.PrimaryBusy(false);
  EXPECT_TRUE(scenario.Drain(absl::Minutes(11)));
}

// All of them have their last try at the end, one after the other: what the first is told says
// nothing of the others.
TEST(RetryScenario, ARefusalToWaitLongerIsForTheOneThatWasTried) {
  Scenario::Options options;
  options.retry = "expire_after = \"25h\"\nschedule = [\"24h\"]\n";
  options.connections = 1;
  Scenario scenario(options);
  scenario.PrimaryBusy(true);
  const std::string first = scenario.SendOne("soft");
  scenario.SendMany(20);
  scenario.RunFor(absl::Hours(24) + absl::Minutes(30));
  scenario.PrimaryBusy(false);
  scenario.primary.SetSoft(first);
  PrimaryManners manners;
  manners.slow = 1'000'000;
  manners.slow_max = absl::Seconds(20);
  scenario.primary.set_manners(manners);
  EXPECT_TRUE(scenario.RunUntil([&] { return scenario.live() == 0; }, absl::Hours(3)));
  EXPECT_EQ(scenario.pending(), 1U);
  EXPECT_EQ(scenario.primary.messages(), 20U);
  scenario.ledger.OnRejected(first);  // for the ledger: given up by the schedule
}

// The spool clock runs only while the daemon does.
TEST(RetryScenario, DaysOfAStoppedDaemonExpireNothing) {
  Scenario scenario(SmarterMail());
  scenario.PrimaryDown();
  scenario.SendOne();
  EXPECT_TRUE(scenario.daemon.Stop());
  scenario.RunFor(absl::Hours(24 * 30));
  scenario.Restart();
  scenario.RunFor(absl::Hours(23));
  EXPECT_EQ(scenario.live(), 1U);
  scenario.PrimaryUp();
  EXPECT_TRUE(scenario.Drain(absl::Minutes(1)));
}

TEST(RetryScenario, WallClockStepsExpireNothing) {
  Scenario scenario(SmarterMail());
  scenario.PrimaryDown();
  scenario.SendOne();
  scenario.world.StepWallClock(absl::Hours(24 * 365));
  scenario.RunFor(absl::Minutes(10));
  scenario.world.StepWallClock(-absl::Hours(2 * 24 * 365));
  scenario.RunFor(absl::Minutes(10));
  EXPECT_EQ(scenario.live(), 1U);
  scenario.PrimaryUp();
  EXPECT_TRUE(scenario.Drain(absl::Minutes(1)));
}

TEST(RetryScenario, EverythingIsEligibleAtOnceWhenThePrimaryReturns) {
  Scenario::Options options;
  options.pipelined = true;
  Scenario scenario(options);
  scenario.PrimaryDown();
  scenario.SendMany(300);
  scenario.RunFor(absl::Minutes(125));  // nothing is due for 24 hours by the schedule
  scenario.PrimaryUp();
  // A probe every 15 s at most by now, then the mail.
  EXPECT_TRUE(scenario.Drain(absl::Seconds(25)));
  EXPECT_EQ(scenario.primary.messages(), 300U);
}

TEST(RetryScenario, OwnDeferralsAreTriedAgainWhenThePrimaryReturns) {
  Scenario scenario;
  const std::string recipient = scenario.Recipient("soft");
  scenario.primary.SetSoft(recipient);
  EXPECT_EQ(scenario.Send({"a@sender.example", {recipient}, "Subject: soft\r\n\r\n"}), 250);
  scenario.RunFor(absl::Minutes(31));
  scenario.primary.ClearSoft();
  scenario.PrimaryDown();
  scenario.SendOne();  // notices the outage
  scenario.RunFor(absl::Minutes(1));
  scenario.PrimaryUp();
  EXPECT_TRUE(scenario.Drain(absl::Seconds(10)));
}

// The attempt that the return has brought meets a broken connection: it is owed all the same.
TEST(RetryScenario, ABrokenConnectionDoesNotEndWhatAReturnOwes) {
  Scenario scenario;
  const std::string recipient = scenario.Recipient("soft");
  scenario.primary.SetSoft(recipient);
  EXPECT_EQ(scenario.Send({"a@sender.example", {recipient}, "Subject: soft\r\n\r\n"}), 250);
  scenario.RunFor(absl::Minutes(31));  // its next time comes in a day
  scenario.primary.ClearSoft();
  scenario.PrimaryDown();
  scenario.SendOne();
  scenario.RunFor(absl::Minutes(1));
  scenario.primary.SetPoison(recipient);
  const size_t before = scenario.primary.gave_up();
  scenario.PrimaryUp();
  ASSERT_TRUE(
      scenario.RunUntil([&] { return scenario.primary.gave_up() > before; }, absl::Minutes(1)));
  scenario.primary.ClearPoison();
  EXPECT_TRUE(scenario.Drain(absl::Minutes(1)));
}

TEST(RetryScenario, ReturnIsNoticedWithinSeconds) {
  Scenario scenario;
  scenario.PrimaryDown();
  scenario.SendOne();
  scenario.RunFor(absl::Minutes(5));
  scenario.PrimaryUp();
  EXPECT_TRUE(scenario.Drain(absl::Milliseconds(1500)));
}

// Its reply to EHLO says it; what it makes of QUIT is no matter.
TEST(RetryScenario, AReturnIsNoticedBeforeTheProbeHasTakenItsLeave) {
  Scenario scenario;
  scenario.PrimaryDown();
  scenario.SendOne();
  scenario.RunFor(absl::Minutes(5));
  scenario.primary.SetSilentAtQuit(true);
  scenario.PrimaryUp();
  EXPECT_TRUE(scenario.Drain(absl::Milliseconds(1500)));
}

TEST(RetryScenario, WhileDownThereIsOneProbeAtATimeWhateverIsQueued) {
  Scenario::Options options;
  options.shards = 2;
  options.pipelined = true;
  Scenario scenario(options);
  PrimaryManners manners;
  manners.cut_at_greeting = 1'000'000;  // accepts and closes: it can be counted there
  scenario.primary.set_manners(manners);
  for (int count = 0; count < 10; ++count) {
    scenario.SendMany(20);  // a connection each: both shards have mail
  }
  scenario.RunFor(absl::Seconds(10));
  scenario.primary.ResetCounts();
  scenario.RunFor(absl::Minutes(2));
  EXPECT_LE(scenario.primary.connections_max(), 1U);
  EXPECT_GE(scenario.primary.connections_accepted(), 80U);
  EXPECT_LE(scenario.primary.connections_accepted(), 140U);
  scenario.primary.set_manners({});
  EXPECT_TRUE(scenario.Drain(absl::Seconds(30)));
}

TEST(RetryScenario, ReturningPrimaryIsNotTrampled) {
  Scenario::Options options;
  options.pipelined = true;
  Scenario scenario(options);
  scenario.PrimaryDown();
  scenario.SendMany(500);
  scenario.primary.ResetCounts();
  scenario.PrimaryUp();
  EXPECT_TRUE(
      scenario.RunUntil([&] { return scenario.primary.messages() >= 1; }, absl::Seconds(10)));
  EXPECT_LE(scenario.primary.connections_max(), 3U);  // the probe's end and the first ones
  EXPECT_TRUE(scenario.Drain(absl::Minutes(1)));
  EXPECT_LE(scenario.primary.connections_max(), 20U);
}

// Its banner waits for a resolver that is away, say. Each of its connections is worth the wait.
TEST(RetryScenario, APrimaryThatGreetsLateIsFoundAllTheSame) {
  Scenario scenario;
  PrimaryManners manners;
  manners.greeting_after = absl::Seconds(100);
  scenario.primary.set_manners(manners);
  scenario.PrimaryDown();
  scenario.SendMany(5);
  scenario.RunFor(absl::Minutes(1));
  scenario.primary.ResetCounts();
  scenario.PrimaryUp();
  scenario.RunFor(absl::Seconds(95));
  EXPECT_GE(scenario.primary.connections(), 5U);
  EXPECT_LE(scenario.primary.connections(), 8U);
  EXPECT_TRUE(scenario.Drain(absl::Minutes(4)));
}

TEST(RetryScenario, SilentHostIsDownToo) {
  Scenario scenario;
  scenario.primary_host.SetDown(true);
  scenario.SendMany(5);
  scenario.RunFor(absl::Minutes(3));
  EXPECT_EQ(scenario.live(), 5U);
  scenario.primary_host.SetDown(false);
  EXPECT_TRUE(scenario.Drain(absl::Seconds(10)));
}

}  // namespace
}  // namespace backstay
