// core/queue/domain_tally.h -- what is queued for one domain, over all shards.
//
// Each shard says what it has, and whether that is all: a start finds its messages one by one. The
// sum is as old as what was said last.
//
// Units:   messages with a live recipient of the domain, and about their bytes.
// Threads: Tell() of one shard from its thread; Sum() from any. No atomics of its own (SharedWord).
// See:     DESIGN 3.2 quota_bytes, quota_messages; RFC 1985 (ETRN: 251, 253).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "core/queue/shared_word.h"

namespace backstay {

class DomainTally {
 public:
  struct Load {
    uint64_t messages = 0;
    uint64_t bytes = 0;
    friend bool operator==(const Load&, const Load&) = default;
  };

  explicit DomainTally(size_t shards) : messages_(shards), bytes_(shards), whole_(shards) {}

  void Tell(size_t shard, const Load& load, bool is_whole) {
    messages_[shard].Store(load.messages);
    bytes_[shard].Store(load.bytes);
    whole_[shard].Store(is_whole ? 1 : 0);  // last: whoever sees it sees them
  }
  // From now on what this shard has said may be old.
  void StopTelling(size_t shard) { whole_[shard].Store(0); }
  Load Sum() const {
    Load sum;
    for (size_t shard = 0; shard < messages_.size(); ++shard) {
      sum.messages += messages_[shard].Load();
      sum.bytes += bytes_[shard].Load();
    }
    return sum;
  }
  // Nothing: some shard has not said all.
  std::optional<Load> WholeSum() const {
    for (const SharedWord<uint64_t>& whole : whole_) {
      if (whole.Load() == 0) {
        return std::nullopt;
      }
    }
    return Sum();
  }

 private:
  std::vector<SharedWord<uint64_t>> messages_;  // by shard
  std::vector<SharedWord<uint64_t>> bytes_;
  std::vector<SharedWord<uint64_t>> whole_;  // 1: what was told is all there is
};

}  // namespace backstay
