// core/queue/retry_policy.cc -- the arithmetic of waits.
#include "core/queue/retry_policy.h"

#include <algorithm>

#include "core/base/check.h"

namespace backstay {
namespace {

constexpr absl::Duration kUnscheduledWait = absl::Minutes(10);
constexpr absl::Duration kGrantAfterOwnDeferral = absl::Minutes(30);

absl::Duration SumOf(const std::vector<absl::Duration>& schedule) {
  absl::Duration sum;
  for (const absl::Duration wait : schedule) {
    sum += wait;
  }
  return sum;
}

}  // namespace

RetryPolicy RetryPolicy::Default() {
  RetryPolicy policy;
  policy.schedule = {absl::Minutes(10), absl::Minutes(10), absl::Minutes(10), absl::Hours(24)};
  policy.expire_after = absl::Hours(5 * 24);
  return policy;
}

SpoolTime RetryPolicy::Due(SpoolTime origin, uint32_t k) const {
  ASSERT(!schedule.empty());
  absl::Duration sum;
  for (uint32_t index = 0; index < k && index < schedule.size(); ++index) {
    sum += schedule[index];
  }
  if (k > schedule.size()) {
    sum += schedule.back() * static_cast<int64_t>(k - schedule.size());
  }
  return origin + sum;
}

// Counts without the limit of max_retries.
static uint32_t DueCount(const RetryPolicy& policy, SpoolTime origin, SpoolTime now) {
  if (now < origin) {
    return 0;
  }
  const absl::Duration age = now - origin;
  const absl::Duration listed = SumOf(policy.schedule);
  if (age >= listed) {
    const int64_t repeats = (age - listed) / policy.schedule.back();
    return static_cast<uint32_t>(
        std::min<int64_t>(static_cast<int64_t>(policy.schedule.size()) + repeats, INT32_MAX));
  }
  uint32_t count = 0;
  absl::Duration sum;
  for (const absl::Duration wait : policy.schedule) {
    sum += wait;
    if (sum > age) {
      break;
    }
    ++count;
  }
  return count;
}

SpoolTime RetryPolicy::NextDueAfter(SpoolTime origin, SpoolTime now) const {
  return Due(origin, DueCount(*this, origin, now) + 1);
}

uint32_t RetryPolicy::RetriesCharged(SpoolTime origin, SpoolTime now) const {
  const uint32_t count = DueCount(*this, origin, now);
  return max_retries == 0 ? count : std::min(count, max_retries);
}

SpoolTime RetryPolicy::End(const RetryOrigin& origin) const {
  const SpoolTime by_age = origin.age + expire_after;
  return max_retries == 0 ? by_age : std::min(by_age, Due(origin.schedule, max_retries));
}

SpoolTime RetryPolicy::NextTry(const RetryOrigin& origin, SpoolTime attempt_at,
                               bool scheduled) const {
  SpoolTime next = NextDueAfter(origin.schedule, attempt_at);
  if (!scheduled) {
    next = std::min(next, attempt_at + kUnscheduledWait);
  }
  const SpoolTime end = End(origin);
  return attempt_at < end ? std::min(next, end) : next;
}

bool RetryPolicy::GiveUp(const RetryOrigin& origin, SpoolTime now, SpoolTime last_failure,
                         std::optional<SpoolTime> first_own_deferral) const {
  const SpoolTime end = End(origin);
  if (now < end || last_failure < end) {
    return false;
  }
  return !first_own_deferral.has_value() || now >= *first_own_deferral + kGrantAfterOwnDeferral;
}

}  // namespace backstay
