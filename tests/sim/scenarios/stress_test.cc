// tests/sim/scenarios/stress_test.cc -- who has to be quick while places or the disk are short, and
// who is only waiting for us. What each client hears then is in tests/dialogue/connections/stress.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "core/base/log.h"
#include "tests/support/line_client.h"
#include "tests/support/sim_daemon.h"

namespace backstay {
namespace {

class StressScenario : public testing::Test {
 protected:
  using Client = std::unique_ptr<LineClient>;

  StressScenario() {
    said_.clear();
    SetLogSink([](LogLevel level, std::string_view line) {
      if (line.find("under stress") != std::string_view::npos) {
        said_.push_back(level);
      }
    });
  }
  ~StressScenario() override {
    if (daemon_ != nullptr) {
      daemon_->Crash(CrashMode::kAllUnsynced);
    }
    SetLogSink(nullptr);
  }

  void Start(size_t connections_max) {
    daemon_ = std::make_unique<SimDaemon>(
        world_, host_,
        fmt::format("hostname = \"mx2.example.net\"\n[smtp]\nlisten = [\"10.0.0.1:25\"]\n"
                    "max_connections = {}\n[spool]\ndirectory = \"/spool\"\n"
                    "segment_size = \"4MiB\"\nreserve = \"8MiB\"\n[[domain]]\n"
                    "name = \"example.com\"\nprimary = [\"10.1.0.1:25\"]\n",
                    connections_max));
    ASSERT_TRUE(daemon_->StartAndServe().ok());
  }
  // Has greeted and says nothing more.
  Client Come() {
    auto client =
        std::make_unique<LineClient>(world_, client_host_, *SocketAddress::Parse("10.0.0.1:25"));
    EXPECT_EQ(Hear(*client), "220");
    EXPECT_EQ(Say(*client, "HELO client.example"), "250");
    return client;
  }
  Client ComeToData() {
    Client client = Come();
    EXPECT_EQ(Say(*client, "MAIL FROM:<a@sender.example>"), "250");
    EXPECT_EQ(Say(*client, "RCPT TO:<b@example.com>"), "250");
    EXPECT_EQ(Say(*client, "DATA"), "354");
    return client;
  }
  std::string Hear(LineClient& client, absl::Duration at_most = absl::Seconds(1)) {
    const auto line = client.NextLine(at_most);
    return line.has_value() ? line->substr(0, 3) : "nothing";
  }
  std::string Say(LineClient& client, const std::string& line) {
    client.Send(line + "\r\n");
    return Hear(client);
  }
  // For so long, each second.
  void SayContent(LineClient& client, size_t bytes_per_second, absl::Duration time) {
    for (const Instant end = world_.Now() + time; world_.Now() < end;) {
      client.Send(std::string(bytes_per_second - 2, 'x') + "\r\n");
      world_.RunFor(absl::Seconds(1));
    }
  }
  void SetSync(absl::Duration takes) {
    FaultPlan plan = FaultPlan::None();
    plan.sync_min = takes;
    plan.sync_max = takes;
    world_.SetPlan(plan);
  }

  static inline std::vector<LogLevel> said_;  // the lines about it
  World world_{1, FaultPlan::None()};
  Host& host_ = world_.AddHost("mx2", *SocketAddress::Parse("10.0.0.1:0"));
  Host& client_host_ = world_.AddHost("client", *SocketAddress::Parse("10.2.0.1:0"));
  std::unique_ptr<SimDaemon> daemon_;
};

// Reliability row 97.
TEST_F(StressScenario, WhoOnlyStaysMakesRoomForThoseWhoCome) {
  Start(20);
  std::vector<Client> idle;
  for (int count = 0; count < 17; ++count) {
    idle.push_back(Come());
  }
  world_.RunFor(absl::Minutes(1));
  const Client busy = Come();
  EXPECT_TRUE(said_.empty());
  std::vector<Client> later;
  later.push_back(Come());  // the nineteenth
  for (const Client& client : idle) {
    EXPECT_EQ(Hear(*client, absl::Seconds(3)), "421");
    EXPECT_TRUE(client->WaitClosed(absl::Seconds(3)));
  }
  for (int count = 0; count < 15; ++count) {
    later.push_back(Come());
  }
  EXPECT_EQ(Say(*busy, "NOOP"), "250");
  for (const Client& client : later) {
    EXPECT_EQ(Say(*client, "NOOP"), "250");
  }
  EXPECT_EQ(said_, std::vector<LogLevel>{LogLevel::kWarning});
  for (const Client& client : later) {
    EXPECT_EQ(Hear(*client, absl::Seconds(12)), "421") << "it lasts for a while";
  }
  world_.RunFor(absl::Minutes(1));
  EXPECT_EQ(said_, (std::vector<LogLevel>{LogLevel::kWarning, LogLevel::kInfo}));
  const Client last = Come();
  world_.RunFor(absl::Minutes(1));
  EXPECT_EQ(Say(*last, "NOOP"), "250");
}

TEST_F(StressScenario, ASlowDiskThrowsOutNobodyWhoWaitsForUs) {
  Start(1000);
  const Client sender = ComeToData();
  const Client idle = Come();
  const Client awake = Come();
  SetSync(absl::Seconds(45));
  sender->Send("Subject: x\r\n\r\ntext\r\n.\r\n");
  world_.RunFor(absl::Seconds(6));
  EXPECT_EQ(Say(*awake, "NOOP"), "250");
  EXPECT_EQ(said_, std::vector<LogLevel>{LogLevel::kWarning});
  EXPECT_EQ(Hear(*idle, absl::Seconds(6)), "421");
  EXPECT_EQ(Hear(*sender, absl::Seconds(30)), "nothing");
  EXPECT_EQ(Hear(*sender, absl::Minutes(2)), "250");
  EXPECT_EQ(Say(*sender, "QUIT"), "221");
}

// Row 98. What counts before is larger pieces in more time, and those are not whole yet.
TEST_F(StressScenario, ContentAtAPaceGoesOnWhenStressBegins) {
  Start(2);
  const Client sender = ComeToData();
  SayContent(*sender, 1000, absl::Seconds(25));
  const Client other = Come();
  EXPECT_EQ(said_, std::vector<LogLevel>{LogLevel::kWarning});
  SayContent(*sender, 1000, absl::Seconds(30));
  EXPECT_EQ(Say(*sender, "."), "250");
}

TEST_F(StressScenario, ContentWithoutAPaceDoesNot) {
  Start(2);
  const Client sender = ComeToData();
  SayContent(*sender, 150, absl::Seconds(25));
  EXPECT_EQ(Hear(*sender), "nothing");
  const Client other = Come();
  EXPECT_EQ(Hear(*sender, absl::Seconds(2)), "421");
}

}  // namespace
}  // namespace backstay
