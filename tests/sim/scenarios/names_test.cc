// tests/sim/scenarios/names_test.cc -- primaries by name and by MX: found, lost, found elsewhere.
#include "core/base/mark.h"
#include "tests/sim/scenarios/scenario.h"

namespace backstay {
namespace {

using Way = StoryDomain::Way;
using Mood = DnsZone::Mood;

Scenario::Options By(Way way) {
  Scenario::Options options;
  options.way = way;
  return options;
}

TEST(NamesScenario, MailGoesToAPrimaryThatIsKnownByNameOrByMx) {
  for (const Way way : {Way::kNames, Way::kMx}) {
    for (const size_t shards : {1, 3}) {
      Scenario::Options options = By(way);
      options.shards = shards;
      Scenario scenario(options);
      scenario.SendMany(10);
      EXPECT_TRUE(scenario.Drain(absl::Seconds(30)));
      EXPECT_EQ(scenario.primary.messages(), 10U);
    }
  }
}

TEST(NamesScenario, WithoutDnsMailWaitsAndGoesWhenItIsBack) {
  for (const Mood mood : {Mood::kFails, Mood::kSilent}) {
    Scenario::Options options = By(Way::kMx);
    options.start = false;
    options.retry = "expire_after = \"1h\"\n";
    Scenario scenario(options);
    scenario.zone.SetMood(mood);
    scenario.Restart();
    scenario.SendMany(5);
    scenario.RunFor(absl::Hours(30));
    EXPECT_EQ(scenario.live(), 5U) << "nobody refused it";
    EXPECT_EQ(scenario.pending(), 0U);
    EXPECT_EQ(scenario.Standing(), "dns");
    scenario.zone.SetMood(Mood::kAnswers);
    EXPECT_TRUE(scenario.Drain(absl::Minutes(6)));
    EXPECT_EQ(scenario.Standing(), "");
  }
}

TEST(NamesScenario, WhatWasFoundStaysInUseWithoutDns) {
  Scenario scenario(By(Way::kMx));
  scenario.SendOne();
  EXPECT_TRUE(scenario.Drain(absl::Seconds(30)));
  scenario.zone.SetMood(Mood::kSilent);
  scenario.RunFor(absl::Hours(50));
  scenario.SendOne();
  EXPECT_TRUE(scenario.Drain(absl::Seconds(1)));
}

TEST(NamesScenario, WhatWasFoundSurvivesARestartWithoutDns) {
  for (const Way way : {Way::kNames, Way::kMx}) {
    for (const CrashMode mode : {CrashMode::kNothingUnsynced, CrashMode::kRandom}) {
      Scenario::Options options = By(way);
      options.shards = 2;
      Scenario scenario(options);
      scenario.RunFor(absl::Seconds(30));
      scenario.zone.SetMood(Mood::kSilent);
      scenario.Crash(mode);
      scenario.Restart();
      scenario.SendMany(4);
      EXPECT_TRUE(scenario.Drain(absl::Seconds(5)));
    }
  }
}

TEST(NamesScenario, ADamagedFileIsAsGoodAsNone) {
  Scenario scenario(By(Way::kMx));
  scenario.RunFor(absl::Seconds(30));
  EXPECT_TRUE(scenario.daemon.Stop());
  Disk& disk = scenario.host.disk();
  const NodeId directory = disk.WalkDirectory("/spool/primaries", false);
  ASSERT_NE(directory, kNoNode);
  const std::vector<DirectoryEntry> files = disk.Entries(directory);
  ASSERT_EQ(files.size(), 1U) << "older ones go";
  ASSERT_TRUE(disk.FlipBit("/spool/primaries/" + files[0].name, 40 * 8));
  scenario.zone.SetMood(Mood::kSilent);
  scenario.Restart();
  EXPECT_EQ(scenario.Standing(), "dns");
  scenario.SendOne();
  scenario.zone.SetMood(Mood::kAnswers);
  EXPECT_TRUE(scenario.Drain(absl::Minutes(6)));
}

TEST(NamesScenario, APrimaryThatMovedIsFoundWhileItIsDown) {
  Scenario scenario(By(Way::kNames));
  Host& elsewhere = scenario.world.AddHost("elsewhere", *SocketAddress::Parse("10.1.0.9:0"));
  SimPrimary moved(scenario.world, elsewhere, 25, Random(7), scenario.ledger);
  moved.Open();
  scenario.SendOne();
  EXPECT_TRUE(scenario.Drain(absl::Seconds(30)));
  scenario.PrimaryDown();
  scenario.SendMany(5);
  scenario.RunFor(absl::Minutes(5));
  scenario.zone.Remove("primary0.sim.example");
  scenario.zone.AddAddress("primary0.sim.example", "10.1.0.9");
  EXPECT_TRUE(scenario.Drain(absl::Seconds(45)));
  EXPECT_EQ(moved.messages(), 5U);
}

TEST(NamesScenario, AMovingPrimaryThatIsUpIsFollowedWithinItsTimeToLive) {
  Scenario scenario(By(Way::kMx));
  Host& elsewhere = scenario.world.AddHost("elsewhere", *SocketAddress::Parse("10.1.0.9:0"));
  SimPrimary moved(scenario.world, elsewhere, 25, Random(7), scenario.ledger);
  moved.Open();
  scenario.zone.Remove("primary0.sim.example");
  scenario.zone.AddAddress("primary0.sim.example", "10.1.0.9");
  scenario.RunFor(absl::Seconds(70));
  scenario.SendOne();
  EXPECT_TRUE(scenario.Drain(absl::Seconds(10)));
  EXPECT_EQ(moved.messages(), 1U);
}

// Connections that work are no reason to go on with the old place.
TEST(NamesScenario, ABacklogGoesToTheNewPlaceFromTheMomentItIsKnown) {
  for (const bool is_held : {false, true}) {
    Scenario scenario(By(Way::kMx));
    Host& elsewhere = scenario.world.AddHost("elsewhere", *SocketAddress::Parse("10.1.0.9:0"));
    SimPrimary moved(scenario.world, elsewhere, 25, Random(7), scenario.ledger);
    moved.Open();
    scenario.PrimaryDown();
    scenario.SendMany(3000);
    PrimaryManners manners;
    manners.slow = 1'000'000;
    manners.slow_max = absl::Seconds(1);
    scenario.primary.set_manners(manners);
    scenario.PrimaryUp();
    scenario.RunFor(absl::Minutes(2));
    if (is_held) {
      scenario.zone.Remove("d0.example");
      scenario.zone.AddMx("d0.example", 20, "mx2.sim.example");
    } else {
      scenario.zone.Remove("primary0.sim.example");
      scenario.zone.AddAddress("primary0.sim.example", "10.1.0.9");
    }
    scenario.RunFor(absl::Seconds(75));
    const uint64_t before = scenario.primary.messages();
    EXPECT_GT(before, 10U);
    EXPECT_LT(before, 2500U);
    scenario.RunFor(absl::Minutes(2));
    EXPECT_EQ(scenario.primary.messages(), before);
    if (is_held) {
      EXPECT_EQ(scenario.live(), 3000U - before);
      scenario.zone.AddMx("d0.example", 10, "primary0.sim.example");
      scenario.primary.set_manners({});
    }
    EXPECT_TRUE(scenario.Drain(absl::Minutes(5)));
    EXPECT_EQ(moved.messages(), is_held ? 0U : 3000U - before);
  }
}

TEST(NamesScenario, WhenWeAreTheBestMxMailIsHeld) {
  Scenario::Options options = By(Way::kMx);
  options.retry = "expire_after = \"1h\"\n";
  Scenario scenario(options);
  scenario.zone.Remove("d0.example");
  scenario.zone.AddMx("d0.example", 20, "mx2.sim.example");
  scenario.RunFor(absl::Seconds(90));
  scenario.SendMany(3);
  scenario.RunFor(absl::Hours(30));
  EXPECT_EQ(scenario.Standing(), "best-mx");
  EXPECT_EQ(scenario.live(), 3U) << "nothing held is given up";
  EXPECT_EQ(scenario.pending(), 0U);
  scenario.zone.AddMx("d0.example", 10, "primary0.sim.example");
  EXPECT_TRUE(scenario.Drain(absl::Seconds(45)));
}

TEST(NamesScenario, ADomainThatVanishedIsHeld) {
  Scenario scenario(By(Way::kMx));
  scenario.zone.Remove("d0.example");
  scenario.RunFor(absl::Seconds(90));
  EXPECT_EQ(scenario.Standing(), "no-address");
  scenario.SendMany(3);
  scenario.RunFor(absl::Hours(30));
  EXPECT_EQ(scenario.live(), 3U);
  scenario.zone.AddMx("d0.example", 10, "primary0.sim.example");
  EXPECT_TRUE(scenario.Drain(absl::Seconds(45)));
}

TEST(NamesScenario, OutsideOfTheAllowedNetworksNothingIsConnected) {
  Scenario::Options options = By(Way::kMx);
  options.allowed_networks = "[\"10.1.0.0/16\"]";
  Scenario scenario(options);
  Host& outside = scenario.world.AddHost("outside", *SocketAddress::Parse("10.8.0.1:0"));
  SimPrimary other(scenario.world, outside, 25, Random(7), scenario.ledger);
  other.Open();
  scenario.zone.Remove("primary0.sim.example");
  scenario.zone.AddAddress("primary0.sim.example", "10.8.0.1");
  scenario.RunFor(absl::Seconds(70));
  scenario.SendOne();
  scenario.RunFor(absl::Minutes(10));
  EXPECT_EQ(scenario.Standing(), "not-allowed");
  EXPECT_EQ(other.connections_accepted(), 0U);
  scenario.zone.AddAddress("primary0.sim.example", "10.1.0.1");
  EXPECT_TRUE(scenario.Drain(absl::Seconds(45)));
  EXPECT_EQ(other.connections_accepted(), 0U);
}

// Our own address under the primary's name: mail would go round.
TEST(NamesScenario, NeverOurselves) {
  Scenario scenario(By(Way::kNames));
  scenario.zone.Remove("primary0.sim.example");
  scenario.zone.AddAddress("primary0.sim.example", "10.0.0.1");
  scenario.RunFor(absl::Seconds(70));
  const uint64_t before = scenario.daemon.counters().connections_accepted;
  scenario.SendOne();
  scenario.RunFor(absl::Minutes(1));
  EXPECT_EQ(scenario.Standing(), "self");
  EXPECT_LE(scenario.daemon.counters().connections_accepted, before + 1);
  scenario.zone.AddAddress("primary0.sim.example", "10.1.0.1");
  EXPECT_TRUE(scenario.Drain(absl::Seconds(45)));
}

// An MX that is this machine behind another name and address: it says so in its greeting.
class Disguised {
 public:
  Disguised(Scenario& scenario, uint16_t preference)
      : host_(scenario.world.AddHost("disguised", *SocketAddress::Parse("10.1.0.8:0"))),
        ourselves_(scenario.world, host_, 25, Random(7), scenario.ledger) {
    ourselves_.set_name("mx2.sim.example");
    ourselves_.Open();
    scenario.zone.AddAddress("disguised.sim.example", "10.1.0.8");
    scenario.zone.AddMx("d0.example", preference, "disguised.sim.example");
  }

 private:
  Host& host_;
  SimPrimary ourselves_;
};

// Who is a worse MX than we are hands mail on to us.
TEST(NamesScenario, OnlyHostsThatAreBetterThanWeAreTriedWhenOneGreetsAsWeDo) {
  Scenario scenario(By(Way::kMx));
  const Disguised disguised(scenario, 15);
  scenario.smart_host.Open();
  scenario.zone.AddAddress("worse.sim.example", std::string(kReportHost));
  scenario.zone.AddMx("d0.example", 17, "worse.sim.example");
  scenario.RunFor(absl::Seconds(90));
  scenario.PrimaryDown();
  scenario.SendMany(3);
  scenario.RunFor(absl::Minutes(10));
  EXPECT_EQ(scenario.live(), 3U);
  EXPECT_EQ(scenario.smart_host.messages(), 0U);
  scenario.PrimaryUp();
  EXPECT_TRUE(scenario.Drain(absl::Minutes(1)));
  EXPECT_EQ(scenario.primary.messages(), 3U);
}

// Our other name is the best MX: nobody is better, and nothing bounces.
TEST(NamesScenario, WhenTheBestMxGreetsAsWeDoMailIsHeld) {
  Scenario scenario(By(Way::kMx));
  const Disguised disguised(scenario, 5);
  scenario.RunFor(absl::Seconds(90));
  scenario.SendMany(3);
  scenario.RunFor(absl::Hours(24 * 6));
  EXPECT_EQ(scenario.primary.messages(), 0U);
  EXPECT_EQ(scenario.live(), 3U);
  EXPECT_EQ(scenario.pending(), 0U);
  scenario.zone.Remove("d0.example");
  scenario.zone.AddMx("d0.example", 10, "primary0.sim.example");
  scenario.zone.AddMx("d0.example", 20, "mx2.sim.example");
  EXPECT_TRUE(scenario.Drain(absl::Minutes(3)));
  EXPECT_EQ(scenario.primary.messages(), 3U);
}

// A list says nothing of who is better.
TEST(NamesScenario, OfAListTheOthersAreTriedWhenOneGreetsAsWeDo) {
  Scenario scenario;
  std::string config = scenario.daemon.config();
  const std::string first = scenario.primary.address().ToString();
  for (size_t at = config.find(first); at != std::string::npos;
       at = config.find(first, at + first.size())) {
    config.insert(at + first.size(), "\", \"" + scenario.smart_host.address().ToString());
  }
  ASSERT_TRUE(scenario.daemon.Reload(config).ok());
  scenario.primary.set_name("mx2.sim.example");
  scenario.smart_host.Open();
  scenario.SendMany(3);
  EXPECT_TRUE(scenario.Drain(absl::Seconds(30)));
  EXPECT_EQ(scenario.smart_host.messages(), 3U);
}

// Millions of them cost a turn no more than a thousand; and others have their look all the same.
TEST(NamesScenario, OldMailThatIsHeldIsPassedOverInPieces) {
  Scenario::Options options = By(Way::kMx);
  options.retry = "expire_after = \"1h\"\n";
  Scenario scenario(options);
  scenario.zone.Remove("d0.example");
  scenario.zone.AddMx("d0.example", 20, "mx2.sim.example");
  scenario.RunFor(absl::Seconds(90));
  EXPECT_EQ(scenario.Standing(), "best-mx");
  scenario.SendMany(2500);
  scenario.PrimaryDown();
  EXPECT_EQ(scenario.Send({"a@sender.example", {"late@d1.example"}, "Subject: late\r\n\r\n"}), 250);
  const uint64_t pieces = MarkCount("expiry_goes_on_later");
  scenario.RunFor(absl::Minutes(63));
  EXPECT_GE(MarkCount("expiry_goes_on_later"), pieces + 2);
  EXPECT_EQ(scenario.pending(), 1U);
  EXPECT_EQ(scenario.live(), 2500U);
  scenario.PrimaryUp();
  scenario.zone.AddMx("d0.example", 10, "primary0.sim.example");
  EXPECT_TRUE(scenario.Drain(absl::Minutes(5)));
  scenario.ledger.OnRejected("late@d1.example");  // for the ledger: given up by the schedule
}

// Its name is ours by mistake: mended by a reload, or by the operator's order once it has another.
TEST(NamesScenario, WhatGreetsAsWeDoIsHeldUntilAReloadOrAnOrder) {
  for (const bool by_reload : {true, false}) {
    Scenario::Options options;
    options.shards = 2;
    Scenario scenario(options);
    scenario.primary.set_name("mx2.sim.example");
    for (int connection = 0; connection < 8; ++connection) {
      scenario.SendMany(1);
    }
    scenario.RunFor(absl::Minutes(5));
    EXPECT_EQ(scenario.live(), 8U);
    EXPECT_LE(scenario.primary.connections_accepted(), 6U);
    if (by_reload) {
      std::string config = scenario.daemon.config();
      const size_t at = config.find("mx2.sim.example");
      ASSERT_NE(at, std::string::npos);
      config.replace(at, 3, "mx3");
      ASSERT_TRUE(scenario.daemon.Reload(config).ok());
    } else {
      scenario.primary.set_name("primary.example");
      ASSERT_TRUE(scenario.daemon.ApplyRule(RuleVerb::kStart, {"d0.example"}).has_value());
    }
    EXPECT_TRUE(scenario.Drain(absl::Minutes(3))) << by_reload;
  }
}

const Route& RouteAt(Scenario& scenario, size_t shard) {
  const DomainPlan* const plan = scenario.daemon.snapshot().FindDomain("d0.example");
  return *scenario.daemon.shard(shard).routes().RouteOf(*plan);
}

// Its home route held the destination when this shard said that it is down, and did not listen.
TEST(NamesScenario, AShardThatWasNotHeardSaysOnceMoreThatItCannotGetThrough) {
  int tried = 0;
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    Scenario::Options options;
    options.seed = seed;
    options.shards = 2;
    Scenario scenario(options);
    scenario.primary.set_name("mx2.sim.example");
    scenario.SendMany(1);
    scenario.RunFor(absl::Seconds(1));
    const size_t home = RouteAt(scenario, 0).is_home() ? 0 : 1;
    const bool is_home_held =
        RouteAt(scenario, home).destination().state() == DestinationState::kHeld;
    if (is_home_held) {
      scenario.PrimaryDown();
      for (int connection = 0; connection < 8; ++connection) {
        scenario.SendMany(1);
      }
      scenario.RunFor(absl::Seconds(5));
      ASSERT_EQ(RouteAt(scenario, 1 - home).destination().state(), DestinationState::kDown);
    }
    scenario.primary.set_name("primary.example");
    if (is_home_held) {
      scenario.PrimaryUp();
    }
    ASSERT_TRUE(scenario.daemon.ApplyRule(RuleVerb::kStart, {"d0.example"}).has_value());
    EXPECT_TRUE(scenario.Drain(absl::Minutes(3))) << seed;
    tried += is_home_held ? 1 : 0;
  }
  EXPECT_GT(tried, 1);
}

// What one shard met is no outage while the primary answers another one.
TEST(NamesScenario, OneShardsBadConnectionIsLookedIntoBeforeAllStop) {
  const uint64_t well = MarkCount("doubted_and_well");
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    Scenario::Options options;
    options.seed = seed;
    options.shards = 2;
    Scenario scenario(options);
    const size_t home = RouteAt(scenario, 0).is_home() ? 0 : 1;
    PrimaryManners manners;
    manners.cut_at_greeting = 1'000'000;
    scenario.primary.set_manners(manners);
    scenario.SendMany(1);
    const auto is_down = [&](size_t shard) {
      return RouteAt(scenario, shard).destination().state() == DestinationState::kDown;
    };
    EXPECT_TRUE(scenario.RunUntil([&] { return is_down(0) || is_down(1); }, absl::Seconds(5)));
    const bool is_home_down = is_down(home);
    scenario.primary.set_manners({});
    EXPECT_TRUE(scenario.Drain(absl::Seconds(20))) << seed;
    EXPECT_EQ(RouteAt(scenario, home).outages().empty(), !is_home_down) << seed;
  }
  EXPECT_GT(MarkCount("doubted_and_well"), well);
}

// The host of reports stands behind the primary in its list.
void AddSecondHost(Scenario& scenario) {
  std::string config = scenario.daemon.config();
  const std::string first = scenario.primary.address().ToString();
  for (size_t at = config.find(first); at != std::string::npos; at = config.find(first, at + 1)) {
    config.insert(at + first.size(), "\", \"" + scenario.smart_host.address().ToString());
  }
  ASSERT_TRUE(scenario.daemon.Reload(config).ok());
  scenario.smart_host.Open();
}

// The first of them takes connections and is silent; a reload is no reason to wait for it again.
TEST(NamesScenario, AReloadKeepsTheHostThatWorks) {
  Scenario scenario;
  ASSERT_NO_FATAL_FAILURE(AddSecondHost(scenario));
  PrimaryManners silent;
  silent.greeting_after = absl::Hours(10);
  scenario.primary.set_manners(silent);
  scenario.SendOne();
  EXPECT_TRUE(scenario.Drain(absl::Minutes(10)));
  for (int run = 0; run < 2; ++run) {
    scenario.RunFor(absl::Seconds(10));  // connections that do nothing end
    ASSERT_TRUE(scenario.daemon.Reload(scenario.daemon.config()).ok());
    scenario.SendOne();
    EXPECT_TRUE(scenario.Drain(absl::Seconds(10)));
  }
  EXPECT_EQ(scenario.smart_host.messages(), 3U);
}

// The first of a list has its mail again when it is back.
TEST(NamesScenario, AnotherHostHasTheMailOnlyAsLongAsItMust) {
  Scenario scenario;
  ASSERT_NO_FATAL_FAILURE(AddSecondHost(scenario));
  scenario.PrimaryDown();
  scenario.SendMany(3);
  EXPECT_TRUE(scenario.Drain(absl::Minutes(1)));
  EXPECT_EQ(scenario.smart_host.messages(), 3U);
  scenario.PrimaryUp();
  scenario.RunFor(absl::Minutes(6));
  scenario.SendMany(3);
  EXPECT_TRUE(scenario.Drain(absl::Minutes(1)));
  EXPECT_EQ(scenario.primary.messages(), 3U);
}

// An address that moved to us during an outage: held, for mail must not expire meanwhile. When it
// is somebody else's again the outage is over for all shards.
TEST(NamesScenario, WhatProbesMeetAsOurselvesIsHeldToo) {
  Scenario::Options options;
  options.shards = 2;
  Scenario scenario(options);
  const size_t home = RouteAt(scenario, 0).is_home() ? 0 : 1;
  scenario.PrimaryDown();
  for (int connection = 0; connection < 8; ++connection) {
    scenario.SendMany(1);
  }
  scenario.RunFor(absl::Minutes(1));
  ASSERT_EQ(RouteAt(scenario, home).destination().state(), DestinationState::kDown);
  scenario.primary.set_name("mx2.sim.example");
  scenario.PrimaryUp();
  scenario.RunFor(absl::Minutes(1));
  EXPECT_EQ(RouteAt(scenario, home).destination().state(), DestinationState::kHeld);
  scenario.RunFor(absl::Hours(24 * 6));
  EXPECT_EQ(scenario.live(), 8U);
  scenario.primary.set_name("primary.example");
  ASSERT_TRUE(scenario.daemon.ApplyRule(RuleVerb::kStart, {"d0.example"}).has_value());
  EXPECT_TRUE(scenario.Drain(absl::Minutes(3)));
}

TEST(NamesScenario, FlappingNamesLoseNothing) {
  Scenario::Options options = By(Way::kMx);
  options.shards = 2;
  Scenario scenario(options);
  Host& elsewhere = scenario.world.AddHost("elsewhere", *SocketAddress::Parse("10.1.0.9:0"));
  SimPrimary other(scenario.world, elsewhere, 25, Random(7), scenario.ledger);
  other.Open();
  for (int round = 0; round < 20; ++round) {
    scenario.zone.Remove("primary0.sim.example");
    scenario.zone.AddAddress("primary0.sim.example", round % 2 == 0 ? "10.1.0.9" : "10.1.0.1");
    scenario.zone.SetMood(static_cast<Mood>(round % 3));
    scenario.SendMany(3);
    scenario.RunFor(absl::Seconds(45));
  }
  scenario.zone.SetMood(Mood::kAnswers);
  EXPECT_TRUE(scenario.Drain(absl::Minutes(6)));
  EXPECT_EQ(scenario.primary.messages() + other.messages(), 60U);
}

}  // namespace
}  // namespace backstay
