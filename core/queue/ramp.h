// core/queue/ramp.h -- how many messages may be on their way to one primary. Pure.
//
// A primary that comes back gets canaries first: a few messages, and more only when it has taken
// one. Then the window grows by one for each window's worth of messages, and is halved when the
// primary says 421, breaks connections or becomes slow. The same goes on while it is up.
//
// What was under way when it came back belongs to the time before: it may hang for minutes, and
// says nothing of the canaries.
//
// Life:   Restart() when it is back; over() when the window has been as wide as it may be, or
//         nothing was left to try.
// Units:  messages; one connection carries one at a time.
// Turn:   times are arguments; nothing waits.
// See:    DESIGN 6 "Recovery overrides every due time".
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "core/base/units.h"

namespace backstay {

// How a message fared.
enum class MessageFate : uint8_t {
  kTaken,     // at least one recipient
  kDeferred,  // none taken, the primary said 4xx of it
  kRefused,   // 5xx for all
  kUntried    // the connection's fault, or nobody was eligible any more
};

class Ramp {
 public:
  static constexpr size_t kCanaries = 5;

  void SetMax(size_t messages);
  // `canaries`: at most kCanaries, that this shard sends; none: it waits for Pass() or Send().
  void Restart(size_t canaries);
  void Send(size_t canaries);
  // A canary was taken, here or on the shard that sends them; or there was none to send.
  void Pass();
  void Halve() { window_ = std::max<size_t>(window_ / 2, 1); }

  bool MayStart(Instant now) const;
  // A message may be sent behind one that is under way, before that one has ended.
  bool MayFollow() const { return !in_canaries_ && under_way_ <= window_; }
  bool full() const { return under_way_ >= window(); }
  // Returns the time it belongs to, for OnEnd().
  uint32_t OnStart();
  // `took`: from MAIL to the last reply.
  void OnEnd(uint32_t era, MessageFate fate, absl::Duration took, Instant now);

  bool in_canaries() const { return in_canaries_; }
  // As wide as it may be at least once since Restart().
  bool over() const { return over_; }
  size_t window() const { return in_canaries_ ? canaries_ : window_; }
  size_t under_way() const { return under_way_; }
  // A round of canaries that were all deferred is followed by a pause.
  Instant paused_until() const { return paused_until_; }

 private:
  void Grow();
  void Judge(absl::Duration took);

  size_t max_ = 1;
  size_t window_ = 2;
  size_t taken_ = 0;      // since the window last changed
  uint32_t era_ = 0;      // counts restarts
  size_t under_way_ = 0;  // of this era
  bool in_canaries_ = false;
  bool over_ = true;
  size_t canaries_ = kCanaries;                  // of this shard; none: it waits
  size_t deferred_ = 0;                          // of this round
  absl::Duration pause_ = absl::ZeroDuration();  // the last one
  Instant paused_until_;
  // Latency, over samples of kSample messages.
  size_t sampled_ = 0;
  absl::Duration sum_ = absl::ZeroDuration();
  absl::Duration fastest_ = absl::InfiniteDuration();  // the best sample since Restart()
};

}  // namespace backstay
