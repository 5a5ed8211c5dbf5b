// core/shard/retry_origin.h -- from when a message's schedule and age count.
//
// Pure. See: DESIGN 6 "Retry accounting".
#pragma once

#include <algorithm>

#include "core/queue/retry_policy.h"
#include "spool/spool.h"

namespace backstay {

// Its arrival, or the newest reset that speaks for it.
inline RetryOrigin OriginOf(SpoolTime arrival, const Standing& standing) {
  return {std::max(arrival, standing.schedule_from), std::max(arrival, standing.age_from)};
}

}  // namespace backstay
