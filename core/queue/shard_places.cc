// core/queue/shard_places.cc -- fair parts, turns, and giving way.
#include "core/queue/shard_places.h"

#include <algorithm>

#include "core/base/check.h"
#include "core/base/mark.h"

namespace backstay {

ShardPlaces::~ShardPlaces() {
  SetWorking(false);
  Keep({});
}

bool ShardPlaces::Keep(const Connections& now_there) {
  ASSERT(now_there.held <= connections_.held);
  ASSERT(now_there.yielding <= connections_.yielding);
  const size_t ended = connections_.held - now_there.held;
  if (ended == 0 && now_there.left_behind == connections_.left_behind &&
      now_there.yielding == connections_.yielding) {
    return false;
  }
  bool is_waited_for = false;
  all_.Change([&](SharedPlaces::Counts& counts) {
    const size_t left_behind =
        counts.left_behind + now_there.left_behind - connections_.left_behind;
    counts.taken = (counts.taken - ended) & SharedPlaces::kConnectionBits;
    counts.yielding =
        (counts.yielding + now_there.yielding - connections_.yielding) & SharedPlaces::kShardBits;
    counts.left_behind = left_behind & SharedPlaces::kConnectionBits;
    is_waited_for = counts.waiting > 0;
    return true;
  });
  connections_ = now_there;
  return is_waited_for && ended > 0;
}

void ShardPlaces::SetWorking(bool is_working) {
  if (!is_working) {
    SetWaiting(false, Instant());
  }
  if (is_working == is_working_) {
    return;
  }
  is_working_ = is_working;
  all_.Change([&](SharedPlaces::Counts& counts) {
    if (is_working) {
      ++counts.working;
    } else {
      --counts.working;
    }
    return true;
  });
}

bool ShardPlaces::SetWaiting(bool is_waiting, Instant now) {
  if (is_waiting == is_waiting_) {
    return false;
  }
  is_waiting_ = is_waiting;
  if (is_waiting) {
    all_.Wait(shard_, now);
  } else {
    all_.EndWait(shard_);
  }
  return is_waiting;
}

size_t ShardPlaces::Share(size_t window) const {
  if (!is_working_) {
    return 0;
  }
  return std::max<size_t>(window / all_.counts().working, 1);
}

bool ShardPlaces::IsTurnOver(size_t window, Instant now) const {
  return connections_.held > 0 && all_.counts().working > window && now >= turn_began_ + kTurn;
}

bool ShardPlaces::MayUse(size_t used, size_t window, Instant now) const {
  return !others_wait() || (used < Share(window) && !IsTurnOver(window, now));
}

bool ShardPlaces::Take(size_t window, size_t max, Instant now) {
  if (!MayUse(connections_.held, window, now)) {
    return false;
  }
  // Others who wait came before, unless this one has waited longer.
  if (others_wait() && all_.Next() != shard_) {
    return false;
  }
  if (!all_.Take(window, max)) {
    return false;
  }
  if (connections_.held++ == 0) {
    turn_began_ = now;
  }
  SetWaiting(false, now);
  return true;
}

bool ShardPlaces::Yield(size_t window, Instant now) {
  if (!others_wait()) {
    return false;
  }
  const size_t staying = connections_.held - connections_.yielding;
  if (staying <= Share(window) && !IsTurnOver(window, now)) {
    return false;
  }
  const bool is_for_somebody = all_.Change([&](SharedPlaces::Counts& counts) {
    const bool is_enough = counts.yielding >= OthersWaiting(counts);
    ++counts.yielding;
    return !is_enough;
  });
  if (is_for_somebody) {
    MARK("yielded_to_another_shard");
    ++connections_.yielding;
  }
  return is_for_somebody;
}

}  // namespace backstay
