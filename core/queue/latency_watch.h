// core/queue/latency_watch.h -- whether a primary has become slower than it was. Pure.
//
// Each shard watches its own messages: what it has of them is enough for a mean.
//
// Life:  Restart() when the primary is back: it may be another one.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "absl/time/time.h"

namespace backstay {

class LatencyWatch {
 public:
  void Restart() { *this = LatencyWatch(); }
  // One more message was taken, in so long; `window`: how many may be under way. True: the mean of
  // the last ones is much worse than the best one was.
  bool IsSlow(absl::Duration took, size_t window);

 private:
  size_t sampled_ = 0;
  absl::Duration sum_ = absl::ZeroDuration();
  absl::Duration fastest_ = absl::InfiniteDuration();  // the best sample since Restart()
};

}  // namespace backstay
