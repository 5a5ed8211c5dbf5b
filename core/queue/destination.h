// core/queue/destination.h -- the health of one primary list as one shard sees it, and how many
// messages it may get. Pure.
//
// Next() is the whole state machine, one row a case. Times are arguments. How many messages, and
// when, is one ramp's for all shards; that of the shard that probes (its leader) begins with the
// outages of this one.
//
// Outlives: the ramp outlives it.
// See: DESIGN 6 "States", "Down".
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "core/base/random.h"
#include "core/base/units.h"
#include "core/queue/latency_watch.h"
#include "core/queue/ramp.h"

namespace backstay {

enum class DestinationState : uint8_t {
  kUp,
  kRamping,  // back: canaries first, then more and more
  kSuspect,  // 421, slowness, time-outs; one connection at a time
  kDown,     // no host of the list answers: probes only
  kHeld      // it is ourselves: nothing goes there until the operator or a reload changes it
};

enum class DestinationEvent : uint8_t {
  kAnswered,     // a connection got through EHLO
  kUnreachable,  // connect failed, closed before the banner, permanent code at banner or EHLO
  kTrouble,      // 421, slowness, time-out, connection lost
  kProbeAnswered,
  kProbeFailed,
  kRamped,  // as much is under way as may be, or nothing was left to try
  kIsSelf   // the greeting has our own name
};

std::string_view Describe(DestinationState state);

// `quiet`: nothing has succeeded for kTroubleMin.
DestinationState Next(DestinationState state, DestinationEvent event, bool quiet);

class Destination {
 public:
  // Trouble counts as an outage only if nothing succeeded for so long.
  static constexpr absl::Duration kTroubleMin = absl::Seconds(30);

  // `leads_ramp`: of all shards this one says when it was down.
  Destination(Ramp& ramp, bool leads_ramp) : ramp_(ramp), leads_ramp_(leads_ramp) {}

  // Of all shards.
  void SetConnectionsMax(size_t connections);
  // As an earlier run left it: down since then, or back since then.
  void ResumeDown(Instant since, Instant now);
  void ResumeUp(Instant since);
  // Mail that has waited is about to meet it. Where nobody knows yet whether it takes mail it is as
  // if it had just been down: canaries first, and its refusals are doubted. Returns true when that
  // is so from now on.
  bool Doubt(Instant now);
  // It is another one now, or was out of use.
  void Forget() { ramp_.Forget(); }
  // Returns true when the state changed.
  bool Feed(DestinationEvent event, Instant now, Random& random);
  // A recipient was delivered: a suspicion is over.
  void OnDelivered(Instant now);
  // A message is begun, and how it ended. The last is true when the state changed.
  bool MayStart(Instant now) const { return may_deliver() && ramp_.MayStart(now); }
  bool MayFollow() const {
    return may_deliver() && state_ != DestinationState::kSuspect && ramp_.MayFollow();
  }
  bool full() const { return ramp_.full(); }
  // See Ramp.
  std::optional<uint32_t> TryStart(Instant now) { return ramp_.TryStart(now); }
  uint32_t OnFollow() { return ramp_.OnFollow(); }
  bool OnEnd(uint32_t era, MessageFate fate, absl::Duration took, Instant now);
  // Nothing is left to try, here. While canaries are waited for that is not the end of it, unless
  // there is nothing on any shard.
  bool OnNothingLeft();
  // Somebody asked: the next probe, if it is down, does not wait.
  void ProbeNow(Instant now) { next_probe_ = std::min(next_probe_, now); }
  // It is elsewhere now: look again.
  void Release();

  DestinationState state() const { return state_; }
  bool may_deliver() const {
    return state_ == DestinationState::kUp || state_ == DestinationState::kRamping ||
           state_ == DestinationState::kSuspect;
  }
  size_t connections_max() const { return connections_max_; }
  // Of this shard, if the others have nothing.
  size_t window() const { return state_ == DestinationState::kSuspect ? 1 : ramp_.window(); }
  size_t window_of_all() const { return ramp_.window(); }
  bool in_canaries() const { return ramp_.in_canaries(); }
  Instant paused_until() const { return ramp_.paused_until(); }
  Instant next_probe() const { return next_probe_; }      // kDown
  Instant down_since() const { return down_since_; }      // kDown
  Instant not_up_since() const { return not_up_since_; }  // any but kUp
  Instant last_good() const { return last_good_; }
  bool WasDownSince(Instant then) const { return was_down_ && last_down_ >= then; }
  uint64_t probes_failed() const { return probes_failed_; }  // in this outage

 private:
  bool EndRamp();
  void ScheduleProbe(Instant now, Random& random);

  Ramp& ramp_;
  const bool leads_ramp_;
  DestinationState state_ = DestinationState::kUp;
  size_t connections_max_ = 1;
  LatencyWatch latency_;
  std::optional<uint32_t> empty_in_;  // the era in which there was nothing to try, here
  bool was_down_ = false;
  bool was_held_down_ = false;  // it was down when it turned out to be ourselves
  Instant last_down_;           // the last moment of the last outage
  Instant last_good_;
  Instant down_since_;
  Instant not_up_since_;
  Instant next_probe_;
  uint64_t probes_failed_ = 0;
};

}  // namespace backstay
