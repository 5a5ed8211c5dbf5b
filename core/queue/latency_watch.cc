// core/queue/latency_watch.cc -- means of samples, against the best one.
#include "core/queue/latency_watch.h"

#include "core/base/mark.h"

namespace backstay {
namespace {

// Enough for a mean; and slower than this much more than twice the best mean is slow. Without the
// second part a primary that answers within a millisecond would be slow at two.
constexpr size_t kSample = 16;
constexpr absl::Duration kSlack = absl::Milliseconds(100);

}  // namespace

bool LatencyWatch::IsSlow(absl::Duration took, size_t window) {
  sum_ += took;
  if (++sampled_ < std::max(kSample, window)) {
    return false;
  }
  const absl::Duration mean = sum_ / static_cast<int64_t>(sampled_);
  sampled_ = 0;
  sum_ = absl::ZeroDuration();
  const bool is_slow = mean > 2 * fastest_ + kSlack;
  fastest_ = std::min(fastest_, mean);
  if (is_slow) {
    MARK("primary_became_slow");
  }
  return is_slow;
}

}  // namespace backstay
