// spool/rule_book.h -- the rules in force, and what they say of a message.
//
// A rule speaks for the messages before its cut, a place in the shard's log. Cuts grow with epochs,
// so of each kind only the newest rule counts, once for all domains and once for each that has its
// own: what a rule says of ten million messages is one comparison. What is ordered for one message
// is kept for that message; it is newer than the last rule and older than the next.
//
// Owns:  a few marks for each domain that ever had a rule, and for each of kMessagesMax messages;
//        the deletions not carried out yet.
// Turn:  pure; nothing waits. What is asked of one domain costs what that domain has.
// See:   DESIGN 5 "Bulk operations"; FORMAT.md 2 "rules".
#pragma once

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/btree_set.h"
#include "absl/functional/function_ref.h"
#include "spool/rule.h"
#include "spool/spool.h"

namespace backstay {

// Messages before `cut` that wait to be settled as discarded: of one order, so that the queue is
// walked once for it.
struct Deletion {
  std::vector<DomainId> domains;  // ascending; none: all
  MessageRef cut;

  bool IsFor(DomainId domain) const {
    return domains.empty() || std::binary_search(domains.begin(), domains.end(), domain);
  }
};

// Where the newest rule of one kind stands.
struct RuleMark {
  uint64_t epoch = 0;
  uint32_t serial =
      0;  // of what was ordered for one message since that rule; both 0: there is none
  MessageRef cut;
  SpoolTime at;

  std::pair<uint64_t, uint32_t> order() const { return {epoch, serial}; }
};

class RuleBook {
 public:
  static constexpr size_t kMessagesMax = 65'536;
  using Intern = absl::FunctionRef<DomainId(std::string_view)>;
  using NameOf = absl::FunctionRef<std::string_view(DomainId)>;

  // `domains`: those of the rule, none for all. A rule that is not newer than the last is the last
  // once more, with a later cut.
  void Apply(const Rule& rule, MessageRef cut, std::span<const DomainId> domains);

  // A rule of this shard alone, for one domain; like what is said of single messages it is newer
  // than the last order and older than the next. A rule from the log says with its epoch which
  // order that was (BehindLast): a checkpoint may know later ones. 0: the last one that is known.
  void ApplyOwn(const Rule& rule, MessageRef cut, DomainId domain);

  // The same for one message; its domains do not matter. kDelete is not for here.
  void ApplyToMessage(const Rule& rule, MessageRef message);
  // The epoch of what is said now of one message or by this shard alone: one more than that of the
  // last order, as 0 is what older versions wrote.
  uint64_t BehindLast() const { return last_.epoch + 1; }
  bool TakesMessages() const { return of_message_.size() < kMessagesMax; }
  bool HasOwn(MessageRef message) const { return of_message_.contains(message); }
  // Calls `take(message)` for those with a word of their own in (after, before).
  template <typename Take>
  void ForEachOwn(std::optional<MessageRef> after, MessageRef before, Take take) const {
    auto at = after.has_value() ? of_message_.upper_bound(*after) : of_message_.begin();
    for (; at != of_message_.end() && at->first < before; ++at) {
      if (!take(at->first)) {
        return;
      }
    }
  }
  // The same for those of one domain. `add_domains(message, add)` calls `add(domain)` for each that
  // the message has: a book that was read cannot know them before the queue does, so it asks then,
  // once for each message.
  template <typename AddDomains, typename Take>
  void ForEachOwnOf(DomainId domain, std::optional<MessageRef> after, MessageRef before,
                    AddDomains add_domains, Take take) const {
    for (const MessageRef message : of_nobody_) {
      add_domains(message, [&](DomainId of) { own_of_domain_.insert({of, message}); });
    }
    of_nobody_.clear();
    auto at = after.has_value() ? own_of_domain_.upper_bound({domain, *after})
                                : own_of_domain_.lower_bound({domain, MessageRef()});
    for (; at != own_of_domain_.end() && *at < std::pair(domain, before); ++at) {
      if (!take(at->second)) {
        return;
      }
    }
  }
  // Those that nobody will ask for any more.
  template <typename Predicate>
  void ForgetMessages(Predicate is_over) {
    const size_t before = of_message_.size();
    for (auto at = of_message_.begin(); at != of_message_.end();) {
      at = is_over(at->first) ? of_message_.erase(at) : std::next(at);
    }
    if (of_message_.size() == before) {
      return;
    }
    for (auto at = own_of_domain_.begin(); at != own_of_domain_.end();) {
      at = HasOwn(at->second) ? std::next(at) : own_of_domain_.erase(at);
    }
    std::erase_if(of_nobody_, [this](MessageRef message) { return !HasOwn(message); });
  }

  Standing StandingOf(DomainId domain, MessageRef message) const;
  DomainStop StopOf(DomainId domain) const;
  // No message of the domain before it may be delivered, but for those with a word of their own.
  MessageRef DeliverableFrom(DomainId domain) const;
  // Nothing of the domain at or behind it is held by a rule for the domain.
  MessageRef HeldBefore(DomainId domain) const;
  // The same for what a rule holds by its place in the log: what a release ends.
  MessageRef HoldCut(DomainId domain) const {
    return std::max(InForceBefore(Kind::kHold, domain), InForceBefore(Kind::kPark, domain));
  }
  // Of the domain: the senders of what lies before it were told that it is late.
  MessageRef ToldBefore(DomainId domain) const;
  // The newest rule, for shards that do not have it; epoch 0: there is none.
  const Rule& last() const { return last_; }
  // Which domains are stopped, as orders for a shard that missed them, the oldest first.
  std::vector<Rule> Stops(NameOf name_of) const;

  // A deletion that is not carried out to its end speaks for it.
  bool IsDeleted(DomainId domain, MessageRef message) const;
  std::vector<Deletion>& deletions() { return deletions_; }
  const std::vector<Deletion>& deletions() const { return deletions_; }

  std::vector<uint8_t> Encode(NameOf name_of) const;
  static std::optional<RuleBook> Decode(Bytes bytes, Intern intern);

 private:
  enum class Kind : uint8_t {  // as on disk
    kScheduleReset,
    kAgeReset,
    kHold,
    kRelease,
    kExpire,
    kStop,
    kTrip,
    kStart,
    kPark,
    kTold,
    kUnpark  // a release of what was parked: beside the other, whose cut may lie further on
  };
  static constexpr size_t kKinds = 11;
  // A stop has no end in the log.
  static constexpr MessageRef kEverything{UINT32_MAX, UINT32_MAX};
  using Mark = RuleMark;
  using Marks = std::array<Mark, kKinds>;

  // What may speak for a message, looked up once: null where there is nothing.
  struct Voices {
    const Marks* all = nullptr;
    const Marks* of_domain = nullptr;
    const Marks* of_message = nullptr;
  };
  Voices VoicesOf(DomainId domain, MessageRef message) const;
  // The newest rule of this kind that speaks for the message.
  static const Mark& Latest(Kind kind, const Voices& voices, MessageRef message);
  // What has an age of its own has also its own word for when that is over.
  static bool IsParked(const Voices& voices, MessageRef message);
  static bool IsHeldByPlace(const Voices& voices, MessageRef message);
  // The newest of what stops or starts the domain; kStart: it is not stopped.
  static std::pair<Kind, const Mark*> NewestStop(const Voices& voices);
  MessageRef InForceBefore(Kind kind, DomainId domain) const;
  uint64_t LastBefore(const Rule& rule) const {
    // An order that was lost is given anew with its epoch, and is newer than the mark.
    return rule.epoch > 0 ? std::min(rule.epoch - 1, last_.epoch) : last_.epoch;
  }
  static Mark& At(Marks& marks, Kind kind) { return marks[static_cast<size_t>(kind)]; }
  static const Mark& At(const Marks& marks, Kind kind) { return marks[static_cast<size_t>(kind)]; }
  Marks& OfMessage(MessageRef message);
  static void Set(Marks& marks, const Rule& rule, const Mark& mark);
  void Release(DomainId domain, const Mark& mark);
  void ReleaseAll(const Mark& mark);
  void AddDeletion(std::optional<DomainId> domain, MessageRef cut);
  bool DecodeMark(Bytes& left, Intern intern);

  Marks all_;
  absl::btree_map<DomainId, Marks> of_domain_;
  absl::btree_map<MessageRef, Marks> of_message_;
  // The same messages by their domains, and those whose domains were not asked for yet.
  mutable absl::btree_set<std::pair<DomainId, MessageRef>> own_of_domain_;
  mutable std::vector<MessageRef> of_nobody_;
  uint32_t serial_ = 0;  // the last one
  std::vector<Deletion> deletions_;
  Rule last_;
};

}  // namespace backstay
