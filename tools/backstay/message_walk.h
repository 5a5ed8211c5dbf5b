// tools/backstay/message_walk.h -- the messages of a shard, with their records.
//
// The index knows places and what is owed; the rest is read again, one segment at a time, so that
// no message costs memory. Segments where nothing is owed are skipped unless all are wanted.
// Turn:  waits.
#pragma once

#include "absl/functional/function_ref.h"
#include "tools/backstay/shard_walk.h"

namespace backstay {

// Views that are good until the visitor returns.
struct StoredMessage {
  QueueId id;
  const DecodedMessage& record;
  const SegmentIndex& index;
  uint32_t number;        // in `index`
  uint64_t record_bytes;  // of the message record in the file

  bool IsLive(uint32_t recipient) const { return index.IsLive(number, recipient); }
  bool IsPending(uint32_t recipient) const { return index.IsPending(number, recipient); }
  bool IsOwed() const { return index.IsOwed(number); }
};

enum class Messages : uint8_t { kOwed, kAll };

void ForEachMessage(ShardFiles& files, const ShardWalk& walk, Messages which,
                    absl::FunctionRef<void(const StoredMessage&)> visit);

}  // namespace backstay
