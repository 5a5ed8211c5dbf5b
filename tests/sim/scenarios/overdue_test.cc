// tests/sim/scenarios/overdue_test.cc -- mail whose time is over when its primary comes back.
#include <gtest/gtest.h>

#include <string>

#include "tests/sim/scenarios/scenario.h"

namespace backstay {
namespace {

// More than senders may be told of at once, so that some of it is still there when its time is
// over.
class OverdueScenario : public testing::Test {
 protected:
  static Scenario::Options Options() {
    Scenario::Options options;
    options.retry = "expire_after = \"1h\"\n";
    options.reports = ReportWay::kHost;
    options.pipelined = true;
    return options;
  }
  void Outlast() {
    scenario_.PrimaryDown();
    for (int i = 0; i < 2600; ++i) {
      scenario_.client.Enqueue({"s" + std::to_string(i) + "@sender.example",
                                {scenario_.Recipient("many")},
                                "Subject: m\r\n\r\n"});
    }
    ASSERT_TRUE(scenario_.RunUntil([&] { return scenario_.client.done(); }, absl::Minutes(50)));
    ASSERT_TRUE(scenario_.RunUntil([&] { return Failed() > 0; }, absl::Hours(2)));
    scenario_.RunFor(absl::Seconds(1));
    ASSERT_GT(scenario_.live(), 100U);
  }
  uint64_t Failed() const { return scenario_.daemon.route_counters().failed; }
  // All that is left goes out, and whoever was given up was told.
  void ExpectTheRestDelivered(uint64_t failed) {
    EXPECT_TRUE(scenario_.RunUntil(
        [&] { return scenario_.live() == 0 && scenario_.pending() == 0; }, absl::Hours(2)));
    EXPECT_EQ(Failed(), failed);
    EXPECT_EQ(scenario_.primary.messages(), 2600 - failed);
    TellTheLedger();
  }
  // Who was given up is not missing.
  void TellTheLedger() {
    for (size_t number = 0; number < scenario_.ledger.offered(); ++number) {
      const std::string& recipient = scenario_.ledger.message(number).recipients[0];
      if (scenario_.ledger.times_delivered(recipient) == 0) {
        scenario_.ledger.OnRejected(recipient);
      }
    }
  }

  Scenario scenario_{Options()};
};

// What failed before says nothing of a primary that takes it now, however slowly.
TEST_F(OverdueScenario, IsGivenUpNoMoreOnceThePrimaryIsBack) {
  Outlast();
  PrimaryManners slow;
  slow.slow = 1'000'000;
  slow.slow_max = absl::Seconds(20);
  scenario_.primary.set_manners(slow);
  scenario_.PrimaryUp();
  scenario_.RunFor(absl::Seconds(5));
  ExpectTheRestDelivered(Failed());
}

// Who greylists the first five that come has not seen the others.
TEST_F(OverdueScenario, IsNotGivenUpForCanariesThatHaveToComeAgain) {
  Outlast();
  scenario_.PrimaryBusy(true);
  scenario_.PrimaryUp();
  scenario_.RunFor(absl::Seconds(5));
  const uint64_t failed = Failed();
  scenario_.RunFor(absl::Minutes(10));
  scenario_.PrimaryBusy(false);
  ExpectTheRestDelivered(failed);
}

// But a primary that takes nothing for hours has seen enough.
TEST_F(OverdueScenario, IsGivenUpWhenCanariesAreDeferredForHours) {
  Outlast();
  scenario_.PrimaryBusy(true);
  scenario_.PrimaryUp();
  EXPECT_TRUE(scenario_.RunUntil([&] { return scenario_.live() == 0; }, absl::Hours(4)));
  EXPECT_EQ(Failed(), 2600U);
  EXPECT_EQ(scenario_.primary.messages(), 0U);
  TellTheLedger();
}

}  // namespace
}  // namespace backstay
