// core/queue/shard_places.h -- one shard's part of the connections to one primary. Pure.
//
// Life:     Keep() says what has become of the connections; then SetWorking(), Take() and
//           SetWaiting() by what there is to do. An end gives everything back.
// Outlives: SharedPlaces outlives it.
// Units:    connections; `window`: how many all shards may have now.
// See:      core/queue/shared_places.h.
#pragma once

#include <cstddef>
#include <optional>

#include "core/base/units.h"
#include "core/queue/shared_places.h"

namespace backstay {

class ShardPlaces {
 public:
  // With more shards at work than connections: how long one that is waited for is kept.
  static constexpr absl::Duration kTurn = absl::Seconds(1);

  struct Connections {
    size_t held = 0;
    size_t yielding = 0;     // of those, on their way out: see Yield()
    size_t left_behind = 0;  // beside them
  };

  ShardPlaces(SharedPlaces& all, size_t shard) : all_(all), shard_(shard) {}
  ~ShardPlaces();
  ShardPlaces(const ShardPlaces&) = delete;
  ShardPlaces& operator=(const ShardPlaces&) = delete;

  // True: there is room for somebody who waits.
  bool Keep(const Connections& now_there);
  // Whether it has mail to send. It does not wait when it has none.
  void SetWorking(bool is_working);
  // It lacks a connection, or a message on one. True: since now.
  bool SetWaiting(bool is_waiting, Instant now);

  // One connection more. False: there are enough, or it is not this shard's turn.
  bool Take(size_t window, size_t max, Instant now);
  // How many it may have while others wait.
  size_t Share(size_t window) const;
  // Whether it may have one more than `used`, connections or messages, in view of who waits.
  bool MayUse(size_t used, size_t window, Instant now) const;
  // A connection that is free should end: somebody waits for it. The caller ends it.
  bool Yield(size_t window, Instant now);

  bool is_waiting() const { return is_waiting_; }
  // The shard that has waited longest.
  std::optional<size_t> next() const { return all_.Next(); }
  bool others_wait() const { return OthersWaiting(all_.counts()) > 0; }
  size_t held() const { return connections_.held; }

 private:
  size_t OthersWaiting(const SharedPlaces::Counts& counts) const {
    return counts.waiting - (is_waiting_ ? 1 : 0);
  }
  bool IsTurnOver(size_t window, Instant now) const;

  SharedPlaces& all_;
  const size_t shard_;
  Connections connections_;  // as all_ has them
  bool is_working_ = false;
  bool is_waiting_ = false;
  Instant turn_began_;  // held() was zero before
};

}  // namespace backstay
