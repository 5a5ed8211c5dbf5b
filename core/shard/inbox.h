// core/shard/inbox.h -- messages between shards, and between them and the threads beside them.
//
// A post office is built once for a run; every shard has one Inbox in it. One bounded ring for each
// pair keeps every ring single-producer, single-consumer; a post that finds its ring full waits in
// the sender's own backlog and is tried again by Flush(), so nothing is lost and nobody blocks.
//
// Owns:    the rings. `Io`s are registered by their shards and must outlive the last Post to them.
// Threads: Post and Flush of sender i from thread i only; Drain of receiver j from thread j only.
// Turn:    Post wakes the receiver; Drain runs in its next turn.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/time/time.h"
#include "core/base/spsc_ring.h"
#include "core/dns/outage.h"
#include "core/dns/primary_search.h"
#include "core/policy/address_key.h"
#include "core/policy/recipient_knowledge.h"
#include "core/shard/rule_order.h"
#include "io/io.h"

namespace backstay {

class ShardQuestion;  // core/shard/question.h
struct Snapshot;      // core/shard/snapshot.h

// What one shard has of a domain whose mail is given up soon.
struct ExpiryAhead {
  absl::Duration left;      // until the first is
  uint64_t recipients = 0;  // within a day from then on
};

// What a reload would give up: all shards add to it. See core/shard/giving_up.h.
struct GivingUp {
  std::atomic<uint64_t> recipients{0};
  std::atomic<size_t> domain{0};     // one of those, as an index into the domains of the snapshot
  std::atomic<uint32_t> unknown{0};  // shards that do not know all that they have, and domains
};

struct ShardMessage {
  enum class Kind : uint8_t {
    kStop,               // from the engine: drain and end
    kReload,             // from the engine: use `snapshot` from now on
    kReloadPlanned,      // from the engine: what would `snapshot` give up?
    kDestinationFailed,  // to the home shard: an attempt of mine failed
    kDestinationDown,    // from the home shard: no attempts until kDestinationUp
    kProbeFailed,        // from the home shard: a real failed probe happened now
    kDestinationUp,      // from the home shard
    kPlacesChanged,      // a shard waits for a connection, or there is one; canaries passed: look
    kBreakerTripped,     // to the desk: it refuses everybody of the domain in `reason`
    kOutages,            // to the first shard: keep them
    kGoNow,              // somebody who may ask wants its mail now
    kProbeWanted,        // to the home shard: is it still up?
    kPrimaries,          // from the home shard: where it is
    kRecipientAsk,       // to the shard that answers for `key`: what is known of it?
    kRecipientKnown,     // the answer, with the same `ticket`
    kRecipientLearned,   // to the shard that answers for `key`: what the primary said of it
    kExpiryAhead,        // to the home shard: a domain's mail is given up soon, see `ahead`
    kRule,               // from the desk: see RuleOrder
    kRuleAnswer,         // to the desk
    kAsk,                // from the desk: answer `question`
    kAnswered            // to the desk: it is its own again
  };
  Kind kind = Kind::kStop;
  uint64_t destination = 0;                    // Route::key
  AddressKey key{};                            // kRecipient...
  uint64_t ticket = 0;                         // kRecipientAsk, kRecipientKnown; who asks
  size_t from = 0;                             // kRecipientAsk, kExpiryAhead: that shard
  std::optional<Knowledge> known = {};         // kRecipientKnown
  bool is_taken = false;                       // kRecipientLearned
  PrimaryHealth health{};                      // kRecipientLearned: when it said so
  std::vector<FoundPrimaries> primaries = {};  // kPrimaries: one; a vector, because rings are many
  std::string reason = {};                 // kDestination..., kProbeFailed: why, for the operator
  Outages outages = {};                    // kOutages
  ExpiryAhead ahead = {};                  // kExpiryAhead; the domain is `reason`
  const Snapshot* snapshot = nullptr;      // kReload, kReloadPlanned
  GivingUp* giving_up = nullptr;           // kReloadPlanned
  std::atomic<uint32_t>* taken = nullptr;  // the same: counted up and notified when that is done
  const RuleOrder* order = nullptr;        // kRule; outlives its answers
  RuleAnswer answer = {};                  // kRuleAnswer
  ShardQuestion* question = nullptr;       // kAsk, kAnswered; outlives its answer
  bool is_refused = false;                 // kAnswered: the shard is ending
};

class PostOffice {
 public:
  // Parties are the shards 0..shards-1, the engine's main thread, which only sends, and the desk.
  explicit PostOffice(size_t shards);
  PostOffice(const PostOffice&) = delete;
  PostOffice& operator=(const PostOffice&) = delete;

  size_t shards() const { return shards_; }
  size_t engine() const { return shards_; }
  size_t desk() const { return shards_ + 1; }
  void Register(size_t shard, Io* io) { ios_[shard].store(io); }
  void Post(size_t from, size_t to, const ShardMessage& message);
  // Tries again what found a full ring.
  void Flush(size_t from);
  bool waiting(size_t from) const { return !backlogs_[from].empty(); }
  void Drain(size_t to, absl::FunctionRef<void(const ShardMessage&)> receive);

 private:
  struct Waiting {
    size_t to;
    ShardMessage message;
  };
  size_t Receiver(size_t party) const { return party == desk() ? shards_ : party; }
  SpscRing<ShardMessage>& Ring(size_t from, size_t to) {
    return *rings_[from * (shards_ + 1) + Receiver(to)];
  }
  bool TryPost(size_t from, size_t to, const ShardMessage& message);

  const size_t shards_;
  std::vector<std::unique_ptr<SpscRing<ShardMessage>>> rings_;
  std::vector<std::atomic<Io*>> ios_;
  std::vector<std::deque<Waiting>> backlogs_;  // one a sender, touched by that sender only
};

}  // namespace backstay
