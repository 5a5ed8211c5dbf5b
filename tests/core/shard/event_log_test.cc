// tests/core/shard/event_log_test.cc -- the log of a shard in the simulated world: rotated away,
// full, missing, slow.
#include "core/shard/event_log.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <set>
#include <string>

#include "core/base/log.h"
#include "io/sim/world.h"

namespace backstay {
namespace {

constexpr const char* kFile = "/log/mail.log";

class Shardlet : public Actor {
 public:
  Shardlet(World& world, Host& host, size_t index)
      : io_(world.MakeIo(host)),
        wheel_(io_->Now()),
        log(std::make_unique<EventLog>(*io_, wheel_, Fd(), index, 2)) {
    world.Attach(*io_, *this);
  }
  void Turn() override {
    io_->Turn(wheel_.NextDue());
    wheel_.Advance(io_->Now());
  }
  void Add(uint64_t number, std::string_view relay = "") {
    Event event;
    event.kind = EventKind::kDelivered;
    const std::string id = fmt::format("{:016}", number);
    event.id = id;
    event.relay = relay;
    log->Add(event);
    io_->Wake();
  }
  void Wake() { io_->Wake(); }

 private:
  std::unique_ptr<Io> io_;
  TimerWheel wheel_;

 public:
  std::unique_ptr<EventLog> log;
};

class EventLogTest : public testing::Test {
 protected:
  EventLogTest() {
    SetLogSink([](LogLevel, std::string_view) {});
    host_.disk().Put("/log/there", AsBytes(std::string_view("x")));
    snapshot_ = *ParseSnapshot(
        fmt::format("hostname = \"mx2.example.net\"\n[log]\nfile = \"{}\"\n[admin]\nlisten = \"\"\n"
                    "[[domain]]\nname = \"example.com\"\nprimary = [\"192.0.2.1\"]\n",
                    kFile),
        "t");
    for (const auto& shard : {&first_, &second_}) {
      shard->log->UseSnapshot(*snapshot_);
      shard->Wake();
    }
  }
  ~EventLogTest() override {
    world_.Crash(host_, CrashMode::kAllUnsynced);
    SetLogSink(nullptr);
  }

  std::string File(const char* path = kFile) { return host_.disk().Contents(path).value_or(""); }
  size_t Lines(const char* path = kFile) {
    const std::string file = File(path);
    return static_cast<size_t>(std::count(file.begin(), file.end(), '\n'));
  }
  void AddMany(Shardlet& shard, size_t count) {
    for (size_t number = 0; number < count; ++number) {
      shard.Add(number);
    }
  }

  World world_{1};
  Host& host_ = world_.AddHost("mx2", *SocketAddress::Parse("10.0.0.1:0"));
  std::unique_ptr<const Snapshot> snapshot_;
  Shardlet first_{world_, host_, 0};
  Shardlet second_{world_, host_, 1};
};

TEST_F(EventLogTest, ALineIsThereAMomentLater) {
  world_.RunFor(absl::Seconds(1));
  first_.Add(1);
  world_.RunFor(absl::Milliseconds(200));
  EXPECT_EQ(Lines(), 1u);
}

TEST_F(EventLogTest, LinesFromBeforeTheFileWasOpenAreWritten) {
  first_.Add(1);
  world_.RunFor(absl::Seconds(1));
  EXPECT_EQ(Lines(), 1u);
}

TEST_F(EventLogTest, ShardsShareAFileAndNoLineIsLostOrMixed) {
  for (int round = 0; round < 50; ++round) {
    AddMany(first_, 40);
    AddMany(second_, 40);
    world_.RunFor(absl::Milliseconds(37));
  }
  world_.RunFor(absl::Seconds(1));
  EXPECT_EQ(Lines(), 4000u);
  const std::string file = File();
  for (size_t at = 0; at < file.size(); at = file.find('\n', at) + 1) {
    ASSERT_EQ(file.substr(at, 9), "{\"time\":\"");
  }
}

TEST_F(EventLogTest, AReloadOpensTheNameAnew) {
  first_.Add(1);
  world_.RunFor(absl::Seconds(1));
  const std::string before = File();
  ASSERT_TRUE(host_.disk().Delete(kFile));
  first_.Add(2);
  world_.RunFor(absl::Seconds(1));
  EXPECT_FALSE(host_.disk().Exists(kFile)) << "the old file is still written";
  first_.log->UseSnapshot(*snapshot_);
  first_.Add(3);
  world_.RunFor(absl::Seconds(1));
  EXPECT_EQ(Lines(), 1u);
  EXPECT_NE(File().find("0000000000000003"), std::string::npos);
}

TEST_F(EventLogTest, AMissingDirectoryIsWaitedFor) {
  ASSERT_TRUE(host_.disk().Delete("/log"));
  first_.log->UseSnapshot(*snapshot_);
  first_.Add(1);
  world_.RunFor(absl::Seconds(10));
  host_.disk().Put("/log/there", AsBytes(std::string_view("x")));
  world_.RunFor(absl::Seconds(2));
  EXPECT_EQ(Lines(), 1u);
}

TEST_F(EventLogTest, WhatFindsNoRoomIsCountedAndSaid) {
  ASSERT_TRUE(host_.disk().Delete("/log"));
  first_.log->UseSnapshot(*snapshot_);
  world_.RunFor(absl::Seconds(1));
  AddMany(first_, 30'000);
  const uint64_t lost = first_.log->lines_lost();
  ASSERT_GT(lost, 0u);
  ASSERT_LT(lost, 30'000u);
  host_.disk().Put("/log/there", AsBytes(std::string_view("x")));
  world_.RunFor(absl::Seconds(5));
  EXPECT_EQ(Lines(), 30'000 - lost + 1);
  EXPECT_NE(File().find(fmt::format("\"event\":\"lines_lost\",\"lines\":{}}}", lost)),
            std::string::npos);
  EXPECT_EQ(first_.log->lines_lost(), 0u);
}

// What gathered meanwhile is so much that it is written at once; and however full the buffer is,
// the line that says what was lost has room.
TEST_F(EventLogTest, WhatWasLostWhileAWriteTookItsTimeIsSaidBehindIt) {
  for (const size_t bytes : {size_t{0}, size_t{200}, size_t{2000}}) {
    world_.RunFor(absl::Seconds(1));
    const size_t before = Lines();
    uint64_t added = 0;
    while (first_.log->lines_lost() < 3) {
      first_.Add(++added, std::string(bytes, 'r'));
    }
    world_.RunFor(absl::Seconds(5));
    EXPECT_EQ(Lines() - before, added - 3 + 1);
    EXPECT_NE(File().rfind("\"lines\":3}"), std::string::npos);
    EXPECT_EQ(first_.log->lines_lost(), 0u);
  }
}

TEST_F(EventLogTest, AFullDiskTearsOneLineAndGoesOn) {
  world_.RunFor(absl::Seconds(1));
  host_.disk().set_capacity_bytes(host_.disk().used_bytes() + 5000);
  AddMany(first_, 100);
  world_.RunFor(absl::Seconds(3));
  second_.Add(7);
  host_.disk().set_capacity_bytes(uint64_t{1} << 30);
  world_.RunFor(absl::Seconds(5));
  const std::string file = File();
  size_t whole = 0;
  size_t torn = 0;
  for (size_t at = 0; at < file.size(); at = file.find('\n', at) + 1) {
    const std::string line = file.substr(at, file.find('\n', at) - at);
    (line.starts_with("{\"time\":\"") && line.ends_with("}") ? whole : torn) += 1;
  }
  // Those of both shards but for the torn one, and the line that says so.
  EXPECT_EQ(whole, 101u);
  EXPECT_EQ(torn, 1u);
  EXPECT_NE(file.find("\"lines\":1}"), std::string::npos);
}

TEST_F(EventLogTest, StopWritesWhatIsThere) {
  world_.RunFor(absl::Seconds(1));
  first_.Add(1);
  first_.log->Stop();
  EXPECT_FALSE(first_.log->idle());
  world_.RunFor(absl::Milliseconds(50));
  EXPECT_TRUE(first_.log->idle());
  EXPECT_EQ(Lines(), 1u);
}

TEST_F(EventLogTest, StopGivesUpAWriteThatTakesTooLong) {
  world_.RunFor(absl::Seconds(1));
  FaultPlan slow = FaultPlan::None();
  slow.disk_min = slow.disk_max = absl::Hours(1);
  slow.cancel_loses = 0;
  world_.SetPlan(slow);
  first_.Add(1);
  first_.log->Stop();
  world_.RunFor(absl::Seconds(2));
  EXPECT_TRUE(first_.log->idle());
}

// The cancel comes too late for the write under way; the next one would have nobody to end it.
TEST_F(EventLogTest, StopWritesNothingMoreWhenItsTimeIsOver) {
  world_.RunFor(absl::Seconds(1));
  FaultPlan slow = FaultPlan::None();
  slow.disk_min = slow.disk_max = absl::Milliseconds(1500);
  slow.cancel_loses = 1'000'000;
  world_.SetPlan(slow);
  first_.Add(1);
  world_.RunFor(absl::Milliseconds(200));  // it is being written
  first_.Add(2);
  first_.log->Stop();
  first_.Wake();
  world_.RunFor(absl::Milliseconds(1100));
  slow.disk_min = slow.disk_max = absl::Hours(1);
  slow.cancel_loses = 0;
  world_.SetPlan(slow);
  world_.RunFor(absl::Seconds(5));
  EXPECT_TRUE(first_.log->idle());
}

TEST_F(EventLogTest, NumbersOfConnectionsAreEachShardsOwn) {
  std::set<uint64_t> numbers;
  for (int count = 0; count < 10; ++count) {
    numbers.insert(first_.log->NextConnection());
    numbers.insert(second_.log->NextConnection());
  }
  EXPECT_EQ(numbers.size(), 20u);
}

}  // namespace
}  // namespace backstay
