// tests/core/shard/listener_test.cc -- without descriptors: so many tries a second, then on again.
#include "core/shard/listener.h"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "io/sim/world.h"
#include "tests/support/line_client.h"

namespace backstay {
namespace {

// One listener on a shard of its own. Each try to accept that fails costs it a turn.
class Porch final : public Actor, private ListenerEvents {
 public:
  Porch(World& world, Host& host)
      : io_(world.MakeIo(host)),
        wheel_(io_->Now()),
        listener(*io_, wheel_, *this, *io_->Listen(host.address().WithPort(25), 16), 0) {
    world.Attach(*io_, *this);
    listener.Start();
    io_->Wake();
  }
  void Turn() override {
    ++turns;
    io_->Turn(wheel_.NextDue());
    wheel_.Advance(io_->Now());
  }
  void Stop() {
    listener.Stop();
    io_->Wake();
  }

  size_t turns = 0;
  size_t accepted = 0;

 private:
  void OnAccepted(Fd, uint32_t) override { ++accepted; }

  std::unique_ptr<Io> io_;
  TimerWheel wheel_;

 public:
  Listener listener;
};

class ListenerTest : public testing::Test {
 protected:
  ListenerTest() { LetAccept(false); }
  ~ListenerTest() override {
    client_.reset();
    world_.Crash(host_, CrashMode::kAllUnsynced);
  }
  void LetAccept(bool has_descriptors) {
    FaultPlan plan = FaultPlan::None();
    plan.accept_no_descriptors = has_descriptors ? 0 : 1'000'000;
    world_.SetPlan(plan);
  }
  void Come() {
    client_ = std::make_unique<LineClient>(world_, outside_, host_.address().WithPort(25));
  }

  World world_{1};
  Host& host_ = world_.AddHost("mx2", *SocketAddress::Parse("10.0.0.1:0"));
  Host& outside_ = world_.AddHost("sender", *SocketAddress::Parse("10.0.0.2:0"));
  Porch porch_{world_, host_};
  std::unique_ptr<LineClient> client_;
};

TEST_F(ListenerTest, WithoutDescriptorsItTriesTenTimesASecondAndThenTakesWhoWaited) {
  Come();
  world_.RunFor(absl::Seconds(1));
  const size_t before = porch_.turns;
  world_.RunFor(absl::Seconds(1));
  EXPECT_GE(porch_.turns - before, 9u);
  // A turn for the alarm, one for the failure, and the wheel may look a few times in between.
  EXPECT_LE(porch_.turns - before, 100u);
  EXPECT_EQ(porch_.accepted, 0u);
  LetAccept(true);
  world_.RunFor(absl::Milliseconds(200));
  EXPECT_EQ(porch_.accepted, 1u);
}

TEST_F(ListenerTest, StoppedWhileItPausesItTriesNoMore) {
  Come();
  world_.RunFor(absl::Seconds(1));
  porch_.Stop();
  world_.RunFor(absl::Milliseconds(250));
  EXPECT_TRUE(porch_.listener.closed());
  const size_t before = porch_.turns;
  LetAccept(true);
  world_.RunFor(absl::Seconds(1));
  EXPECT_EQ(porch_.accepted, 0u);
  EXPECT_LE(porch_.turns - before, 2u);
}

}  // namespace
}  // namespace backstay
