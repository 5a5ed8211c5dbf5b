// tests/core/queue/timer_wheel_test.cc -- against a sorted list of ticks, and at the edges of the slots.
#include "core/queue/timer_wheel.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "core/base/random.h"

namespace backstay {
namespace {

constexpr int64_t kMillisecond = 1'000'000;

Instant At(int64_t milliseconds) {
  return Instant::FromNanoseconds(milliseconds * kMillisecond);
}

// Notes when it fires; may be told to do something then.
class Probe : public Timer {
 public:
  Probe(std::vector<int>& fired, int name) : fired_(fired), name_(name) {}
  void OnTimer() override {
    fired_.push_back(name_);
    if (then != nullptr) {
      then(*this);
    }
  }
  void (*then)(Probe&) = nullptr;
  TimerWheel* wheel = nullptr;
  Instant again;
  Probe* other = nullptr;

 private:
  std::vector<int>& fired_;
  const int name_;
};

TEST(TimerWheel, EmptyHasNothingDue) {
  TimerWheel wheel(At(5));
  EXPECT_EQ(wheel.NextDue(), Instant::Max());
  wheel.Advance(At(1'000'000'000));
  EXPECT_EQ(wheel.NextDue(), Instant::Max());
}

TEST(TimerWheel, FiresAtItsTickNeitherBeforeNorLater) {
  // 64 and 4096 are where a level ends; the others lie around.
  for (const int64_t due : {1, 2, 63, 64, 65, 127, 128, 4095, 4096, 4097, 262143, 262144, 262145,
                            16777216, 86'400'000, 432'000'000}) {
    for (const int64_t start : {0, 1, 63, 64, 4095, 1'000'000}) {
      std::vector<int> fired;
      Probe timer(fired, 1);
      TimerWheel wheel(At(start));
      wheel.Insert(&timer, At(start + due));
      EXPECT_LE(wheel.NextDue(), At(start + due));
      wheel.Advance(At(start + due - 1));
      EXPECT_TRUE(fired.empty()) << start << "+" << due;
      EXPECT_TRUE(timer.armed());
      wheel.Advance(At(start + due));
      EXPECT_EQ(fired.size(), 1u) << start << "+" << due;
      EXPECT_FALSE(timer.armed());
      EXPECT_EQ(wheel.NextDue(), Instant::Max());
    }
  }
}

TEST(TimerWheel, PartsOfAMillisecondAreRoundedUp) {
  std::vector<int> fired;
  Probe timer(fired, 1);
  TimerWheel wheel(At(0));
  wheel.Insert(&timer, Instant::FromNanoseconds(5 * kMillisecond + 1));
  wheel.Advance(Instant::FromNanoseconds(6 * kMillisecond - 1));
  EXPECT_TRUE(fired.empty());
  wheel.Advance(At(6));
  EXPECT_EQ(fired.size(), 1u);
}

TEST(TimerWheel, WakingAtNextDueAlwaysGetsThere) {
  std::vector<int> fired;
  Probe timer(fired, 1);
  TimerWheel wheel(At(17));
  const Instant due = Instant::FromNanoseconds(432'000'123 * kMillisecond + 5);
  wheel.Insert(&timer, due);
  int wakes = 0;
  for (; fired.empty() && wakes < 20; ++wakes) {
    const Instant wake = wheel.NextDue();
    wheel.Advance(wake);
    EXPECT_TRUE(!fired.empty() || wheel.NextDue() > wake);  // no spinning
  }
  EXPECT_EQ(fired.size(), 1u);
  EXPECT_LE(wakes, 7);  // once a level
}

TEST(TimerWheel, DueNowOrEarlierFiresInTheNextAdvance) {
  std::vector<int> fired;
  Probe now(fired, 1);
  Probe past(fired, 2);
  TimerWheel wheel(At(100));
  wheel.Insert(&now, At(100));
  wheel.Insert(&past, At(3));
  EXPECT_LE(wheel.NextDue(), At(100));
  wheel.Advance(At(100));
  EXPECT_EQ(fired.size(), 2u);
}

TEST(TimerWheel, MaxIsNever) {
  std::vector<int> fired;
  Probe timer(fired, 1);
  TimerWheel wheel(At(0));
  wheel.Insert(&timer, At(5));
  wheel.Insert(&timer, Instant::Max());  // moves it out
  EXPECT_FALSE(timer.armed());
  EXPECT_EQ(wheel.NextDue(), Instant::Max());
}

TEST(TimerWheel, YearsAheadAreSortedAgainUntilTheyFit) {
  std::vector<int> fired;
  Probe timer(fired, 1);
  TimerWheel wheel(At(0));
  const int64_t due = int64_t{10} * 366 * 86'400'000;
  wheel.Insert(&timer, At(due));
  for (int wake = 0; wake < 50 && fired.empty(); ++wake) {
    const Instant next = wheel.NextDue();
    ASSERT_LE(next, At(due));
    wheel.Advance(next);
  }
  EXPECT_EQ(fired.size(), 1u);
}

TEST(TimerWheel, OneJumpRunsEverythingInOrder) {
  std::vector<int> fired;
  TimerWheel wheel(At(0));
  std::vector<std::unique_ptr<Probe>> timers;
  const int64_t dues[] = {86'400'000, 1, 64, 5000, 63, 4096, 300'000, 2};
  for (const int64_t due : dues) {
    timers.push_back(std::make_unique<Probe>(fired, static_cast<int>(due)));
    wheel.Insert(timers.back().get(), At(due));
  }
  wheel.Advance(At(90'000'000));
  EXPECT_EQ(fired, (std::vector<int>{1, 2, 63, 64, 4096, 5000, 300'000, 86'400'000}));
}

TEST(TimerWheel, CancelAndDeathAndMoveTakeATimerOut) {
  std::vector<int> fired;
  TimerWheel wheel(At(0));
  Probe canceled(fired, 1);
  Probe moved(fired, 2);
  {
    Probe dies(fired, 3);
    wheel.Insert(&dies, At(10));
    wheel.Insert(&canceled, At(10));
    wheel.Insert(&moved, At(10));
  }
  wheel.Cancel(&canceled);
  wheel.Cancel(&canceled);  // twice is harmless
  wheel.Insert(&moved, At(20));
  wheel.Advance(At(19));
  EXPECT_TRUE(fired.empty());
  wheel.Advance(At(20));
  EXPECT_EQ(fired, (std::vector<int>{2}));
}

TEST(TimerWheel, ACallbackMayInsertItselfAgain) {
  std::vector<int> fired;
  TimerWheel wheel(At(0));
  Probe timer(fired, 1);
  timer.wheel = &wheel;
  timer.then = [](Probe& probe) {
    probe.again = probe.again + absl::Milliseconds(10);
    probe.wheel->Insert(&probe, probe.again);
  };
  timer.again = At(10);
  wheel.Insert(&timer, At(10));
  wheel.Advance(At(25));
  EXPECT_EQ(fired.size(), 2u);  // at 10 and 20
  wheel.Advance(At(30));
  EXPECT_EQ(fired.size(), 3u);
}

TEST(TimerWheel, ATimerThatIsAlwaysDueDoesNotHoldAdvance) {
  std::vector<int> fired;
  TimerWheel wheel(At(0));
  Probe timer(fired, 1);
  timer.wheel = &wheel;
  timer.then = [](Probe& probe) { probe.wheel->Insert(&probe, At(0)); };
  wheel.Insert(&timer, At(5));
  wheel.Advance(At(500));
  EXPECT_EQ(fired.size(), 1u);
  EXPECT_LE(wheel.NextDue(), At(500));
  wheel.Advance(At(500));
  EXPECT_EQ(fired.size(), 2u);
}

TEST(TimerWheel, ACallbackMayCancelOneThatIsDueToo) {
  std::vector<int> fired;
  TimerWheel wheel(At(0));
  Probe first(fired, 1);
  Probe second(fired, 2);
  Probe later(fired, 3);
  first.wheel = &wheel;
  first.other = &second;
  first.then = [](Probe& probe) { probe.wheel->Cancel(probe.other); };
  wheel.Insert(&first, At(10));
  wheel.Insert(&second, At(10));
  wheel.Insert(&later, At(11));
  wheel.Advance(At(11));
  EXPECT_EQ(fired, (std::vector<int>{1, 3}));
}

// ---- random operations against a sorted model ----

class Model {
 public:
  explicit Model(uint64_t seed) : random_(seed), wheel_(At(Start())) {
    for (int name = 0; name < 60; ++name) {
      timers_.push_back(std::make_unique<Probe>(fired_, name));
    }
  }

  void Step() {
    const int name = static_cast<int>(random_.Below(timers_.size()));
    Probe* timer = timers_[static_cast<size_t>(name)].get();
    switch (random_.Below(8)) {
      case 0:
        wheel_.Cancel(timer);
        due_.erase(name);
        break;
      case 1:
      case 2:
        Advance(random_.Below(8) == 0 ? Far() : static_cast<int64_t>(random_.Below(100)));
        break;
      case 3:
        if (wheel_.NextDue() != Instant::Max()) {
          Advance(wheel_.NextDue().nanoseconds() / kMillisecond - now_);
        }
        break;
      default: {
        const int64_t due =
            now_ + (random_.Below(2) == 0 ? Far() : static_cast<int64_t>(random_.Below(200)));
        wheel_.Insert(timer, At(due));
        due_[name] = due;
        break;
      }
    }
    CheckNextDue();
  }

 private:
  int64_t Start() {
    now_ = static_cast<int64_t>(random_.Below(uint64_t{1} << 40));
    return now_;
  }
  // Any number of digits, equally likely.
  int64_t Far() { return static_cast<int64_t>(random_.Next() >> (30 + random_.Below(34))); }

  void Advance(int64_t milliseconds) {
    if (milliseconds < 0) {
      return;  // NextDue() of what is already due
    }
    now_ += milliseconds;
    fired_.clear();
    wheel_.Advance(At(now_));
    int64_t last = 0;
    for (const int name : fired_) {
      ASSERT_TRUE(due_.contains(name));
      ASSERT_LE(due_[name], now_);
      ASSERT_GE(std::max(due_[name], start_), last);  // in order; what was late comes first
      last = std::max(due_[name], start_);
      due_.erase(name);
    }
    for (const auto& [name, due] : due_) {
      ASSERT_GT(due, now_) << name;
    }
    start_ = now_;
  }

  void CheckNextDue() {
    int64_t earliest = -1;
    for (const auto& [name, due] : due_) {
      earliest = earliest < 0 ? due : std::min(earliest, due);
    }
    if (earliest < 0) {
      ASSERT_EQ(wheel_.NextDue(), Instant::Max());
    } else {
      ASSERT_LE(wheel_.NextDue(), At(std::max(earliest, now_)));
    }
  }

  Random random_;
  int64_t now_ = 0;
  int64_t start_ = 0;  // of the last Advance
  std::vector<int> fired_;
  std::map<int, int64_t> due_;
  TimerWheel wheel_;
  std::vector<std::unique_ptr<Probe>> timers_;
};

TEST(TimerWheel, RandomOperationsFollowASortedModel) {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    Model model(seed);
    for (int step = 0; step < 800; ++step) {
      model.Step();
      ASSERT_FALSE(::testing::Test::HasFatalFailure()) << "seed " << seed << " step " << step;
    }
  }
}

}  // namespace
}  // namespace backstay
