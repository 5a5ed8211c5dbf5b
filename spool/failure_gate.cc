// spool/failure_gate.cc -- counting failures within a minute.
#include "spool/failure_gate.h"

#include <algorithm>

#include "core/base/log.h"

namespace backstay {
namespace {

const absl::Duration kWindow = absl::Minutes(1);
const absl::Duration kRetryMax = absl::Seconds(30);
const absl::Duration kReadOnlyRetry = absl::Seconds(1);

}  // namespace

void FailureGate::Failed(Instant now, IoError error) {
  last_[failures_ % kFailuresToClose] = now;
  ++failures_;
  ++consecutive_;
  const absl::Duration wait = consecutive_ == 1
                                  ? absl::ZeroDuration()
                                  : absl::Seconds(int64_t{1} << std::min(consecutive_ - 2, 5u));
  retry_at_ = now + std::min(wait, error == IoError::kReadOnly ? kReadOnlyRetry : kRetryMax);
  // The oldest of the last three.
  const Instant third = last_[failures_ % kFailuresToClose];
  if (!closed_ && failures_ >= kFailuresToClose && now - third <= kWindow) {
    closed_ = true;
    LogError("spool intake=closed reason=\"three failed writes or syncs within a minute\"");
  }
}

void FailureGate::Succeeded() {
  consecutive_ = 0;
  retry_at_ = Instant();
  if (closed_) {
    closed_ = false;
    failures_ = 0;
    LogWarning("spool intake=open reason=\"a batch was stored\"");
  }
}

}  // namespace backstay
