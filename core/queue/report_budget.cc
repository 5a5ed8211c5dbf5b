// core/queue/report_budget.cc -- one time for each budget: how far it is used.
#include "core/queue/report_budget.h"

#include <algorithm>

#include "core/base/check.h"

namespace backstay {

ReportBudget::Limit ReportBudget::LimitOf(int64_t burst, absl::Duration interval, size_t shards) {
  ASSERT(shards > 0);
  const auto parts = static_cast<int64_t>(shards);
  Limit limit;
  limit.interval = interval * parts;
  limit.ahead = limit.interval * (std::max<int64_t>(burst / parts, 1) - 1);
  return limit;
}

ReportBudget::ReportBudget(size_t shards)
    : all_limit_(LimitOf(kBurst, absl::Seconds(1) / kPerSecond, shards)),
      sender_limit_(LimitOf(kSenderBurst, absl::Minutes(1) / kSenderPerMinute, shards)) {}

Instant ReportBudget::Book(Instant& used_until, const Limit& limit, Instant now) {
  const Instant at = std::max(now, Allowed(used_until, limit));
  used_until = std::max(used_until, at) + limit.interval;
  return at;
}

Instant ReportBudget::NextFor(uint64_t sender, Instant now) const {
  const auto found = senders_.find(sender);
  return found == senders_.end() ? now : std::max(now, Allowed(found->second, sender_limit_));
}

Instant ReportBudget::Book(uint64_t sender, Instant now) {
  if (senders_.size() >= kSendersMax && !senders_.contains(sender)) {
    absl::erase_if(senders_, [now](const auto& entry) { return entry.second <= now; });
    if (senders_.size() >= kSendersMax) {
      return now;
    }
  }
  return Book(senders_[sender], sender_limit_, now);
}

}  // namespace backstay
