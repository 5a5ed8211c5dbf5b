// core/shard/retry_origin.h -- from when a message's schedule and age count, and whose comes first.
//
// Pure. See: DESIGN 6 "Retry accounting".
#pragma once

#include <algorithm>
#include <cstddef>
#include <optional>

#include "core/queue/retry_policy.h"
#include "spool/spool.h"

namespace backstay {

// Its arrival, or the newest reset that speaks for it.
inline RetryOrigin OriginOf(SpoolTime arrival, const Standing& standing) {
  return {std::max(arrival, standing.schedule_from), std::max(arrival, standing.age_from)};
}

// The oldest that may go. The log's order is that of age, but not of messages with orders of their
// own, which say nothing of others: they count only where there is nobody else, or very many.
inline std::optional<MessageRef> OldestOf(const Spool& spool, DomainId domain) {
  constexpr size_t kOrderedMax = 10'000;
  const std::optional<MessageRef> first = spool.NextDeliverable(domain, std::nullopt);
  std::optional<MessageRef> next = first;
  for (size_t seen = 0; next.has_value() && seen < kOrderedMax; ++seen) {
    if (!spool.HasOwnOrder(*next)) {
      return next;
    }
    next = spool.NextDeliverable(domain, *next);
  }
  return first;
}

}  // namespace backstay
