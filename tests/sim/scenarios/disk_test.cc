// tests/sim/scenarios/disk_test.cc -- a disk that is full, fails once, fails for good, or rots.
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "tests/sim/scenarios/scenario.h"
#include "tests/support/line_client.h"

namespace backstay {
namespace {

Message OneFor(const std::string& recipient) {
  return {"a@sender.example", {recipient}, "Subject: one\r\n\r\nhello\r\n"};
}

TEST(DiskScenario, FullDiskRefusesNewMailAndKeepsDelivering) {
  Scenario scenario;
  scenario.PrimaryDown();
  scenario.SendMany(5);
  Disk& disk = scenario.host.disk();
  disk.set_capacity_bytes(disk.used_bytes());
  // What is prepared may still be filled.
  int code = 250;
  for (int count = 0; count < 3000 && code == 250; ++count) {
    code = scenario.Send(
        {"a@sender.example", {scenario.Recipient("fill")}, std::string(20000, 'x') + "\r\n"});
  }
  EXPECT_EQ(code, 452);
  scenario.PrimaryUp();
  EXPECT_TRUE(scenario.Drain(absl::Minutes(5)));
  disk.set_capacity_bytes(uint64_t{1} << 40);
  scenario.RunFor(absl::Minutes(5));
  scenario.SendOne();
  EXPECT_TRUE(scenario.Drain(absl::Minutes(1)));
}

void LeaveRoom(Scenario& scenario, uint64_t bytes) {
  Disk& disk = scenario.host.disk();
  disk.set_capacity_bytes(disk.used_bytes() + bytes);
  scenario.RunFor(absl::Seconds(2));
}

// One that says a line at a time, and hears the reply's.
class Announcer {
 public:
  explicit Announcer(Scenario& scenario)
      : client_(scenario.world, scenario.client_host, *SocketAddress::Parse("10.0.0.1:25")) {
    client_.NextLine(absl::Seconds(5));
    std::string line = Say("EHLO client.example");
    while (line.starts_with("250-")) {
      line = client_.NextLine(absl::Seconds(5)).value_or("");
    }
  }
  std::string Say(const std::string& line) {
    client_.Send(line + "\r\n");
    return client_.NextLine(absl::Seconds(20)).value_or("");
  }
  int Code(const std::string& line) { return std::stoi(Say(line).substr(0, 3)); }
  // Up to 354, and then `content`: all of it is with the network.
  void SayContent(Scenario& scenario, const std::string& content) {
    EXPECT_EQ(Code("MAIL FROM:<a@sender.example>"), 250);
    EXPECT_EQ(Code("RCPT TO:<" + scenario.Recipient("one") + ">"), 250);
    EXPECT_EQ(Code("DATA"), 354);
    client_.Send(content);
    EXPECT_TRUE(
        scenario.RunUntil([this] { return client_.unsent_bytes() == 0; }, absl::Minutes(1)));
  }

 private:
  LineClient client_;
};

TEST(DiskScenario, WhoAnnouncesMoreThanFitsIsToldBeforeTheContent) {
  Scenario scenario;
  LeaveRoom(scenario, 6_MiB);
  Announcer client(scenario);
  EXPECT_EQ(client.Say("MAIL FROM:<a@sender.example> SIZE=30000000"),
            "452 4.3.1 Insufficient system storage");
  EXPECT_EQ(client.Code("MAIL FROM:<a@sender.example> SIZE=100000"), 250);
}

// A number costs nothing: the room is claimed where the content begins.
TEST(DiskScenario, WhoOnlyAnnouncesKeepsNobodyOut) {
  Scenario scenario;
  LeaveRoom(scenario, 6_MiB);
  std::vector<std::unique_ptr<Announcer>> clients;
  for (int count = 0; count < 10; ++count) {
    clients.push_back(std::make_unique<Announcer>(scenario));
    EXPECT_EQ(clients.back()->Code("MAIL FROM:<a@sender.example> SIZE=1500000"), 250) << count;
  }
  int begun = 0;
  for (const std::unique_ptr<Announcer>& client : clients) {
    EXPECT_EQ(client->Code("RCPT TO:<" + scenario.Recipient("one") + ">"), 250);
    const int code = client->Code("DATA");
    begun += code == 354 ? 1 : 0;
    EXPECT_TRUE(code == 354 || code == 452) << code;
  }
  EXPECT_GE(begun, 1);
  EXPECT_LE(begun, 4) << "each has room for what it said";
}

std::string LinesOf(size_t bytes) {
  std::string lines;
  while (lines.size() < bytes) {
    lines += std::string(70, 'x') + "\r\n";
  }
  return lines;
}

// Rows 43 and 96. What is larger than a part is in the log before its end comes, or before it is
// known to be too large: six parts a round, forty segments in all. The mail that waits keeps the
// oldest segment, and no other.
TEST(DiskScenario, MessagesThatAreBrokenOffLeaveNothingOnDisk) {
  Scenario::Options options;
  options.smtp = "max_message_size = \"1MiB\"\nmax_connections_per_client = 1000\n";
  Scenario scenario(options);
  scenario.PrimaryDown();
  scenario.SendMany(3);
  const std::string most_of_it = LinesOf(600'000);
  const std::string too_large = LinesOf(1'100'000);
  uint64_t used_bytes = 0;
  for (int round = 0; round < 30; ++round) {
    Announcer(scenario).SayContent(scenario, most_of_it);  // and hangs up
    Announcer client(scenario);
    client.SayContent(scenario, too_large);
    EXPECT_EQ(client.Say("."), "552 5.3.4 Message exceeds the size limit");
    scenario.RunFor(absl::Milliseconds(100));
    used_bytes = std::max(used_bytes, scenario.host.disk().used_bytes());
  }
  EXPECT_GT(scenario.daemon.stats().bytes_written, 30_MiB);
  EXPECT_LE(used_bytes, 12_MiB);
  EXPECT_EQ(scenario.live(), 3U);
  scenario.PrimaryUp();
  EXPECT_TRUE(scenario.Drain(absl::Minutes(5)));
}

TEST(DiskScenario, OneFailedSyncIsOne451) {
  Scenario scenario;
  scenario.SendOne();
  EXPECT_TRUE(scenario.Drain(absl::Minutes(1)));
  scenario.RunFor(absl::Seconds(2));
  scenario.world.FailDiskOperation(2, IoError::kDevice, false);  // the write, then this sync
  EXPECT_EQ(scenario.Send(OneFor(scenario.Recipient("unlucky"))), 451);
  EXPECT_EQ(scenario.daemon.stats().segments_abandoned, 1U);
  scenario.SendOne();
  EXPECT_TRUE(scenario.Drain(absl::Minutes(1)));
}

TEST(DiskScenario, ADiskThatTakesSecondsPutsOffNewTransactionsUntilItIsFastAgain) {
  Scenario scenario;
  FaultPlan slow = FaultPlan::None();
  slow.sync_min = absl::Seconds(6);
  slow.sync_max = absl::Seconds(7);
  scenario.world.SetPlan(slow);
  EXPECT_EQ(scenario.Send(OneFor(scenario.Recipient("patient"))), 250);
  EXPECT_EQ(scenario.Send(OneFor(scenario.Recipient("later"))), 452);
  scenario.world.SetPlan(FaultPlan::None());
  scenario.RunFor(absl::Seconds(20));
  scenario.SendOne();
  EXPECT_TRUE(scenario.Drain(absl::Minutes(1)));
}

TEST(DiskScenario, OneFailedWriteIsOne451) {
  Scenario scenario;
  scenario.RunFor(absl::Seconds(2));
  scenario.world.FailDiskOperation(1, IoError::kDevice, false);
  EXPECT_EQ(scenario.Send(OneFor(scenario.Recipient("unlucky"))), 451);
  scenario.SendOne();
  EXPECT_TRUE(scenario.Drain(absl::Minutes(1)));
}

TEST(DiskScenario, DeviceThatFailsForGoodClosesIntakeAndNotDelivery) {
  Scenario scenario;
  scenario.PrimaryDown();
  scenario.SendMany(10);
  scenario.ledger.set_settle_delay_max(absl::InfiniteDuration());
  FaultPlan plan;
  plan.write_error = 1'000'000;
  plan.sync_error = 1'000'000;
  scenario.world.SetPlan(plan);
  int code = 451;
  for (int count = 0; count < 50 && code == 451; ++count) {
    code = scenario.Send(OneFor(scenario.Recipient("unlucky")));
    scenario.RunFor(absl::Seconds(1));
  }
  EXPECT_EQ(code, 421);
  scenario.PrimaryUp();
  EXPECT_TRUE(
      scenario.RunUntil([&] { return scenario.primary.messages() == 10; }, absl::Minutes(5)));
  scenario.world.SetPlan(FaultPlan::None());
  EXPECT_TRUE(scenario.Drain(absl::Minutes(5)));
  EXPECT_EQ(scenario.ledger.duplicates(), 0U);
}

TEST(DiskScenario, ReadErrorsDelayAndLoseNothing) {
  Scenario scenario;
  scenario.PrimaryDown();
  scenario.SendMany(10);
  EXPECT_TRUE(scenario.daemon.Stop());
  scenario.Restart();
  FaultPlan plan;
  plan.read_error = 1'000'000;
  scenario.world.SetPlan(plan);
  scenario.PrimaryUp();
  scenario.RunFor(absl::Minutes(5));
  EXPECT_EQ(scenario.live(), 10U);
  EXPECT_EQ(scenario.daemon.stats().recipients_quarantined, 0U);
  scenario.world.SetPlan(FaultPlan::None());
  EXPECT_TRUE(scenario.Drain(absl::Hours(1)));
}

// The first segment of the first shard with this text, and where it is in that.
std::pair<std::string, size_t> Find(Scenario& scenario, std::string_view text) {
  const std::string directory = "/spool/shard-000/";
  for (const std::string& name : scenario.host.disk().List("/spool/shard-000")) {
    const std::string contents = scenario.host.disk().Contents(directory + name).value_or("");
    const size_t at = contents.find(text);
    if (name.starts_with("segment-") && at != std::string::npos) {
      return {directory + name, at};
    }
  }
  return {};
}

// Whoever else is to be told does not wait for a message that the device does not give back.
TEST(DiskScenario, AReportOfWhatCannotBeReadWaitsForItselfAlone) {
  Scenario::Options options;
  options.retry = "bounce_after = \"0\"\n";
  Scenario scenario(options);
  const std::string first = scenario.Recipient("gone");
  EXPECT_EQ(scenario.Send({"a@sender.example", {first}, "Subject: unread\r\n\r\n"}), 250);
  scenario.PrimaryBusy(true);
  scenario.SendMany(120, 10'000);  // more than a segment, and it stays
  scenario.PrimaryBusy(false);
  const std::string second = scenario.Recipient("gone");
  EXPECT_EQ(scenario.Send(OneFor(second)), 250);
  EXPECT_TRUE(scenario.RunUntil([&] { return scenario.pending() == 2; }, absl::Minutes(5)));
  const std::string path = Find(scenario, "Subject: unread").first;
  ASSERT_TRUE(scenario.host.disk().SetUnreadable(path, true));
  scenario.plan.reports = ReportWay::kHost;
  scenario.smart_host.Open();
  ASSERT_TRUE(scenario.daemon.Reload(scenario.plan.Config(scenario.plan.domains.size())).ok());
  scenario.RunFor(absl::Minutes(1));
  EXPECT_EQ(scenario.ledger.times_told(second, "failed"), 1U);
  EXPECT_EQ(scenario.pending(), 1U);
  ASSERT_TRUE(scenario.host.disk().SetUnreadable(path, false));
  scenario.RunFor(absl::Minutes(10));
  EXPECT_EQ(scenario.ledger.times_told(first, "failed"), 1U);
  EXPECT_EQ(scenario.pending() + scenario.live(), 0U) << "the others were due meanwhile";
}

TEST(DiskScenario, FlippedBitInOneMessageCostsThatOneOnly) {
  Scenario scenario;
  scenario.PrimaryDown();
  scenario.SendMany(10, 5000);
  EXPECT_TRUE(scenario.daemon.Stop());
  const auto [path, at] = Find(scenario, "a line of a message among many");
  ASSERT_TRUE(scenario.host.disk().FlipBit(path, (at + 100) * 8 + 3));
  scenario.ledger.OnDamage();
  scenario.PrimaryUp();
  scenario.Restart();
  EXPECT_TRUE(scenario.Drain(absl::Minutes(1)));
  EXPECT_EQ(scenario.primary.messages(), 9U);
}

// A client that is told in time sends it again; what the disk takes after all would come twice.
TEST(DiskScenario, ASyncThatHangsIsGivenUpBeforeTheClientDoes) {
  size_t refused = 0;
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    Scenario::Options options;
    options.seed = seed;
    Scenario scenario(options);
    scenario.PrimaryDown();
    FaultPlan slow = FaultPlan::None();
    slow.slow_sync = 1'000'000;
    slow.slow_sync_max = absl::Minutes(12);
    scenario.world.SetPlan(slow);
    const Instant begun = scenario.world.Now();
    const int code = scenario.Send({"a@sender.example", {scenario.Recipient("user1")}, "x\r\n"});
    const absl::Duration waited = scenario.world.Now() - begun;
    EXPECT_EQ(code, waited < absl::Minutes(5) ? 250 : 451);
    EXPECT_LT(waited, absl::Minutes(5) + absl::Seconds(10));
    scenario.world.SetPlan(FaultPlan::None());
    scenario.RunFor(absl::Minutes(15));
    scenario.PrimaryUp();
    EXPECT_TRUE(scenario.Drain(absl::Minutes(5)));
    EXPECT_EQ(scenario.primary.messages(), code == 250 ? 1u : 0u);
    EXPECT_EQ(scenario.daemon.account().discarded, code == 250 ? 0u : 1u);
    EXPECT_EQ(scenario.SendOne().empty(), false);  // the disk is well again
    EXPECT_TRUE(scenario.Drain(absl::Minutes(5)));
    refused += code == 451 ? 1 : 0;
  }
  EXPECT_GT(refused, 0u);
  EXPECT_LT(refused, 8u);
}

}  // namespace
}  // namespace backstay
