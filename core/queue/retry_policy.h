// core/queue/retry_policy.h -- when a recipient is tried again, and when its time is over. Pure.
//
// Units:  SpoolTime. `origin` is the arrival of the message, or its last reset; a reset may leave
//         the age alone.
// See:    DESIGN 6 "Retry accounting".
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/time/time.h"
#include "core/base/units.h"

namespace backstay {

enum class OnExpiry : uint8_t { kBounce, kHold };

struct RetryOrigin {
  SpoolTime schedule;  // the waits are counted from here ...
  SpoolTime age;       // ... and the age limit from here
};

struct RetryPolicy {
  std::vector<absl::Duration> schedule;  // not empty; the last wait repeats
  absl::Duration expire_after;
  uint32_t max_retries = 0;  // 0: no limit
  OnExpiry on_expiry = OnExpiry::kBounce;
  // A refusal is final when it was first said so long ago, if the primary was down within a day.
  absl::Duration bounce_after = absl::Hours(1);

  // 10, 10, 10 minutes, then daily, for five days.
  static RetryPolicy Default();

  // When retry k (1, 2, ...) is due: origin and the first k waits.
  SpoolTime Due(SpoolTime origin, uint32_t k) const;
  // The first due time after `now`.
  SpoolTime NextDueAfter(SpoolTime origin, SpoolTime now) const;
  // Retries charged so far, whatever was tried: those due at or before `now`, at most max_retries.
  uint32_t RetriesCharged(SpoolTime origin, SpoolTime now) const;
  // The earlier of the last retry's due time and the age limit.
  SpoolTime End(const RetryOrigin& origin) const;
  // Whether a try now is one of the schedule: the first one in time, or one that waited for a due
  // time since `last_try`. Those that recovery, a flush or a short wait brought are not.
  bool IsScheduled(const RetryOrigin& origin, SpoolTime now) const {
    return now < Due(origin.schedule, 1);
  }
  bool IsScheduled(const RetryOrigin& origin, SpoolTime last_try, SpoolTime next_try) const {
    return next_try >= std::min(NextDueAfter(origin.schedule, last_try), End(origin));
  }
  // After a 4xx of its own at `attempt_at`. An attempt off the schedule (recovery, flush) is
  // repeated in ten minutes or at the next due time, whichever is sooner. The last try is at the
  // end itself: giving up needs a failure then, and a wait that reaches beyond it would keep the
  // mail that much longer.
  SpoolTime NextTry(const RetryOrigin& origin, SpoolTime attempt_at, bool scheduled) const;
  // Over, and a real attempt or probe failed at or after the end. A recipient whose first own 4xx
  // came late has half an hour more from then on.
  bool GiveUp(const RetryOrigin& origin, SpoolTime now, SpoolTime last_failure,
              std::optional<SpoolTime> first_own_deferral) const;
};

}  // namespace backstay
