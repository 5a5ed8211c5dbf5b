// tests/sim/scenarios/memory_test.cc -- what a shard holds of large messages while its disk stands.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "spool/staging.h"
#include "tests/support/line_client.h"
#include "tests/support/sim_daemon.h"

namespace backstay {
namespace {

constexpr size_t kClients = 50;
constexpr size_t kMessageBytes = 1500 * 1024;
constexpr const char* kConfig = R"(
hostname = "mx2.example.net"
[smtp]
listen = ["10.0.0.1:25"]
[spool]
directory = "/spool"
segment_size = "64MiB"
reserve = "64MiB"
[[domain]]
name = "example.com"
primary = ["10.1.0.1:25"]
)";

std::string Content() {
  const std::string line = std::string(70, 'x') + "\r\n";
  std::string content;
  while (content.size() < kMessageBytes) {
    content += line;
  }
  return content;
}

// A sync takes an hour from now on, or what it takes by default.
void SetDisk(World& world, bool stands) {
  FaultPlan plan = FaultPlan::None();
  plan.socket_buffer_bytes = 16_KiB;
  plan.receive_buffer_bytes = 8_KiB;
  if (stands) {
    plan.sync_min = absl::Hours(1);
    plan.sync_max = absl::Hours(1);
  }
  world.SetPlan(plan);
}

TEST(MemoryScenario, ClientsThatStuffAStandingDiskFillTheBudgetsAndNoMore) {
  World world(1);
  SetDisk(world, /*stands=*/false);
  Host& host = world.AddHost("mx2", *SocketAddress::Parse("10.0.0.1:0"));
  Host& client_host = world.AddHost("client", *SocketAddress::Parse("10.2.0.1:0"));
  SimDaemon daemon(world, host, kConfig);
  ASSERT_TRUE(daemon.StartAndServe().ok());
  std::vector<std::unique_ptr<LineClient>> clients;
  for (size_t index = 0; index < kClients; ++index) {
    clients.push_back(
        std::make_unique<LineClient>(world, client_host, *SocketAddress::Parse("10.0.0.1:25")));
    LineClient& client = *clients.back();
    ASSERT_TRUE(client.NextLine(absl::Seconds(5)).value_or("").starts_with("220"));
    client.Send("HELO c\r\n");
    ASSERT_TRUE(client.NextLine(absl::Seconds(5)).value_or("").starts_with("250"));
    for (const char* command : {"MAIL FROM:<>\r\n", "RCPT TO:<a@example.com>\r\n", "DATA\r\n"}) {
      client.Send(command);
      ASSERT_TRUE(client.NextLine(absl::Seconds(5)).has_value());
    }
  }
  world.RunFor(absl::Seconds(2));
  SetDisk(world, /*stands=*/true);
  const std::string content = Content();
  for (const auto& client : clients) {
    client->Send(content + ".\r\n");
  }
  world.RunFor(absl::Minutes(2));
  size_t accepted_bytes = 0;
  for (const auto& client : clients) {
    accepted_bytes += content.size() + 3 - client->unsent_bytes();
  }
  const SpoolOptions options;  // one shard has all of the process's budgets
  const size_t records_bytes = options.pending_bytes_max + 2 * options.part_bytes + 1_MiB;
  const size_t kept_bytes = kClients * (8_KiB + Staging::kChunkBytes);
  const size_t sockets_bytes = kClients * 16_KiB;
  EXPECT_LE(daemon.stats().staged_bytes, options.staging_bytes_max + kept_bytes);
  EXPECT_LE(accepted_bytes, records_bytes + options.staging_bytes_max + kept_bytes + sockets_bytes);
  EXPECT_GT(accepted_bytes, options.pending_bytes_max / 2) << "it must come to congestion";

  SetDisk(world, /*stands=*/false);
  for (const auto& client : clients) {
    EXPECT_TRUE(client->NextLine(absl::Hours(3)).value_or("").starts_with("250 2.0.0"));
  }
  EXPECT_EQ(daemon.stats().staged_bytes, 0u);
  for (const auto& client : clients) {
    client->Disconnect();
  }
  clients.clear();
  daemon.Crash(CrashMode::kAllUnsynced);
}

}  // namespace
}  // namespace backstay
