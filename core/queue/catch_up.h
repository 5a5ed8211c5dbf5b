// core/queue/catch_up.h -- whether a shard has slept past its deadlines. Pure.
//
// After a stop of the process or of the machine what peers have said meanwhile is in the kernel,
// and a turn brings some tens of events. Who was heard by nobody has not been silent: deadlines
// wait for so many turns, none of which waits for anything.
//
// Turn:  OnWoken() behind the wait of each turn, then Waits(), once.
#pragma once

#include "absl/time/time.h"
#include "core/base/units.h"

namespace backstay {

class CatchUp {
 public:
  static constexpr absl::Duration kOversleptMin = absl::Seconds(1);
  static constexpr int kTurns = 256;  // brings some thousands of events, or takes a millisecond

  // `latest`: it should have been awake by then; Max(): it had nothing to be awake for.
  void OnWoken(Instant latest, Instant now) {
    if (latest < Instant::Max() && now > latest + kOversleptMin) {
      turns_left_ = kTurns;
    }
  }
  // Deadlines wait in this turn.
  bool Waits() { return turns_left_ > 0 && turns_left_-- > 0; }
  bool going_on() const { return turns_left_ > 0; }

 private:
  int turns_left_ = 0;
};

}  // namespace backstay
