// core/queue/timer_wheel.h -- hierarchical wheel over Instant: O(1) insert and cancel, bounded
// turns.
//
// Owns:     nothing; timers are embedded in their owners and unlink themselves when they die.
// Units:    ticks of 1 ms, rounded up: a timer never fires early, and at most 1 ms late by the
//           wheel.
// Turn:     Advance() runs what is due, in order of due tick; a callback may insert, cancel and
//           destroy.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "core/base/list.h"
#include "core/base/units.h"

namespace backstay {

class Timer : public ListNode {
 public:
  virtual void OnTimer() = 0;
  bool armed() const { return linked(); }

 protected:
  Timer() = default;
  ~Timer() = default;

 private:
  friend class TimerWheel;
  int64_t tick_ = 0;
};

// Alarm<&Route::OnDue> alarm_{this}; -- a timer that calls a method of its owner.
template <auto Method>
class Alarm;

template <typename Owner, void (Owner::*Method)()>
class Alarm<Method> final : public Timer {
 public:
  explicit Alarm(Owner* owner) : owner_(owner) {}
  void OnTimer() override { (owner_->*Method)(); }

 private:
  Owner* const owner_;
};

class TimerWheel {
 public:
  explicit TimerWheel(Instant now);
  TimerWheel(const TimerWheel&) = delete;
  TimerWheel& operator=(const TimerWheel&) = delete;

  // Re-inserting an armed timer moves it. Due now or earlier: fires in the next Advance.
  void Insert(Timer* timer, Instant due);
  void Cancel(Timer* timer) { timer->Unlink(); }
  void Advance(Instant now);
  // Never later than the earliest timer; may be earlier (then Advance only sorts). Max(): none.
  Instant NextDue() const;

 private:
  static constexpr int kSlotBits = 6;
  static constexpr size_t kSlots = size_t{1} << kSlotBits;
  // 2^36 ms are over two years; later timers wait in the last level and are sorted again.
  static constexpr size_t kLevels = 6;

  size_t SlotOf(int64_t tick, size_t level) const {
    return static_cast<size_t>(tick >> (static_cast<int>(level) * kSlotBits)) & (kSlots - 1);
  }
  void Place(Timer* timer);
  int64_t NextTick() const;
  void Cascade();

  int64_t current_;  // every timer in a slot has tick_ > current_
  List<Timer> ready_;
  std::array<std::array<List<Timer>, kSlots>, kLevels> slots_;
};

}  // namespace backstay
