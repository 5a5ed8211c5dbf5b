// tests/io/sim_world_test.cc -- time, turns, actors and crash points of the simulated world.
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "io/sim/backend.h"
#include "io/sim/faults.h"
#include "io/sim/host.h"
#include "io/sim/world.h"
#include "tests/io/sim_support.h"

namespace backstay {
namespace {

// Wakes at fixed times and notes when it was called.
class Clock : public Actor {
 public:
  explicit Clock(Io& io) : io_(io) {}
  void Turn() override {
    io_.Turn(next_);
    ++turns;
    if (io_.Now() >= next_) {
      fired.push_back(io_.Now());
      next_ = io_.Now() + period;  // set after Io::Turn, as an engine does
    }
  }
  absl::Duration period = absl::Minutes(10);
  std::vector<Instant> fired;
  int turns = 0;

 private:
  Io& io_;
  Instant next_;
};

struct Ordered : Op {
  Ordered(std::string& to, char letter) : Op(&OnEvent), order(to), name(letter) {}
  static void OnEvent(Op* op, const IoResult&) {
    Ordered* self = static_cast<Ordered*>(op);
    self->order += self->name;
  }
  std::string& order;
  const char name;
};

TEST(World, HoursPassInAFewEventsAndWakeTimesAreKept) {
  World world(1);
  const std::unique_ptr<Io> io = world.MakeIo(world.AddHost("mx2", TestAddress(1)));
  Clock clock(*io);
  world.Attach(*io, clock);
  const Instant start = world.Now();
  world.RunFor(absl::Hours(1));
  EXPECT_EQ(world.Now() - start, absl::Hours(1));
  EXPECT_EQ(clock.fired.size(), 7u);
  EXPECT_EQ(clock.fired[1] - clock.fired[0], absl::Minutes(10));
  EXPECT_LE(clock.turns, 14);  // one with work, one that asks for the next wake time
  world.Detach(*io);
  world.RunFor(absl::Hours(1));
  EXPECT_EQ(clock.fired.size(), 7u);
}

TEST(World, LoopThatNeverWaitsTakesTime) {
  World world(1);
  const std::unique_ptr<Io> io = world.MakeIo(world.AddHost("mx2", TestAddress(1)));
  Clock clock(*io);
  clock.period = absl::ZeroDuration();
  world.Attach(*io, clock);
  world.RunFor(absl::Milliseconds(1));
  EXPECT_GE(clock.turns, 49);
  EXPECT_LE(clock.turns, 51);
  world.Detach(*io);
}

TEST(World, WakeEndsTheWaitOfAnAttachedAndOfAFreeIo) {
  World world(1);
  Host& host = world.AddHost("mx2", TestAddress(1));
  const std::unique_ptr<Io> attached = world.MakeIo(host);
  const std::unique_ptr<Io> free = world.MakeIo(host);
  Clock clock(*attached);
  world.Attach(*attached, clock);
  world.RunFor(absl::Seconds(1));
  const int before = clock.turns;
  attached->Wake();
  world.RunFor(absl::Seconds(1));
  EXPECT_GT(clock.turns, before);
  free->Wake();
  const Instant start = world.Now();
  free->Turn(start + absl::Hours(1));
  EXPECT_LT(world.Now() - start, absl::Seconds(1));
  world.Detach(*attached);
}

TEST(World, NowIsConstantDuringATurnAndTheWallClockCanJump) {
  World world(1);
  const std::unique_ptr<Io> io = world.MakeIo(world.AddHost("mx2", TestAddress(1)));
  const Instant now = io->Now();
  const WallTime wall = io->WallNow();
  EXPECT_EQ(
      absl::FormatTime("%Y-%m-%d", absl::FromUnixNanos(wall.nanoseconds()), absl::UTCTimeZone()),
      "2026-01-01");
  world.RunFor(absl::Hours(1));
  world.StepWallClock(-absl::Hours(10));
  EXPECT_EQ(io->Now(), now);
  EXPECT_EQ(io->WallNow(), wall);
  io->Turn(Instant());
  EXPECT_GE(io->Now() - now, absl::Hours(1));
  EXPECT_EQ(io->WallNow() - wall, (io->Now() - now) - absl::Hours(10));
}

TEST(World, EachIoHasRandomnessOfItsOwnFromTheSeed) {
  World world(7);
  World same(7);
  World other(8);
  Host& host = world.AddHost("mx2", TestAddress(1));
  const std::unique_ptr<Io> first = world.MakeIo(host);
  const std::unique_ptr<Io> second = world.MakeIo(host);
  const std::unique_ptr<Io> first_again = same.MakeIo(same.AddHost("mx2", TestAddress(1)));
  const std::unique_ptr<Io> different = other.MakeIo(other.AddHost("mx2", TestAddress(1)));
  const uint64_t drawn = first->random().Next();
  EXPECT_EQ(drawn, first_again->random().Next());
  EXPECT_NE(drawn, second->random().Next());
  EXPECT_NE(drawn, different->random().Next());
}

TEST(World, DrivingStopsAtTheCrashPointUntilTheCrash) {
  World world(1);
  Host& host = world.AddHost("mx2", TestAddress(1));
  std::unique_ptr<Io> io = world.MakeIo(host);
  Clock clock(*io);
  world.Attach(*io, clock);
  const uint64_t before = world.events();
  world.CrashAfterEvent(5);
  EXPECT_FALSE(world.RunUntil([] { return false; }, absl::Hours(100)));
  EXPECT_TRUE(world.crash_due());
  EXPECT_EQ(world.events(), before + 5);
  EXPECT_FALSE(world.Step());
  world.Crash(host, CrashMode::kRandom);
  EXPECT_FALSE(world.crash_due());
  io.reset();
  const int turns = clock.turns;
  world.RunFor(absl::Hours(1));
  EXPECT_EQ(clock.turns, turns);  // a dead Io has no turns
}

TEST(World, CrashDropsOpsWithoutCompletionSoTheirOwnersMayDie) {
  World world(1);
  Host& host = world.AddHost("mx2", TestAddress(1));
  std::unique_ptr<Io> io = world.MakeIo(host);
  auto accept = std::make_unique<Recorder>();
  auto open = std::make_unique<Recorder>();
  const Fd listener = *io->Listen(TestAddress(1, 25), 1);
  io->Accept(accept.get(), listener);
  io->Open(open.get(), *io->OpenDirectory("/spool", true), "log", OpenMode::kCreateNew);
  world.Crash(host, CrashMode::kNothingUnsynced);
  EXPECT_FALSE(accept->in_flight);
  EXPECT_FALSE(open->in_flight);
  accept.reset();
  open.reset();
  io->Close(listener);  // destructors of its owners may still do so
  io.reset();
  world.RunFor(absl::Seconds(1));
}

TEST(World, CompletionsComeInDrawnOrder) {
  World world(1);
  Program program(world, world.AddHost("mx2", TestAddress(1)));
  const Fd file = program.Open(program.Directory(), "log").fd();
  std::set<std::string> orders;
  for (int round = 0; round < 20; ++round) {
    std::string order;
    Ordered reads[3] = {{order, 'a'}, {order, 'b'}, {order, 'c'}};
    uint8_t into[3];
    for (int index = 0; index < 3; ++index) {
      program.io().Read(&reads[index], file, {&into[index], 1}, Offset{0});
    }
    world.RunFor(absl::Seconds(1));  // all are ready before the turn
    program.io().Turn(Instant());
    ASSERT_EQ(order.size(), 3u);
    orders.insert(order);
  }
  EXPECT_EQ(orders.size(), 6u);
}

TEST(World, MisuseOfIoEndsTheProcess) {
  World world(1);
  Host& host = world.AddHost("mx2", TestAddress(1));
  Program program(world, host);
  const Fd directory = program.Directory();
  const Fd file = program.Open(directory, "log").fd();
  EXPECT_DEATH(
      {
        Recorder sync;
        program.io().SyncData(&sync, file);
        program.io().Close(file);
      },
      "InFlightOn");
  EXPECT_DEATH(
      {
        Recorder sync;
        program.io().SyncData(&sync, file);
        program.io().SyncData(&sync, file);
      },
      "in_flight");
  program.io().Close(file);
  EXPECT_DEATH(program.io().Close(file), "descriptor");
  EXPECT_DEATH(program.io().Turn(Instant::Max()), "wake");  // it would wait for ever
}

TEST(FaultPlan, PrintsItsSwarmAndLosesItsFailuresForTheLivenessPhase) {
  EXPECT_EQ(FaultPlan::Draw(3).ToString(), FaultPlan::Draw(3).ToString());
  EXPECT_NE(FaultPlan::Draw(3).ToString(), FaultPlan::Draw(4).ToString());
  int with_sync_error = 0;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    const FaultPlan plan = FaultPlan::Draw(seed);
    with_sync_error += plan.sync_error > 0 ? 1 : 0;
    const FaultPlan calm = plan.WithoutFailures();
    EXPECT_EQ(calm.sync_error + calm.reset + calm.connect_fails + calm.write_error, 0u);
    EXPECT_EQ(calm.split, plan.split);
  }
  EXPECT_GT(with_sync_error, 20);
  EXPECT_LT(with_sync_error, 120);
  EXPECT_EQ(FaultPlan::None().ToString().find("reset"), std::string::npos);
}

}  // namespace
}  // namespace backstay
