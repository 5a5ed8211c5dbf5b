// core/queue/timer_wheel.cc -- slots of 1 ms, 64 ms, 4 s, 4 min, 5 h, 12 days.
#include "core/queue/timer_wheel.h"

#include <algorithm>
#include <limits>

#include "core/base/check.h"

namespace backstay {
namespace {

constexpr int64_t kTickNanoseconds = 1'000'000;
constexpr int64_t kNoTick = std::numeric_limits<int64_t>::max();

}  // namespace

TimerWheel::TimerWheel(Instant now) : current_(now.nanoseconds() / kTickNanoseconds) {}

void TimerWheel::Insert(Timer* timer, Instant due) {
  timer->Unlink();
  if (due == Instant::Max()) {
    return;
  }
  timer->tick_ =
      due.nanoseconds() / kTickNanoseconds + (due.nanoseconds() % kTickNanoseconds > 0 ? 1 : 0);
  Place(timer);
}

void TimerWheel::Place(Timer* timer) {
  if (timer->tick_ <= current_) {
    ready_.PushBack(timer);
    return;
  }
  // The level is that of the highest digit in which the tick differs from now; a slot of it is
  // sorted into the levels below when its time begins.
  size_t level = 0;
  for (size_t higher = 1; higher < kLevels; ++higher) {
    if ((timer->tick_ >> (static_cast<int>(higher) * kSlotBits)) !=
        (current_ >> (static_cast<int>(higher) * kSlotBits))) {
      level = higher;
    }
  }
  slots_[level][SlotOf(timer->tick_, level)].PushBack(timer);
}

// The next tick at which something fires or must be sorted.
int64_t TimerWheel::NextTick() const {
  int64_t next = kNoTick;
  for (size_t level = 0; level < kLevels; ++level) {
    const int shift = static_cast<int>(level) * kSlotBits;
    const int64_t base = current_ >> shift;
    for (int64_t ahead = 1; ahead <= static_cast<int64_t>(kSlots); ++ahead) {
      if (!slots_[level][static_cast<size_t>(base + ahead) & (kSlots - 1)].empty()) {
        next = std::min(next, (base + ahead) << shift);
        break;
      }
    }
  }
  return next;
}

Instant TimerWheel::NextDue() const {
  if (!ready_.empty()) {
    return Instant::FromNanoseconds(current_ * kTickNanoseconds);
  }
  const int64_t tick = NextTick();
  return tick == kNoTick ? Instant::Max() : Instant::FromNanoseconds(tick * kTickNanoseconds);
}

// current_ has just become the start of a slot in some levels: their timers move down.
void TimerWheel::Cascade() {
  for (size_t level = kLevels - 1; level > 0; --level) {
    const int shift = static_cast<int>(level) * kSlotBits;
    if ((current_ & ((int64_t{1} << shift) - 1)) != 0) {
      continue;
    }
    List<Timer> moving;
    moving.TakeAll(slots_[level][SlotOf(current_, level)]);
    while (Timer* timer = moving.PopFront()) {
      Place(timer);
    }
  }
}

void TimerWheel::Advance(Instant now) {
  const int64_t target = now.nanoseconds() / kTickNanoseconds;
  List<Timer> due;
  due.TakeAll(ready_);
  for (;;) {
    while (Timer* timer = due.PopFront()) {
      timer->OnTimer();
    }
    const int64_t next = NextTick();
    if (next > target) {
      break;
    }
    current_ = next;
    List<Timer> early;  // what callbacks made due meanwhile waits for the next Advance
    early.TakeAll(ready_);
    due.TakeAll(slots_[0][SlotOf(current_, 0)]);
    Cascade();
    due.TakeAll(ready_);  // sorted down to exactly this tick
    ready_.TakeAll(early);
  }
  current_ = std::max(current_, target);
}

}  // namespace backstay
