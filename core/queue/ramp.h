// core/queue/ramp.h -- how many messages may be on their way to one primary, from all shards.
//
// A primary that comes back gets canaries first: a few messages, and more only when it has taken
// one. Then the window grows by one for each window's worth of messages, and is halved when the
// primary says 421, puts messages off as a whole, breaks connections or becomes slow. The same goes
// on while it is up. Whichever shard has mail sends canaries, and whatever one shard learns counts
// for all.
//
// What was under way when it came back belongs to the time before: it may hang for minutes, and
// says nothing of the canaries.
//
// Exact:   how many are under way, canaries and their rounds, growth. A message that follows
//          another on its connection is counted when that has ended, so it may be one above the
//          window. Approximate: who is slow, each shard says for itself (LatencyWatch).
// Life:    Shut() when it goes down, Restart() when it is back, both by its home shard; over() when
//          the window has been as wide as it may be.
// Units:   messages; one connection carries one at a time.
// Threads: every method from any thread. No atomics of its own (SharedWord).
// Turn:    times are arguments; nothing waits.
// See:     DESIGN 6 "Recovery overrides every due time".
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "core/base/units.h"
#include "core/queue/shared_word.h"

namespace backstay {

// How a message fared.
enum class MessageFate : uint8_t {
  kTaken,     // at least one recipient
  kDeferred,  // none taken, the primary said 4xx of recipients
  kPutOff,    // the same, but 4xx at MAIL, DATA or the content: it has no room, or no time
  kRefused,   // 5xx for all
  kUntried    // the connection's fault, or nobody was eligible any more
};

class Ramp {
 public:
  static constexpr size_t kCanaries = 5;
  static constexpr size_t kMessagesMax = 10'000;  // of a window

  explicit Ramp(size_t shards);

  // Every shard says the same, each at its own moment of a reload.
  void SetMax(size_t messages);
  // Nothing is begun until Restart().
  void Shut();
  // Canaries may be sent.
  void Restart();
  // Mail that has waited is about to meet the primary: as Restart(), unless that was known to take
  // mail, or has canaries already. True: it was not. Any shard's.
  bool Doubt();
  // It is another one now, or was out of use: nobody knows whether it takes mail.
  void Forget();
  // This shard has nothing to try, and had nothing since Restart(); once an era. When that is so of
  // all of them there are no canaries to wait for.
  void OnShardEmpty();
  void Halve();

  bool MayStart(Instant now) const;
  // A message may be sent behind one that is under way, before that one has ended.
  bool MayFollow() const;
  bool full() const;
  // The era it belongs to, for OnEnd(). Nothing: another shard was faster.
  std::optional<uint32_t> TryStart(Instant now);
  // The one in front of it has ended; it is under way already.
  uint32_t OnFollow();
  // False: it belongs to the time before.
  bool OnEnd(uint32_t era, MessageFate fate, Instant now);

  uint32_t era() const { return state_.Load().era; }  // counts restarts
  bool in_canaries() const { return state_.Load().phase == Phase::kCanaries; }
  // As wide as it may be at least once since Restart().
  bool over() const { return state_.Load().over != 0; }
  size_t window() const { return Window(state_.Load()); }
  size_t under_way() const { return state_.Load().under_way; }
  // A round of canaries that were all deferred is followed by a pause.
  Instant paused_until() const { return paused_until_.Load(); }

 private:
  enum class Phase : uint8_t { kOpen, kCanaries, kShut, kUntold };  // kUntold: open, none was taken
  static constexpr size_t kFirstWindow = 2;
  static constexpr int kCountBits = 14;
  static_assert(kMessagesMax < size_t{1} << kCountBits);
  static constexpr uint64_t kEraMask = (1 << 16) - 1;
  static constexpr uint64_t kCountMask = (uint64_t{1} << kCountBits) - 1;
  struct State {
    uint64_t era : 16 = 0;
    uint64_t window : kCountBits = kFirstWindow;
    uint64_t taken : kCountBits = 0;      // since the window last changed
    uint64_t under_way : kCountBits = 0;  // of this era
    uint64_t deferred : 3 = 0;            // canaries of this round
    Phase phase : 2 = Phase::kUntold;
    uint64_t over : 1 = 1;
  };
  struct Empty {
    uint32_t era;
    uint32_t shards;
  };

  size_t max() const { return max_.Load(); }
  size_t canaries() const;
  size_t Window(const State& state) const;
  bool MayStart(const State& state, Instant now) const;
  static bool IsOpen(const State& state) {
    return state.phase == Phase::kOpen || state.phase == Phase::kUntold;
  }
  void Restart(State& state) const;
  void Open(State& state) const;
  static void Halve(State& state);
  void Grow(State& state) const;
  void Pause(absl::Duration before, Instant now);

  const size_t shards_;
  SharedWord<uint64_t> max_{1};
  SharedWord<State> state_;
  SharedWord<Empty> empty_;
  SharedWord<int64_t> pause_;  // the last one, in nanoseconds
  SharedWord<Instant> paused_until_;
};

}  // namespace backstay
