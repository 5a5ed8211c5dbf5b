// tests/sim/scenarios/probes_test.cc -- thousands of destinations that are down at once.
#include <gtest/gtest.h>

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

#include "core/base/mark.h"
#include "core/queue/probe_pace.h"
#include "tests/support/line_client.h"
#include "tests/support/sim_daemon.h"

namespace backstay {
namespace {

constexpr size_t kDomains = 1200;
constexpr size_t kRecipients = 100;  // of a message

// Each domain's primary is a port of one host, and nobody listens there.
std::string Config() {
  std::string config = R"(
hostname = "mx2.example.net"
[smtp]
listen = ["10.0.0.1:25"]
shards = 2
[spool]
directory = "/spool"
segment_size = "1MiB"
reserve = "4MiB"
)";
  for (size_t domain = 0; domain < kDomains; ++domain) {
    config += fmt::format("[[domain]]\nname = \"d{}.example\"\nprimary = [\"10.1.0.1:{}\"]\n",
                          domain, 10'000 + domain);
  }
  return config;
}

// A message to so many domains, from `first` on.
void SendToDomains(LineClient& client, size_t first) {
  std::string commands = "MAIL FROM:<>\r\n";
  for (size_t domain = first; domain < first + kRecipients; ++domain) {
    commands += fmt::format("RCPT TO:<a@d{}.example>\r\n", domain);
  }
  client.Send(commands + "DATA\r\n");
  for (size_t reply = 0; reply < kRecipients + 1; ++reply) {
    ASSERT_TRUE(client.NextLine(absl::Seconds(5)).value_or("").starts_with("250"));
  }
  ASSERT_TRUE(client.NextLine(absl::Seconds(5)).value_or("").starts_with("354"));
  client.Send("Subject: x\r\n\r\nx\r\n.\r\n");
  ASSERT_TRUE(client.NextLine(absl::Seconds(30)).value_or("").starts_with("250"));
}

// Rounds that failed, of each destination.
std::vector<uint64_t> Rounds(SimDaemon& daemon) {
  std::vector<uint64_t> rounds;
  for (size_t shard = 0; shard < daemon.shards(); ++shard) {
    for (const std::unique_ptr<Route>& route : daemon.shard(shard).routes().routes()) {
      if (route->is_home()) {
        rounds.push_back(route->destination().probes_failed());
      }
    }
  }
  return rounds;
}

TEST(ProbesScenario, ThousandsThatAreDownAreAskedInTurn) {
  World world(1);
  world.SetPlan(FaultPlan::None());
  Host& host = world.AddHost("mx2", *SocketAddress::Parse("10.0.0.1:0"));
  Host& client_host = world.AddHost("client", *SocketAddress::Parse("10.2.0.1:0"));
  world.AddHost("primaries", *SocketAddress::Parse("10.1.0.1:0"));
  SimDaemon daemon(world, host, Config());
  ASSERT_TRUE(daemon.StartAndServe().ok());
  LineClient client(world, client_host, *SocketAddress::Parse("10.0.0.1:25"));
  ASSERT_TRUE(client.NextLine(absl::Seconds(5)).value_or("").starts_with("220"));
  client.Send("EHLO c\r\n");
  while (client.NextLine(absl::Seconds(5)).value_or("250 ").starts_with("250-")) {
  }
  for (size_t first = 0; first < kDomains; first += kRecipients) {
    ASSERT_NO_FATAL_FAILURE(SendToDomains(client, first));
  }
  const uint64_t waited = MarkCount("probe_waits_for_others");
  world.RunFor(absl::Seconds(20));
  EXPECT_GT(MarkCount("probe_waits_for_others"), waited);

  constexpr int64_t kSeconds = 30;
  const std::vector<uint64_t> before = Rounds(daemon);
  ASSERT_EQ(before.size(), kDomains);
  world.RunFor(absl::Seconds(kSeconds));
  const std::vector<uint64_t> after = Rounds(daemon);
  uint64_t rounds = 0;
  uint64_t fewest = UINT64_MAX;
  uint64_t most = 0;
  for (size_t i = 0; i < after.size(); ++i) {
    const uint64_t own = after[i] - before[i];
    rounds += own;
    fewest = std::min(fewest, own);
    most = std::max(most, own);
  }
  EXPECT_LE(rounds, static_cast<uint64_t>((kSeconds + 1) * ProbePace::kPerSecond));
  EXPECT_GE(rounds, static_cast<uint64_t>((kSeconds - 1) * ProbePace::kPerSecond));
  // A line: everybody's turn comes every six or seven seconds, and nobody's twice before.
  EXPECT_GE(fewest, 3u);
  EXPECT_LE(most, 6u);
}

}  // namespace
}  // namespace backstay
