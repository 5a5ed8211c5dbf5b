// io/sim/scheduler.h -- virtual time: one heap of events; ties are broken by the seed.
//
// Owns: the events that have not run. Now() moves only when an event is taken or time is advanced.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/time/time.h"
#include "core/base/random.h"
#include "core/base/units.h"

namespace backstay {

class Scheduler {
 public:
  using Run = absl::AnyInvocable<void()>;
  explicit Scheduler(Random random);
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  Instant Now() const { return now_; }
  // Events of one instant run in drawn order, never in the order of their scheduling.
  void At(Instant due, Run run);
  void After(absl::Duration delay, Run run) { At(now_ + delay, std::move(run)); }

  bool empty() const { return heap_.empty(); }
  Instant NextDue() const;  // Max() when empty
  // Moves time to the next event and runs it. Not from inside an event.
  void RunNext();
  void AdvanceTo(Instant now);  // no event may be due before it
  uint64_t events() const { return events_; }

 private:
  struct Event {
    Instant due;
    uint64_t tie;
    uint64_t sequence;
    Run run;
  };
  static bool Later(const Event& left, const Event& right);

  Random random_;
  Instant now_ = Instant::FromNanoseconds(1'000'000'000);  // a machine that is up for one second
  uint64_t sequence_ = 0;
  uint64_t events_ = 0;
  bool running_ = false;
  std::vector<Event> heap_;
};

}  // namespace backstay
