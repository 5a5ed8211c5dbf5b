// core/queue/probe_pace.h -- how often a daemon asks who is down, when thousands are.
//
// One destination that is down is asked every second or so. A network that is cut takes them all
// down at once, and as many sockets a second would come of it, and of each failure a message to
// every shard. So rounds of probes have places in one line for all shards, in the order of asking;
// with few destinations a place is always free.
//
// Pure: `now` is an argument.
//
// Threads: every method from any thread. No atomics of its own (SharedWord).
// See:     DESIGN 6 "Down": a global budget.
#pragma once

#include "core/base/units.h"
#include "core/queue/shared_word.h"

namespace backstay {

class ProbePace {
 public:
  static constexpr int64_t kPerSecond = 200;

  // The moment of a round that is due: `now`, or later. A second's places may be taken at once. The
  // place is the caller's; not used, it is lost.
  Instant Take(Instant now);

 private:
  SharedWord<Instant> taken_until_;
};

}  // namespace backstay
