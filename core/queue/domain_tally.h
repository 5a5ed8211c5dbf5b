// core/queue/domain_tally.h -- what is queued for one domain, over all shards.
//
// Each shard says what it has; the sum is as old as what was said last.
//
// Units:   messages with a live recipient of the domain, and about their bytes.
// Threads: Tell() of one shard from its thread; Sum() from any. No atomics of its own (SharedWord).
// See:     DESIGN 3.2 quota_bytes, quota_messages.
#pragma once

#include <cstddef>
#include <cstdint>
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

  explicit DomainTally(size_t shards) : messages_(shards), bytes_(shards) {}

  void Tell(size_t shard, const Load& load) {
    messages_[shard].Store(load.messages);
    bytes_[shard].Store(load.bytes);
  }
  Load Sum() const {
    Load sum;
    for (size_t shard = 0; shard < messages_.size(); ++shard) {
      sum.messages += messages_[shard].Load();
      sum.bytes += bytes_[shard].Load();
    }
    return sum;
  }

 private:
  std::vector<SharedWord<uint64_t>> messages_;  // by shard
  std::vector<SharedWord<uint64_t>> bytes_;
};

}  // namespace backstay
