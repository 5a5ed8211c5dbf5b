// tests/core/shard/door_test.cc -- a crowd at the door: so many a turn, the others hear why not.
#include "core/shard/door.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "io/sim/world.h"
#include "tests/support/line_client.h"

namespace backstay {
namespace {

// A shard of which nothing is there but its door.
class Hall final : public Actor, private DoorHome {
 public:
  Hall(World& world, Host& host, const AdmissionLimits& limits)
      : io_(world.MakeIo(host)),
        wheel_(io_->Now()),
        log_(*io_, wheel_, Fd(), 0, 1),
        door(*io_, wheel_, log_, {*io_->Listen(host.address().WithPort(25), 4096)}, limits, census_,
             *this) {
    world.Attach(*io_, *this);
    door.Open();
    io_->Wake();
  }
  void Turn() override {
    io_->Turn(door.busy() ? io_->Now() : std::min(wheel_.NextDue(), door.NextDue()));
    wheel_.Advance(io_->Now());
    if (asleep) {
      return;
    }
    const size_t before = inside.size() + turned_away;
    door.Step();
    most_in_a_step = std::max(most_in_a_step, inside.size() + turned_away - before);
  }
  void Close() {
    door.Close();
    io_->Wake();
  }
  void Wake() {
    asleep = false;
    io_->Wake();
  }

  std::vector<Arrival> inside;
  size_t turned_away = 0;
  bool asleep = false;  // nobody looks who is at the door
  size_t most_in_a_step = 0;
  absl::Duration delay;
  std::vector<bool> stress;  // what was said of it, in order

 private:
  absl::Duration CommitDelay() const override { return delay; }
  bool IsProxy(const SocketAddress&) const override { return false; }
  void OnArrival(const Arrival& arrival) override { inside.push_back(arrival); }
  void OnTurnedAway() override { ++turned_away; }
  void OnStress(const Stress& said) override { stress.push_back(said.on()); }

  std::unique_ptr<Io> io_;
  TimerWheel wheel_;
  EventLog log_;
  ClientCensus census_{4096, 1};

 public:
  Door door;
};

// Connects and says nothing.
class SilentCaller final : public Actor {
 public:
  SilentCaller(World& world, Host& host, const SocketAddress& to) : io_(world.MakeIo(host)) {
    world.Attach(*io_, *this);
    io_->Connect(&connect_, to);
    io_->Wake();
  }
  void Turn() override { io_->Turn(Instant::Max()); }

 private:
  void OnConnected(const IoResult& result) { EXPECT_TRUE(result.ok()); }

  std::unique_ptr<Io> io_;
  Completion<&SilentCaller::OnConnected> connect_{this};
};

class DoorTest : public testing::Test {
 protected:
  ~DoorTest() override {
    clients_.clear();
    world_.Crash(host_, CrashMode::kAllUnsynced);
  }
  Hall& Open(const AdmissionLimits& limits) {
    hall_ = std::make_unique<Hall>(world_, host_, limits);
    return *hall_;
  }
  void Come(size_t clients) {
    for (size_t count = 0; count < clients; ++count) {
      clients_.push_back(
          std::make_unique<LineClient>(world_, outside_, host_.address().WithPort(25)));
    }
  }
  std::string LineOf(LineClient& client) {
    return client.NextLine(absl::Seconds(10)).value_or("nothing");
  }

  World world_{1};
  Host& host_ = world_.AddHost("mx2", *SocketAddress::Parse("10.0.0.1:0"));
  Host& outside_ = world_.AddHost("sender", *SocketAddress::Parse("10.0.0.2:0"));
  std::unique_ptr<Hall> hall_;
  std::vector<std::unique_ptr<LineClient>> clients_;
};

TEST_F(DoorTest, BeyondTheLimitEverybodyHearsWhyAndIsGone) {
  Hall& hall = Open({.connections_max = 3, .connections_per_client_max = 100});
  Come(20);
  world_.RunFor(absl::Seconds(1));
  EXPECT_EQ(hall.inside.size(), 3u);
  EXPECT_EQ(hall.turned_away, 17u);
  size_t refused = 0;
  for (const std::unique_ptr<LineClient>& client : clients_) {
    if (client->NextLine(absl::Seconds(1)) == "421 4.3.2 Too many connections, try again later") {
      ++refused;
      EXPECT_TRUE(client->WaitClosed(absl::Seconds(1)));
    }
  }
  EXPECT_EQ(refused, 17u);
}

TEST_F(DoorTest, OfOneClientOnlySoManyAndTheRestTakesNoPlace) {
  Hall& hall = Open({.connections_max = 5, .connections_per_client_max = 2});
  Come(10);
  world_.RunFor(absl::Seconds(1));
  EXPECT_EQ(hall.inside.size(), 2u);
  Host& other = world_.AddHost("other", *SocketAddress::Parse("10.0.0.3:0"));
  LineClient stranger(world_, other, host_.address().WithPort(25));
  world_.RunFor(absl::Seconds(1));
  EXPECT_EQ(hall.inside.size(), 3u);
  hall.door.Forget(hall.inside[0].peer);
  hall.door.Leave();
  Come(1);
  world_.RunFor(absl::Seconds(1));
  EXPECT_EQ(hall.inside.size(), 4u) << "a place that was left is taken again";
}

TEST_F(DoorTest, ACrowdIsLookedAtInPieces) {
  Hall& hall = Open({.connections_max = 1, .connections_per_client_max = 1});
  Come(Door::kWaitingMax + 500);
  world_.RunFor(absl::Seconds(5));
  EXPECT_EQ(hall.turned_away, Door::kWaitingMax + 499);
  EXPECT_LE(hall.most_in_a_step, Door::kPerStep);
  EXPECT_GT(hall.most_in_a_step, 1u);
}

TEST_F(DoorTest, WhoTalksBeforeItIsGreetedHearsWhyToo) {
  Open({.connections_max = 0, .connections_per_client_max = 1});
  Come(1);
  clients_[0]->Send("EHLO client.example\r\nQUIT\r\n");
  EXPECT_EQ(LineOf(*clients_[0]), "421 4.3.2 Too many connections, try again later");
  EXPECT_TRUE(clients_[0]->WaitClosed(absl::Seconds(1)));
}

// A health check, for instance. It has no address any more by which it could be judged.
TEST_F(DoorTest, WhoIsGoneBeforeAnybodyLooksIsNobody) {
  Hall& hall = Open({.connections_max = 5, .connections_per_client_max = 1});
  hall.asleep = true;
  SilentCaller first(world_, outside_, host_.address().WithPort(25));
  SilentCaller second(world_, outside_, host_.address().WithPort(25));
  world_.RunFor(absl::Seconds(1));
  world_.Crash(outside_, CrashMode::kAllUnsynced);
  world_.RunFor(absl::Seconds(1));
  hall.Wake();
  world_.RunFor(absl::Seconds(1));
  EXPECT_EQ(hall.inside.size(), 0u);
  EXPECT_EQ(hall.turned_away, 0u);
  EXPECT_FALSE(hall.door.busy());
}

TEST_F(DoorTest, NearlyAllPlacesTakenIsStressAndIsSaidOnce) {
  Hall& hall = Open({.connections_max = 10, .connections_per_client_max = 100});
  Come(9);
  world_.RunFor(absl::Seconds(1));
  EXPECT_TRUE(hall.stress.empty());
  Come(5);
  world_.RunFor(absl::Minutes(5));
  EXPECT_EQ(hall.stress, std::vector<bool>{true});
  EXPECT_TRUE(hall.door.under_stress());
  hall.Wake();  // looks once more
  world_.RunFor(absl::Milliseconds(1));
  for (int count = 0; count < 3; ++count) {
    hall.door.Leave();
  }
  hall.Wake();
  world_.RunFor(Stress::kCalm - absl::Seconds(1));
  EXPECT_TRUE(hall.door.under_stress());
  world_.RunFor(absl::Seconds(2));  // and nobody comes or goes
  EXPECT_EQ(hall.stress, (std::vector<bool>{true, false}));
}

TEST_F(DoorTest, ADiskThatIsBehindIsStress) {
  Hall& hall = Open({.connections_max = 10, .connections_per_client_max = 10});
  hall.delay = Admission::kBusyDelay + absl::Seconds(1);
  hall.Wake();
  world_.RunFor(absl::Seconds(1));
  EXPECT_EQ(hall.stress, std::vector<bool>{true});
}

TEST_F(DoorTest, ASlowDiskAndAClosedDoorRefuseAll) {
  Hall& hall = Open({.connections_max = 10, .connections_per_client_max = 10});
  hall.delay = absl::Hours(1);
  Come(1);
  EXPECT_EQ(LineOf(*clients_[0]), "421 4.3.2 System busy, try again later");
  hall.Close();
  world_.RunFor(absl::Seconds(1));
  EXPECT_TRUE(hall.door.closed());
}

}  // namespace
}  // namespace backstay
