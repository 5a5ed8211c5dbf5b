// core/shard/recipient_clerk.h -- whether a recipient is known: by this shard, by another one, by
// the primary.
//
// Each address has a shard that answers for it (RecipientStore). A clerk asks that one, and where
// nothing is known, the primary; whoever waits is answered in a later turn, after five seconds with
// 451. Whether a primary takes every address of a domain is found out by one that nobody has, and
// is remembered, doubted and forgotten like an address.
// The domain of an address is written in several ways; one is asked for and kept.
//
// Strangers decide how much is asked and primaries how long that takes; what is known does not wait
// for either: questions leave room for look-ups in other shards.
//
// Life:     Start() reads what is on disk; Stop() at the drain's end, then idle().
// Owns:     queries, kQueriesMax at a time, kQuestionsMax of them with primaries; beyond them 451.
// Turn:     never waits; answers come from the inbox, from Io::Turn and from the wheel.
// See:      DESIGN 7.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "core/base/list.h"
#include "core/queue/relay_policy.h"
#include "core/queue/timer_wheel.h"
#include "core/shard/inbox.h"
#include "core/shard/recipient_store.h"
#include "core/shard/verifier.h"
#include "core/smtp/reply.h"

namespace backstay {

// Who asked for one recipient. Unlinks itself when it dies or does not want to know any more.
class RecipientWaiter : public ListNode {
 public:
  virtual void OnRecipientJudged(const Reply& reply) = 0;

 protected:
  ~RecipientWaiter() = default;
};

// What a clerk asks of its shard.
class RecipientHome {
 public:
  virtual PrimaryHealth HealthOf(std::string_view domain) = 0;
  virtual void AskPrimary(std::string_view domain, RecipientQuestion& question) = 0;

 protected:
  ~RecipientHome() = default;
};

class RecipientClerk {
 public:
  // Beside 150 of each primary that hangs (Verifier) others are asked.
  static constexpr size_t kQuestionsMax = 4000;
  static constexpr size_t kQueriesMax = kQuestionsMax + 1000;
  static constexpr absl::Duration kAnswerWithin = absl::Seconds(5);

  RecipientClerk(Io& io, TimerWheel& wheel, PostOffice& post, size_t shard,
                 const RecipientFiles& files, RecipientHome& home);
  ~RecipientClerk();

  void Start() { store_.Start(); }
  void Stop();
  bool idle() const { return store_.idle(); }

  // Nothing: `waiter` is told. `domain` as configured.
  std::optional<Reply> Judge(std::string_view address, std::string_view domain,
                             RecipientWaiter& waiter);
  // What a delivery showed.
  void Learn(std::string_view address, std::string_view domain, bool is_taken);
  void OnShardMessage(const ShardMessage& message);

  // ---- for the operator; keys that other shards answer for are left to them ----
  bool Import(std::string_view address);
  bool Forget(std::string_view address);
  size_t ForgetDomain(std::string_view domain);
  std::optional<Knowledge> Find(std::string_view address) const;  // also: another shard's
  bool AnswersFor(std::string_view address) const;
  uint16_t TagOf(std::string_view domain) const { return backstay::TagOf(store_.secret(), domain); }
  // See RecipientStore.
  size_t Visit(size_t slice, absl::FunctionRef<void(AddressKey, Knowledge)> visit) const {
    return store_.Visit(slice, visit);
  }
  bool is_loaded() const { return store_.is_loaded(); }

 private:
  class Query;
  struct DomainState {
    bool takes_all = false;
    bool is_asked = false;  // a query for it is under way
    bool is_known = false;  // until `good_until`
    Instant good_until;
  };

  std::string_view Canonical(std::string_view address, std::string_view domain);
  AddressKey KeyFor(std::string_view address) const;
  Query* NewQuery(std::string_view address, std::string_view domain);
  void LookUp(Query& query, AddressKey key);
  void OnKnown(Query& query, std::optional<Knowledge> known);
  void OnAddressKnown(Query& query, std::optional<Knowledge> known);
  void OnDomainKnown(Query& query, std::optional<Knowledge> known);
  void Decide(Query& query);
  void AskPrimary(Query& query);
  void AskAboutDomain(std::string_view domain, std::optional<Knowledge> known);
  void OnPrimarySaid(Query& query, PrimaryVerdict verdict);
  void LearnKey(AddressKey key, bool is_taken, PrimaryHealth health);
  void Answer(Query& query, const Reply& reply);
  void OnLate(Query& query);
  void Free(Query& query);
  DomainState& StateOf(std::string_view domain);
  void SetDomain(std::string_view domain, std::optional<Knowledge> known);
  bool TakesAll(std::string_view domain);

  Io& io_;
  TimerWheel& wheel_;
  PostOffice& post_;
  const size_t shard_;
  RecipientHome& home_;
  RecipientStore store_;
  std::vector<std::unique_ptr<Query>> queries_;  // all
  std::vector<Query*> free_;
  size_t questions_ = 0;  // queries_ that are with a primary
  absl::flat_hash_map<std::string, DomainState, TextHash, TextEqual> domains_;
  std::string canonical_;  // keeps its memory
};

}  // namespace backstay
