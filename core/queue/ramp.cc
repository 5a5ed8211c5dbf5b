// core/queue/ramp.cc -- canaries, then additive growth and halving.
#include "core/queue/ramp.h"

#include <algorithm>

#include "core/base/check.h"
#include "core/base/mark.h"

namespace backstay {
namespace {

constexpr absl::Duration kPauseMin = absl::Seconds(15);
constexpr absl::Duration kPauseMax = absl::Minutes(5);

}  // namespace

Ramp::Ramp(size_t shards) : shards_(shards) {}

void Ramp::SetMax(size_t messages) {
  ASSERT(messages > 0);
  ASSERT(messages <= kMessagesMax);
  max_.Store(messages);
  state_.Change([&](State& state) {
    const bool is_narrower = state.window > messages;
    state.window = std::min<uint64_t>(state.window, messages) & kCountMask;
    // A round of fewer canaries is over: nobody else would ever begin the next one.
    const bool is_round_over = state.phase == Phase::kCanaries && state.under_way == 0 &&
                               state.deferred >= std::min(kCanaries, messages);
    if (is_round_over) {
      state.deferred = 0;
    }
    return is_narrower || is_round_over;
  });
}

size_t Ramp::canaries() const {
  return std::min(kCanaries, max());
}

size_t Ramp::Window(const State& state) const {
  switch (state.phase) {
    case Phase::kOpen:
    case Phase::kUntold:
      return std::min<size_t>(state.window, max());
    case Phase::kCanaries:
      return canaries();
    case Phase::kShut:
      return 0;
  }
  UNREACHABLE();
}

void Ramp::Shut() {
  state_.Change([](State& state) {
    state.phase = Phase::kShut;
    return true;
  });
}

void Ramp::Restart() {
  pause_.Store(0);
  paused_until_.Store(Instant());
  state_.Change([&](State& state) {
    Restart(state);
    return true;
  });
}

void Ramp::Restart(State& state) const {
  const uint64_t era = state.era + 1;  // what is under way is of the one before
  state = State();
  state.era = era & kEraMask;
  state.window = std::min(kFirstWindow, max()) & kCountMask;
  state.phase = Phase::kCanaries;
  state.over = 0;
}

bool Ramp::Doubt() {
  const bool is_begun = state_.Change([&](State& state) {
    const bool is_untold = state.phase == Phase::kUntold;
    Restart(state);
    return is_untold;
  });
  if (is_begun) {
    pause_.Store(0);
  }
  return is_begun || in_canaries();
}

void Ramp::Forget() {
  state_.Change([](State& state) {
    const bool is_known = state.phase == Phase::kOpen;
    state.phase = Phase::kUntold;
    return is_known;
  });
}

void Ramp::OnShardEmpty() {
  const uint32_t now = era();
  uint32_t empty = 0;
  empty_.Change([&](Empty& all) {
    all = {now, all.era == now ? all.shards + 1 : 1};
    empty = all.shards;
    return true;
  });
  if (empty < shards_) {
    return;
  }
  state_.Change([&](State& state) {
    const bool was_waiting = state.phase == Phase::kCanaries && state.era == now;
    Open(state);
    state.phase = Phase::kUntold;  // nothing was tried
    return was_waiting;
  });
}

void Ramp::Open(State& state) const {
  state.phase = Phase::kOpen;
  if (state.window >= max()) {
    state.over = 1;
  }
}

void Ramp::Halve(State& state) {
  state.window = std::max<uint64_t>(state.window / 2, 1) & kCountMask;
  state.taken = 0;
}

void Ramp::Halve() {
  state_.Change([](State& state) {
    Halve(state);
    return true;
  });
}

bool Ramp::MayStart(const State& state, Instant now) const {
  if (state.phase == Phase::kCanaries) {
    return size_t{state.under_way} + state.deferred < canaries() && now >= paused_until();
  }
  return state.under_way < Window(state);
}

bool Ramp::MayStart(Instant now) const {
  return MayStart(state_.Load(), now);
}

bool Ramp::MayFollow() const {
  const State state = state_.Load();
  return IsOpen(state) && state.under_way <= Window(state);
}

bool Ramp::full() const {
  const State state = state_.Load();
  return state.under_way >= Window(state);
}

std::optional<uint32_t> Ramp::TryStart(Instant now) {
  uint32_t era = 0;
  const bool is_started = state_.Change([&](State& state) {
    era = state.era;
    const bool may_start = MayStart(state, now);
    ++state.under_way;
    return may_start;
  });
  return is_started ? std::optional(era) : std::nullopt;
}

uint32_t Ramp::OnFollow() {
  uint32_t era = 0;
  state_.Change([&](State& state) {
    era = state.era;
    ++state.under_way;
    return true;
  });
  return era;
}

bool Ramp::OnEnd(uint32_t era, MessageFate fate, Instant now) {
  const absl::Duration pause_before = absl::Nanoseconds(pause_.Load());
  const bool counts = state_.Change([&](State& state) {
    if (state.era != era) {
      return false;
    }
    ASSERT(state.under_way > 0);
    --state.under_way;
    if (fate == MessageFate::kTaken && state.phase != Phase::kShut) {
      Open(state);
      Grow(state);
    }
    const bool is_put_off = fate == MessageFate::kPutOff;
    // What was sent with the wider window says no more than the first of it did.
    if (is_put_off && IsOpen(state) && state.under_way < state.window) {
      Halve(state);
    }
    if (state.phase != Phase::kCanaries) {
      return true;
    }
    // Refused ones are replaced at once: who decides about them is the breaker.
    if ((is_put_off || fate == MessageFate::kDeferred) && state.deferred < kCanaries) {
      ++state.deferred;
    }
    if (state.deferred >= canaries() && state.under_way == 0) {
      Pause(pause_before, now);  // before anybody sees that the round is over
      state.deferred = 0;
    }
    return true;
  });
  if (!counts) {
    MARK("of_the_time_before_the_outage");
  }
  return counts;
}

void Ramp::Pause(absl::Duration before, Instant now) {
  MARK("canaries_all_deferred");
  const absl::Duration pause = std::clamp(before * 2, kPauseMin, kPauseMax);
  pause_.Store(absl::ToInt64Nanoseconds(pause));
  paused_until_.Store(now + pause);
}

void Ramp::Grow(State& state) const {
  ++state.taken;
  if (state.taken < state.window) {
    return;
  }
  state.taken = 0;
  state.window = std::min<uint64_t>(state.window + 1, max()) & kCountMask;
  if (state.window >= max()) {
    state.over = 1;
  }
}

}  // namespace backstay
