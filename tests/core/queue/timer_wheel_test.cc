// tests/core/queue/timer_wheel_test.cc -- never early, at most a tick late, in order; against a
// model.
#include "core/queue/timer_wheel.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "core/base/random.h"

namespace backstay {
namespace {

Instant At(absl::Duration since_start) {
  return Instant::FromNanoseconds(1'000'000'007) + since_start;
}

class Recorder : public Timer {
 public:
  Recorder(std::vector<int>& fired, int name) : fired_(fired), name_(name) {}
  void OnTimer() override { fired_.push_back(name_); }

 private:
  std::vector<int>& fired_;
  const int name_;
};

TEST(TimerWheel, FiresNotBeforeAndAtMostATickAfterItsTime) {
  for (const absl::Duration delay :
       {absl::Nanoseconds(1), absl::Milliseconds(1), absl::Milliseconds(63), absl::Milliseconds(64),
        absl::Milliseconds(65), absl::Milliseconds(4095), absl::Milliseconds(4096),
        absl::Minutes(5), absl::Hours(30), absl::Hours(24 * 40)}) {
    std::vector<int> fired;
    TimerWheel wheel(At(absl::ZeroDuration()));
    Recorder timer(fired, 1);
    wheel.Insert(&timer, At(delay));
    wheel.Advance(At(delay) - absl::Nanoseconds(1));
    EXPECT_TRUE(fired.empty()) << delay;
    EXPECT_LE(wheel.NextDue(), At(delay) + absl::Milliseconds(1)) << delay;
    wheel.Advance(At(delay) + absl::Milliseconds(1));
    EXPECT_EQ(fired.size(), 1U) << delay;
  }
}

TEST(TimerWheel, RunsInOrderOfTime) {
  std::vector<int> fired;
  TimerWheel wheel(At(absl::ZeroDuration()));
  Recorder late(fired, 3);
  Recorder early(fired, 1);
  Recorder middle(fired, 2);
  wheel.Insert(&late, At(absl::Hours(2)));
  wheel.Insert(&early, At(absl::Milliseconds(5)));
  wheel.Insert(&middle, At(absl::Seconds(70)));
  wheel.Advance(At(absl::Hours(3)));
  EXPECT_EQ(fired, (std::vector<int>{1, 2, 3}));
}

TEST(TimerWheel, CancelAndDeathKeepATimerFromFiring) {
  std::vector<int> fired;
  TimerWheel wheel(At(absl::ZeroDuration()));
  Recorder canceled(fired, 1);
  wheel.Insert(&canceled, At(absl::Seconds(1)));
  {
    Recorder dead(fired, 2);
    wheel.Insert(&dead, At(absl::Seconds(1)));
  }
  wheel.Cancel(&canceled);
  EXPECT_EQ(wheel.NextDue(), Instant::Max());
  wheel.Advance(At(absl::Seconds(2)));
  EXPECT_TRUE(fired.empty());
}

TEST(TimerWheel, InsertingAgainMovesIt) {
  std::vector<int> fired;
  TimerWheel wheel(At(absl::ZeroDuration()));
  Recorder timer(fired, 1);
  wheel.Insert(&timer, At(absl::Seconds(1)));
  wheel.Insert(&timer, At(absl::Seconds(5)));
  wheel.Advance(At(absl::Seconds(4)));
  EXPECT_TRUE(fired.empty());
  wheel.Advance(At(absl::Seconds(6)));
  EXPECT_EQ(fired.size(), 1U);
}

class Repeater : public Timer {
 public:
  Repeater(TimerWheel& wheel, absl::Duration every) : wheel_(wheel), every_(every) {}
  void OnTimer() override {
    ++count;
    due = due + every_;
    wheel_.Insert(this, due);
  }
  int count = 0;
  Instant due;

 private:
  TimerWheel& wheel_;
  absl::Duration every_;
};

TEST(TimerWheel, ATimerMayInsertItselfAgain) {
  TimerWheel wheel(At(absl::ZeroDuration()));
  Repeater timer(wheel, absl::Milliseconds(10));
  timer.due = At(absl::Milliseconds(10));
  wheel.Insert(&timer, timer.due);
  wheel.Advance(At(absl::Milliseconds(101)));
  EXPECT_EQ(timer.count, 10);
}

TEST(TimerWheel, WhatIsDueAtOnceWaitsForTheNextAdvance) {
  TimerWheel wheel(At(absl::ZeroDuration()));
  Repeater timer(wheel, absl::ZeroDuration());  // would loop for ever otherwise
  timer.due = At(absl::ZeroDuration());
  wheel.Insert(&timer, timer.due);
  wheel.Advance(At(absl::Milliseconds(1)));
  EXPECT_EQ(timer.count, 1);
  EXPECT_LE(wheel.NextDue(), At(absl::Milliseconds(1)));
  wheel.Advance(At(absl::Milliseconds(1)));
  EXPECT_EQ(timer.count, 2);
}

struct Modeled {
  std::unique_ptr<Recorder> timer;
  std::optional<Instant> due;
};

// Random inserts, cancels and advances over all levels, compared with a list of due times.
TEST(TimerWheel, AgreesWithASortedModel) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Random random(seed);
    std::vector<int> fired;
    TimerWheel wheel(At(absl::ZeroDuration()));
    std::vector<Modeled> timers(60);
    for (size_t name = 0; name < timers.size(); ++name) {
      timers[name].timer = std::make_unique<Recorder>(fired, static_cast<int>(name));
    }
    Instant now = At(absl::ZeroDuration());
    for (int step = 0; step < 2000; ++step) {
      Modeled& chosen = timers[random.Below(timers.size())];
      if (random.Chance(1, 5)) {
        wheel.Cancel(chosen.timer.get());
        chosen.due.reset();
      } else {
        chosen.due = now + absl::Milliseconds(random.Below(uint64_t{1} << random.Below(32)));
        wheel.Insert(chosen.timer.get(), *chosen.due);
      }
      if (random.Chance(1, 4)) {
        now = now + absl::Milliseconds(random.Below(uint64_t{1} << random.Below(30)));
        fired.clear();
        wheel.Advance(now);
        for (size_t name = 0; name < timers.size(); ++name) {
          Modeled& timer = timers[name];
          const bool did =
              std::find(fired.begin(), fired.end(), static_cast<int>(name)) != fired.end();
          if (timer.due.has_value() && *timer.due + absl::Milliseconds(1) <= now) {
            ASSERT_TRUE(did) << "seed " << seed << " step " << step;
          }
          if (did) {
            ASSERT_TRUE(timer.due.has_value() && *timer.due <= now) << "seed " << seed;
            timer.due.reset();
          }
        }
      }
      Instant earliest = Instant::Max();
      for (const Modeled& timer : timers) {
        earliest = std::min(earliest, timer.due.value_or(Instant::Max()));
      }
      ASSERT_LE(wheel.NextDue(), earliest + absl::Milliseconds(1)) << "seed " << seed;
    }
  }
}

}  // namespace
}  // namespace backstay
