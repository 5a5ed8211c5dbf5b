// tests/io/sim_story_test.cc -- whole runs with faults and crashes.
//
// The same seed is the same run, what was answered is on the disk, and a planted defect is found.
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "tests/io/sim_story.h"

namespace backstay {
namespace {

constexpr size_t kClients = 3;
constexpr size_t kNumbersPerClient = 150;

class Story {
 public:
  Story(uint64_t seed, const FaultPlan& plan, bool sync)
      : sync_(sync),
        world_(seed, plan),
        random_(seed),
        server_host_(world_.AddHost("server", SocketAddress::V4({10, 0, 0, 1}, 0))),
        client_host_(world_.AddHost("client", SocketAddress::V4({10, 0, 0, 2}, 0))) {
    server_host_.disk().WalkDirectory("/spool", /*create=*/true);
    StartServer();
    for (size_t index = 0; index < kClients; ++index) {
      client_ios_.push_back(world_.MakeIo(client_host_));
      clients_.push_back(
          std::make_unique<StoryClient>(*client_ios_.back(), SocketAddress::V4({10, 0, 0, 1}, 25),
                                        index * kNumbersPerClient + 1, kNumbersPerClient));
      world_.Attach(*client_ios_.back(), *clients_.back());
    }
  }
  ~Story() {
    world_.Crash(server_host_, CrashMode::kAllUnsynced);
    world_.Crash(client_host_, CrashMode::kAllUnsynced);
  }

  World& world() { return world_; }
  bool Done() const {
    return std::all_of(clients_.begin(), clients_.end(),
                       [](const auto& client) { return client->done(); });
  }
  void CrashServer(CrashMode mode) {
    world_.Crash(server_host_, mode);
    servers_.clear();
    server_ios_.clear();
    CheckAnswered();
    StartServer();
  }
  // Faults and crashes first, then peace, in which everything must end.
  void Run(int crashes) {
    for (int count = 0; count < crashes && !Done(); ++count) {
      world_.RunFor(absl::Milliseconds(static_cast<int64_t>(random_.Between(1, 200))));
      if (random_.Chance(1, 3)) {
        world_.SetReachable(server_host_, client_host_, random_.Chance(1, 2));
      }
      CrashServer(random_.Chance(1, 2) ? CrashMode::kRandom : CrashMode::kNothingUnsynced);
    }
    world_.StopFaults();
    world_.SetReachable(server_host_, client_host_, true);
    EXPECT_TRUE(world_.RunUntil([&] { return Done(); }, absl::Hours(24)));
    CrashServer(CrashMode::kNothingUnsynced);
  }
  // Answered numbers that no log on the disk has.
  size_t lost() const { return lost_; }

 private:
  void StartServer() {
    for (size_t index = 0; index < 2; ++index) {
      server_ios_.push_back(world_.MakeIo(server_host_));
      servers_.push_back(
          std::make_unique<StoryServer>(*server_ios_.back(), "log" + std::to_string(index),
                                        SocketAddress::V4({10, 0, 0, 1}, 25), sync_));
      world_.Attach(*server_ios_.back(), *servers_.back());
    }
  }
  void CheckAnswered() {
    std::set<uint64_t> kept;
    for (const std::string& name : server_host_.disk().List("/spool")) {
      const std::string bytes = server_host_.disk().Contents("/spool/" + name).value();
      for (size_t at = 0; at + kNumberBytes <= bytes.size(); at += kNumberBytes) {
        kept.insert(LoadLittle<uint64_t>(AsBytes(bytes).data() + at));
      }
    }
    for (const std::unique_ptr<StoryClient>& client : clients_) {
      for (const uint64_t number : client->answered()) {
        lost_ += kept.contains(number) ? 0 : 1;
      }
    }
  }

  const bool sync_;
  World world_;
  Random random_;
  Host& server_host_;
  Host& client_host_;
  std::vector<std::unique_ptr<Io>> server_ios_;
  std::vector<std::unique_ptr<StoryServer>> servers_;
  std::vector<std::unique_ptr<Io>> client_ios_;
  std::vector<std::unique_ptr<StoryClient>> clients_;
  size_t lost_ = 0;
};

TEST(SimStory, AnsweredNumbersSurviveAndEverythingEndsForManySeeds) {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    const FaultPlan plan = FaultPlan::Draw(seed);
    SCOPED_TRACE(testing::Message() << "seed " << seed << "\n" << plan.ToString());
    Story story(seed, plan, /*sync=*/true);
    story.Run(/*crashes=*/6);
    EXPECT_EQ(story.lost(), 0u);
    if (HasFailure()) {
      return;
    }
  }
}

TEST(SimStory, AnswerBeforeTheSyncIsFound) {
  size_t found = 0;
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    Story story(seed, FaultPlan::None(), /*sync=*/false);
    story.Run(/*crashes=*/3);
    found += story.lost() > 0 ? 1 : 0;
  }
  EXPECT_GT(found, 5u);
}

TEST(SimStory, SameSeedIsTheSameRun) {
  std::set<uint64_t> hashes;
  for (uint64_t seed = 100; seed < 120; ++seed) {
    uint64_t hash[2];
    for (uint64_t& result : hash) {
      Story story(seed, FaultPlan::Draw(seed), true);
      story.Run(4);
      result = story.world().trace_hash();
    }
    EXPECT_EQ(hash[0], hash[1]) << "seed " << seed;
    hashes.insert(hash[0]);
  }
  EXPECT_EQ(hashes.size(), 20u);
}

TEST(SimStory, CrashAfterEveryEventLosesNothing) {
  for (uint64_t event = 1; event < 4000; event += 7) {
    Story story(5, FaultPlan::None(), true);
    story.world().CrashAfterEvent(event);
    story.world().RunUntil([&] { return story.Done(); }, absl::Hours(1));
    if (!story.world().crash_due()) {
      EXPECT_GT(event, 300u);
      return;
    }
    story.CrashServer(event % 2 == 0 ? CrashMode::kRandom : CrashMode::kNothingUnsynced);
    ASSERT_EQ(story.lost(), 0u) << "crash after event " << event;
  }
}

TEST(SimStory, NthDiskOperationThatFailsLosesNothing) {
  for (const bool from_then_on : {false, true}) {
    for (uint64_t n = 1; n < 1000; n += 2) {
      Story story(6, FaultPlan::None(), true);
      const uint64_t before = story.world().disk_operations();
      story.world().FailDiskOperation(n, n % 3 == 0 ? IoError::kNoSpace : IoError::kDevice,
                                      from_then_on);
      story.world().RunUntil([&] { return story.Done(); }, absl::Seconds(1));
      const bool met = story.world().disk_operations() >= before + n;
      story.world().StopFaults();
      ASSERT_TRUE(story.world().RunUntil([&] { return story.Done(); }, absl::Hours(1)));
      story.CrashServer(CrashMode::kNothingUnsynced);
      ASSERT_EQ(story.lost(), 0u) << "operation " << n;
      if (!met) {
        break;
      }
    }
  }
}

}  // namespace
}  // namespace backstay
