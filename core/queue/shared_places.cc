// core/queue/shared_places.cc -- counts, and a line by the time of coming.
#include "core/queue/shared_places.h"

#include <algorithm>

#include "core/base/check.h"

namespace backstay {

bool SharedPlaces::Take(size_t window, size_t max) {
  return counts_.Change([&](Counts& counts) {
    const bool has_room =
        counts.taken < window && size_t{counts.taken} + counts.left_behind < 2 * max;
    ++counts.taken;
    return has_room;
  });
}

void SharedPlaces::Wait(size_t shard, Instant now) {
  ASSERT(waiting_since_[shard].Load() == Instant());
  waiting_since_[shard].Store(std::max(now, Instant::FromNanoseconds(1)));
  counts_.Change([](Counts& counts) {
    ++counts.waiting;
    return true;
  });
}

void SharedPlaces::EndWait(size_t shard) {
  waiting_since_[shard].Store(Instant());
  counts_.Change([](Counts& counts) {
    ASSERT(counts.waiting > 0);
    --counts.waiting;
    return true;
  });
}

std::optional<size_t> SharedPlaces::Next() const {
  std::optional<size_t> next;
  Instant first = Instant::Max();
  for (size_t shard = 0; shard < waiting_since_.size(); ++shard) {
    const Instant since = waiting_since_[shard].Load();
    if (since != Instant() && since < first) {
      first = since;
      next = shard;
    }
  }
  return next;
}

}  // namespace backstay
