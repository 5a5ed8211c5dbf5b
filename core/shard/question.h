// core/shard/question.h -- what a thread beside the shards asks one of them; it answers on its own.
//
// Life:    the asker owns it and posts it (ShardMessage::kAsk); from then on it is the shard's
//          until it comes back (kAnswered) and `state` says so. Long lists are many questions: each
//          answers a piece and keeps the place for the next one.
// Turn:    Next() and OnHead() do bounded work; one message is read a turn.
#pragma once

#include <cstdint>
#include <optional>

#include "core/shard/route_table.h"
#include "core/shard/snapshot.h"
#include "io/io.h"
#include "spool/message_reader.h"
#include "spool/spool.h"

namespace backstay {

class RuleClerk;

struct ShardCounters {
  uint64_t connections_accepted = 0;
  uint64_t connections_refused = 0;
  uint64_t messages_stored = 0;   // 250 given
  uint64_t messages_refused = 0;  // 451 or 452 at the end of data
  uint64_t handshakes_completed = 0;
  uint64_t handshakes_failed = 0;  // or given up
};

// What an answer may look at.
struct ShardView {
  size_t shard = 0;
  bool is_queue_ready = false;   // all that was on disk is in the queue
  bool is_under_stress = false;  // clients have to be quick
  Instant started;
  const Io& io;
  Spool& spool;
  RouteTable& routes;
  RuleClerk& rules;
  const ShardCounters& counters;
  const Snapshot& snapshot;
  RecipientClerk& recipients;
};

class ShardQuestion {
 public:
  enum class State : uint8_t {
    kNew,      // the asker's
    kAsked,    // the shard's
    kDone,     // the asker's again
    kRefused,  // the same, and the shard is ending
  };

  // The next message whose head is wanted, a live one. Nothing: that was all.
  virtual std::optional<MessageRef> Next(const ShardView& view) = 0;
  // Null: what stands there cannot be read.
  virtual void OnHead(const ShardView& view, MessageRef message, const MessageHead* head) = 0;

  State state = State::kNew;  // by the asker's thread only

 protected:
  ~ShardQuestion() = default;
};

}  // namespace backstay
