// core/queue/destination.cc -- up, suspect, down.
#include "core/queue/destination.h"

#include <algorithm>

#include "core/base/check.h"

namespace backstay {
namespace {

using State = DestinationState;
using Event = DestinationEvent;

// DESIGN 6: about every second for ten minutes, then growing to 15 s.
constexpr absl::Duration kEagerFor = absl::Minutes(10);
constexpr absl::Duration kProbeEvery = absl::Seconds(1);
constexpr absl::Duration kProbeEveryMax = absl::Seconds(15);

absl::Duration ProbeInterval(absl::Duration outage) {
  absl::Duration interval = kProbeEvery;
  for (absl::Duration late = outage - kEagerFor;
       late > absl::ZeroDuration() && interval < kProbeEveryMax; late -= absl::Minutes(1)) {
    interval *= 2;
  }
  return std::min(interval, kProbeEveryMax);
}

}  // namespace

std::string_view Describe(DestinationState state) {
  switch (state) {
    case State::kUp:
      return "up";
    case State::kRamping:
      return "ramping";
    case State::kSuspect:
      return "suspect";
    case State::kDown:
      return "down";
    case State::kHeld:
      return "held";
  }
  UNREACHABLE();
}

DestinationState Next(DestinationState state, DestinationEvent event, bool quiet) {
  if (state == State::kHeld || event == Event::kIsSelf) {
    return State::kHeld;
  }
  switch (event) {
    case Event::kAnswered:
    case Event::kProbeAnswered:
      return state == State::kDown || state == State::kRamping ? State::kRamping : State::kUp;
    case Event::kRamped:
      return state == State::kRamping ? State::kUp : state;
    case Event::kUnreachable:
    case Event::kProbeFailed:
      return State::kDown;
    case Event::kTrouble:
      if (state == State::kDown || quiet) {
        return State::kDown;
      }
      return state == State::kRamping ? State::kRamping : State::kSuspect;
    case Event::kIsSelf:
      break;
  }
  UNREACHABLE();
}

void Destination::SetConnectionsMax(size_t connections) {
  connections_max_ = connections;
  ramp_.SetMax(connections);
}

void Destination::ResumeDown(Instant since, Instant now) {
  state_ = State::kDown;
  if (leads_ramp_) {
    ramp_.Shut();
  }
  down_since_ = since;
  not_up_since_ = since;
  next_probe_ = now;
  ResumeUp(now);
}

void Destination::ResumeUp(Instant since) {
  was_down_ = true;
  last_down_ = since;
}

bool Destination::Doubt(Instant now) {
  const bool is_good = state_ == State::kUp || state_ == State::kSuspect;
  if (!is_good || !ramp_.Doubt()) {
    return false;
  }
  state_ = State::kRamping;
  not_up_since_ = now;
  latency_.Restart();
  ResumeUp(now);
  return true;
}

bool Destination::Feed(DestinationEvent event, Instant now, Random& random) {
  const State before = state_;
  const bool quiet = now - last_good_ >= kTroubleMin;
  state_ = Next(state_, event, quiet);
  if (before == State::kUp && state_ != State::kUp) {
    not_up_since_ = now;
  }
  if (event == Event::kAnswered || event == Event::kProbeAnswered) {
    last_good_ = now;
  } else if (event == Event::kTrouble) {
    ramp_.Halve();
  }
  if (state_ == State::kDown) {
    was_down_ = true;
    last_down_ = now;
    if (before != State::kDown) {
      down_since_ = now;
      probes_failed_ = 0;
      if (leads_ramp_) {
        ramp_.Shut();
      }
    }
    if (event == Event::kProbeFailed) {
      ++probes_failed_;
    }
    if (before != State::kDown || event == Event::kProbeFailed) {
      ScheduleProbe(now, random);
    }
  } else if (state_ == State::kHeld) {
    was_held_down_ = before == State::kDown || (before == State::kHeld && was_held_down_);
  } else if (before == State::kDown) {
    latency_.Restart();
    if (leads_ramp_) {
      ramp_.Restart();
    }
  }
  return state_ != before;
}

bool Destination::OnEnd(uint32_t era, MessageFate fate, absl::Duration took, Instant now) {
  const bool is_of_now = ramp_.OnEnd(era, fate, now);
  if (is_of_now && fate == MessageFate::kTaken && latency_.IsSlow(took, ramp_.window())) {
    ramp_.Halve();
  }
  return ramp_.over() && EndRamp();
}

bool Destination::OnNothingLeft() {
  if (in_canaries()) {
    if (const uint32_t era = ramp_.era(); empty_in_ != era) {
      empty_in_ = era;
      ramp_.OnShardEmpty();
    }
    if (in_canaries()) {
      return false;  // another shard may have some to send
    }
  }
  return EndRamp();
}

bool Destination::EndRamp() {
  const State before = state_;
  state_ = Next(state_, Event::kRamped, /*quiet=*/false);
  return state_ != before;
}

// Jittered by a tenth, so that many destinations (and many backup servers) do not knock in step.
void Destination::ScheduleProbe(Instant now, Random& random) {
  const absl::Duration interval = ProbeInterval(now - down_since_);
  next_probe_ = now + interval * static_cast<int64_t>(random.Between(900, 1100)) / 1000;
}

void Destination::OnDelivered(Instant now) {
  last_good_ = now;
  if (state_ == State::kSuspect) {
    // Without this a connection that stays open and works would keep the window at one for ever:
    // only a new connection's EHLO clears the suspicion otherwise, and none may be opened.
    state_ = State::kUp;
  }
}

void Destination::Release() {
  if (state_ == State::kHeld) {
    // An outage is over when a probe says so, here and on the other shards.
    state_ = was_held_down_ ? State::kDown : State::kUp;
    next_probe_ = Instant();
  }
}

}  // namespace backstay
