// core/queue/shared_places.h -- the connections to one primary that all shards have, and who waits
// for one.
//
// A shard that has mail has a fair part of what there may be: as many as the others, at least
// one. More it may have while nobody waits. Who waits has less than his part; he who has waited
// longest is next. Where more shards have mail than there may be connections, they take turns.
//
// Exact:   the counts. Approximate: a fair part, while shards begin and end to have mail.
// Owns:    one moment a shard.
// Threads: every method from any thread, of a shard's own things from its own. No atomics of its
//          own (SharedWord). ShardPlaces is a shard's hand on it.
// See:     DESIGN 6 "shared fairly by the shards".
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "core/base/units.h"
#include "core/queue/shared_word.h"

namespace backstay {

class SharedPlaces {
 public:
  static constexpr size_t kConnectionsMax = 10'000;
  static constexpr size_t kShardsMax = 1024;

  struct Counts {
    uint64_t taken : 15;
    // Of a time before, or on their way to a place of before. They may hang; nobody waits for them.
    uint64_t left_behind : 15;
    uint64_t working : 11;   // shards that have mail for it
    uint64_t waiting : 11;   // of those, for a connection
    uint64_t yielding : 11;  // connections that end for the sake of who waits
    uint64_t unused : 1;
  };
  static constexpr uint64_t kConnectionBits = (1 << 15) - 1;
  static constexpr uint64_t kShardBits = (1 << 11) - 1;
  static_assert(2 * kConnectionsMax <= kConnectionBits);
  static_assert(kShardsMax <= kShardBits);

  explicit SharedPlaces(size_t shards) : waiting_since_(shards) {}

  Counts counts() const { return counts_.Load(); }
  // One more, if there are fewer than `window`, and fewer than twice `max` with those that were
  // left behind.
  bool Take(size_t window, size_t max);
  // As Change of SharedWord.
  template <typename Edit>
  bool Change(Edit edit) {
    return counts_.Change(edit);
  }
  void Wait(size_t shard, Instant now);
  void EndWait(size_t shard);
  // Who has waited longest. Nothing: nobody waits.
  std::optional<size_t> Next() const;

 private:
  SharedWord<Counts> counts_{Counts{}};
  std::vector<SharedWord<Instant>> waiting_since_;  // by shard; Instant(): it does not
};

}  // namespace backstay
