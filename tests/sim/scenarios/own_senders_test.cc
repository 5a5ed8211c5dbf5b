// tests/sim/scenarios/own_senders_test.cc -- senders of ours: their reports go to the same primary.
#include <string>

#include "tests/sim/scenarios/scenario.h"

namespace backstay {
namespace {

// Row 68. One writes to himself, one to a colleague; the primary knows none of them.
TEST(OwnSenders, AReportThatIsRefusedTooIsDiscardedAfterOneTry) {
  for (const bool is_to_himself : {true, false}) {
    Scenario::Options options;
    options.retry = "bounce_after = \"0\"\n";
    options.reports = ReportWay::kHost;
    Scenario scenario(options);
    scenario.ledger.OnUntellable("d0.example");
    scenario.primary.SetEmptied(!is_to_himself);
    const std::string recipient = scenario.Recipient("gone");
    const std::string sender = is_to_himself ? recipient : "boss@d0.example";
    ASSERT_EQ(scenario.Send({sender, {recipient}, "Subject: x\r\n\r\n"}), 250);
    scenario.RunFor(absl::Minutes(1));
    EXPECT_EQ(scenario.live() + scenario.pending(), 0U);
    scenario.RunFor(absl::Hours(2));
    const auto& attempts = scenario.primary.attempts();
    ASSERT_EQ(attempts.size(), 2U) << is_to_himself;
    EXPECT_EQ(attempts[0].recipient, recipient);
    EXPECT_EQ(attempts[1].recipient, sender);
    EXPECT_EQ(attempts[1].code, 550);
    EXPECT_EQ(scenario.smart_host.connections_accepted(), 0U);
    const DomainAccount account = scenario.daemon.account();
    EXPECT_EQ(account.accepted, 1U);
    EXPECT_EQ(account.generated, 1U);
    EXPECT_EQ(account.bounced, 1U);
    EXPECT_EQ(account.discarded, 1U);
    EXPECT_EQ(account.taken(), account.ended());
    if (!is_to_himself) {
      scenario.ledger.OnRejected(recipient);
    }
  }
}

// His report comes to him as any other mail does, and only once.
TEST(OwnSenders, AReportThatIsTakenIsToldOnce) {
  Scenario::Options options;
  options.retry = "bounce_after = \"0\"\n";
  options.reports = ReportWay::kHost;
  Scenario scenario(options);
  const std::string recipient = scenario.Recipient("gone");
  ASSERT_EQ(scenario.Send({"boss@d0.example", {recipient}, "Subject: x\r\n\r\n"}), 250);
  scenario.RunFor(absl::Hours(2));
  EXPECT_EQ(scenario.live() + scenario.pending(), 0U);
  EXPECT_EQ(scenario.ledger.times_told(recipient, "failed"), 1U);
  EXPECT_EQ(scenario.ledger.reports(), 1U);
  EXPECT_EQ(scenario.primary.messages(), 1U);
  EXPECT_EQ(scenario.smart_host.connections_accepted(), 0U);
}

}  // namespace
}  // namespace backstay
