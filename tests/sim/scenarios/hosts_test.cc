// tests/sim/scenarios/hosts_test.cc -- a list of two hosts, and one of them answers and takes
// nothing.
#include <fmt/format.h>

#include "core/base/mark.h"
#include "tests/sim/scenarios/scenario.h"

namespace backstay {
namespace {

constexpr uint32_t kAlways = 1'000'000;

// The host of reports stands behind the primary: in the list, or as the next MX of the domain.
class TwoHosts : public Scenario {
 public:
  explicit TwoHosts(StoryDomain::Way way = StoryDomain::Way::kAddresses, size_t shards = 1)
      : Scenario(OptionsFor(way, shards)), second(smart_host) {
    second.Open();
    if (way == StoryDomain::Way::kMx) {
      zone.AddAddress("second.sim.example", std::string(kReportHost));
      for (const char* domain : {"d0.example", "d1.example"}) {
        zone.AddMx(domain, 15, "second.sim.example");
      }
      Restart();
      return;
    }
    std::string list = daemon.config();
    const std::string first = primary.address().ToString();
    for (size_t at = list.find(first); at != std::string::npos; at = list.find(first, at + 1)) {
      list.insert(at + first.size(), "\", \"" + second.address().ToString());
    }
    Restart();
    EXPECT_TRUE(daemon.Reload(list).ok());
  }

  SimPrimary& second;

 private:
  static Options OptionsFor(StoryDomain::Way way, size_t shards) {
    Options options;
    options.way = way;
    options.shards = shards;
    options.pipelined = true;
    options.start = false;
    return options;
  }
};

PrimaryManners Full() {
  PrimaryManners manners;
  manners.mail_4xx = kAlways;
  return manners;
}

TEST(HostsScenario, AHostThatPutsAllMailOffLeavesItToTheNext) {
  for (const StoryDomain::Way way : {StoryDomain::Way::kAddresses, StoryDomain::Way::kMx}) {
    for (const size_t shards : {1, 2}) {
      TwoHosts scenario(way, shards);
      scenario.primary.set_manners(Full());
      scenario.SendMany(40);
      scenario.RunFor(absl::Minutes(1));
      EXPECT_GE(scenario.second.messages(), 25U);  // some were under way to the first
      scenario.SendMany(20);
      EXPECT_TRUE(
          scenario.RunUntil([&] { return scenario.second.messages() >= 40; }, absl::Seconds(20)));
      scenario.primary.set_manners({});
      EXPECT_TRUE(scenario.Drain(absl::Minutes(25)));
    }
  }
}

TEST(HostsScenario, AHostThatRefusesContentForNowDoes) {
  TwoHosts scenario;
  PrimaryManners manners;
  manners.content_4xx = kAlways;
  scenario.primary.set_manners(manners);
  scenario.SendMany(40);
  scenario.RunFor(absl::Minutes(1));
  EXPECT_GE(scenario.second.messages(), 25U);
  scenario.primary.set_manners({});
  EXPECT_TRUE(scenario.Drain(absl::Minutes(25)));
}

// It greets, and ends each connection at the first recipient.
TEST(HostsScenario, AHostThatBreaksEachConnectionDoes) {
  TwoHosts scenario;
  for (int number = 0; number < 30; ++number) {
    scenario.primary.SetPoison(fmt::format("many{}@d0.example", number));
  }
  scenario.SendMany(30);
  EXPECT_TRUE(scenario.Drain(absl::Minutes(4)));
  EXPECT_EQ(scenario.second.messages(), 30U);
  EXPECT_LE(scenario.primary.gave_up(), 8U);
}

// A probe of it that answers does not bring mail back to it, and mail is not sent to and fro.
TEST(HostsScenario, WhereNeitherTakesAnythingMailStays) {
  TwoHosts scenario;
  scenario.primary.set_manners(Full());
  scenario.second.set_manners(Full());
  const uint64_t passed_over = MarkCount("host_passed_over");
  scenario.SendMany(60);
  scenario.RunFor(absl::Minutes(4));
  EXPECT_EQ(MarkCount("host_passed_over"), passed_over + 1);
  scenario.RunFor(absl::Hours(2));
  EXPECT_LE(MarkCount("host_passed_over"), passed_over + 15);
  scenario.primary.set_manners({});
  scenario.second.set_manners({});
  EXPECT_TRUE(scenario.Drain(absl::Hours(26)));
}

// 4xx of single recipients says nothing of the host.
TEST(HostsScenario, RecipientsThatAreDeferredDoNotChangeTheHost) {
  TwoHosts scenario;
  scenario.PrimaryBusy(true);
  scenario.SendMany(30);
  scenario.RunFor(absl::Minutes(9));
  EXPECT_EQ(scenario.second.connections_accepted(), 0U);
  scenario.PrimaryBusy(false);
  EXPECT_TRUE(scenario.Drain(absl::Minutes(12)));
  EXPECT_EQ(scenario.primary.messages(), 30U);
}

TEST(HostsScenario, TheFirstHasItsMailAgainWhenItTakesSome) {
  TwoHosts scenario;
  scenario.primary.set_manners(Full());
  scenario.SendMany(20);
  scenario.RunFor(absl::Minutes(1));
  scenario.primary.set_manners({});
  EXPECT_TRUE(scenario.Drain(absl::Minutes(25)));
  scenario.RunFor(absl::Minutes(6));
  const uint64_t before = scenario.primary.messages();
  scenario.SendMany(10);
  EXPECT_TRUE(scenario.Drain(absl::Seconds(10)));
  EXPECT_EQ(scenario.primary.messages(), before + 10);
}

// The other one is not there at all: mail goes on to be offered to the first.
TEST(HostsScenario, AHostThatIsAwayIsNoHostToGoTo) {
  TwoHosts scenario;
  scenario.second.Close();
  scenario.primary.set_manners(Full());
  scenario.SendMany(20);
  scenario.RunFor(absl::Minutes(1));
  scenario.primary.set_manners({});
  EXPECT_TRUE(scenario.Drain(absl::Minutes(12)));
  EXPECT_EQ(scenario.primary.messages(), 20U);
}

}  // namespace
}  // namespace backstay
