// io/uring/wake_signal.h -- Wake(): one store for a busy shard, one write for a sleeper.
//
// The two sides cross like Dekker's: the waker stores woken_ and then reads sleeping_; the sleeper
// stores sleeping_ and then reads woken_. All four are sequentially consistent, so at least one of
// them sees the other: either the sleeper does not sleep, or the waker writes to the descriptor
// that the ring is reading. A wake is therefore never lost, and never waits for another waker's
// write either.
//
// Threads: Wake() any; the rest the thread of the Io.
#pragma once

#include <atomic>
#include <cstdint>

namespace backstay {

class WakeSignal {
 public:
  WakeSignal() = default;
  WakeSignal(const WakeSignal&) = delete;
  WakeSignal& operator=(const WakeSignal&) = delete;
  ~WakeSignal();

  // 0 or an errno.
  [[nodiscard]] int Create();
  void Wake();

  // True: nothing woke us, sleep and call EndSleep after. False: do not sleep.
  bool BeginSleep();
  void EndSleep() { sleeping_.store(false, std::memory_order_relaxed); }
  bool woken() const { return woken_.load(std::memory_order_seq_cst); }
  // Of this turn. What the waker wrote before Wake() is visible after this.
  void Consume();
  // The ring reads eight bytes from here whenever a sleeper was woken.
  int descriptor() const { return descriptor_; }

 private:
  int descriptor_ = -1;
  std::atomic<bool> woken_{false};
  std::atomic<bool> sleeping_{false};
};

}  // namespace backstay
