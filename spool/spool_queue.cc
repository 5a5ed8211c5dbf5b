// spool/spool_queue.cc -- what is said of messages in the log: settled, deferred, under a rule.
#include <algorithm>

#include "core/base/check.h"
#include "core/base/mark.h"
#include "spool/spool_impl.h"

namespace backstay {
namespace {

constexpr size_t kDetailBytesMax = 32_KiB;
static_assert(kRuleBytesMax <= kDetailBytesMax);
// Well under a millisecond of a turn.
constexpr uint32_t kSweptPerTurnMax = 4096;

OutcomeEntry EntryOf(MessageRef place, OutcomeCode code, uint32_t recipient = 0) {
  OutcomeEntry entry;
  entry.segment = place.segment;
  entry.block = place.block;
  entry.recipient = recipient;
  entry.code = static_cast<uint8_t>(code);
  return entry;
}

// Those that still matter for an order: nothing comes back to life.
auto LiveDomainsIn(const Index& index) {
  return [&index](MessageRef message, auto add) { index.ForEachLive(message, add); };
}

}  // namespace

SpoolTime Spool::Impl::Clock() const {
  return clock_base_ + (io_.Now() - clock_started_);
}

void Spool::Impl::Settle(MessageRef message, std::span<const RecipientSettle> outcomes) {
  for (const RecipientSettle& outcome : outcomes) {
    ASSERT(outcome.detail.size() <= kDetailBytesMax);
    commit_.QueueOutcome(
        EntryOf(message, static_cast<OutcomeCode>(outcome.kind), outcome.recipient),
        outcome.detail);
    index_.Settle(message, outcome.recipient, EndingOf(outcome.kind), commit_.outcomes_queued());
    if (outcome.kind == SettleKind::kFailed) {
      notes_[{message, outcome.recipient}] = std::string(AsText(outcome.detail));
    } else {
      notes_.erase({message, outcome.recipient});
    }
  }
}

Bytes Spool::Impl::NoteOf(MessageRef message, uint32_t recipient) const {
  const auto found = notes_.find({message, recipient});
  return found != notes_.end() ? AsBytes(found->second) : Bytes();
}

void Spool::Impl::Defer(MessageRef message, uint32_t recipient, DomainId domain, Bytes note) {
  ASSERT(note.size() <= kDetailBytesMax);
  ASSERT(index_.IsLive(message, recipient));
  ASSERT(index_.DomainOf(message, recipient) == domain);
  if (!HasRoomForNote(notes_, {message, recipient})) {
    MARK("no_room_for_a_note");
    return;
  }
  commit_.QueueOutcome(EntryOf(message, OutcomeCode::kDeferred, recipient), note);
  notes_[{message, recipient}] = std::string(AsText(note));
}

uint64_t Spool::Impl::SettlesDecided() const {
  const bool takes_none = commit_.gate().failing() || commit_.no_space() ||
                          (commit_.wants_segment() && roll_error_ != IoError::kNone);
  return takes_none ? commit_.outcomes_queued() : commit_.outcomes_synced();
}

// ---- rules ----

// Each live recipient in these domains of a message that has a word of its own.
template <typename Take>
void Spool::Impl::ForEachOwnRecipient(std::span<const DomainId> domains, MessageRef before,
                                      Take take) const {
  if (domains.empty()) {
    return rules_.ForEachOwn(std::nullopt, before, [&](MessageRef message) {
      index_.ForEachLive(message, [&](DomainId domain) { take(message, domain); });
      return true;
    });
  }
  for (const DomainId domain : domains) {
    const auto take_of_domain = [&](MessageRef message) {
      for (uint64_t live = LiveIn(message, domain); live > 0; --live) {
        take(message, domain);
      }
      return true;
    };
    rules_.ForEachOwnOf(domain, std::nullopt, before, LiveDomainsIn(index_), take_of_domain);
  }
}

uint64_t Spool::Impl::ApplyRule(const Rule& rule, std::optional<MessageRef> cut) {
  ASSERT(!IsRecovering());
  ASSERT(RuleBytes(rule) <= kRuleBytesMax);
  const std::vector<DomainId> domains = index_.Intern(rule.domains);
  const MessageRef here = cut.value_or(Frontier());
  const uint64_t matched = CountMatches(rule.verb, here, domains);
  Rule stamped = rule;
  stamped.at = Clock();
  // A release speaks for each message that is held, whoever held it.
  const std::vector<MessageRef> own =
      rule.verb == RuleVerb::kRelease ? HeldByOwn(domains, here) : std::vector<MessageRef>();
  commit_.QueueOutcome(EntryOf(here, OutcomeCode::kRule), EncodeRule(stamped));
  rules_.Apply(stamped, here, domains);
  for (const MessageRef message : own) {
    ApplyToMessage(rule, message);
  }
  return matched;
}

void Spool::Impl::ApplyOwnRule(RuleVerb verb, DomainId domain, MessageRef cut) {
  ASSERT(!IsRecovering());
  ASSERT(!IsOrder(verb));
  Rule rule;
  rule.verb = verb;
  rule.epoch = rules_.BehindLast();
  rule.at = Clock();
  rule.domains.emplace_back(index_.Name(domain));
  commit_.QueueOutcome(EntryOf(cut, OutcomeCode::kOwnRule), EncodeRule(rule));
  rules_.ApplyOwn(rule, cut, domain);
}

// Behind what is acknowledged or on its way to the disk. What gathers was promised to nobody and
// may be laid elsewhere after a failure.
MessageRef Spool::Impl::Frontier() const {
  const Segment* newest = segments_.newest();
  return commit_.wants_segment() ? MessageRef{newest != nullptr ? newest->number() + 1 : 0, 0}
                                 : commit_.GatherPlace();
}

uint64_t Spool::Impl::CountMatches(RuleVerb verb, MessageRef cut,
                                   std::span<const DomainId> domains) const {
  uint64_t matched = 0;
  for (uint32_t i = 0; i < (domains.empty() ? index_.domains() : domains.size()); ++i) {
    const DomainId domain = domains.empty() ? static_cast<DomainId>(i) : domains[i];
    const MessageRef end = verb == RuleVerb::kRelease ? std::min(cut, rules_.HoldCut(domain)) : cut;
    matched += index_.LiveRecipientsBefore(domain, end);
    // Those lie before each cut but that of a late rule, whose count nobody is told.
    matched += verb == RuleVerb::kDelete ? index_.PendingRecipients(domain) : 0;
  }
  if (verb != RuleVerb::kRelease) {
    return matched;
  }
  ForEachOwnRecipient(domains, cut, [&](MessageRef message, DomainId domain) {
    const bool is_held = rules_.StandingOf(domain, message).is_held;
    const bool is_counted = message < std::min(cut, rules_.HoldCut(domain));
    matched += is_held && !is_counted ? 1 : 0;
    matched -= !is_held && is_counted ? 1 : 0;
  });
  return matched;
}

uint64_t Spool::Impl::LiveIn(MessageRef message, DomainId domain) const {
  uint64_t live = 0;
  index_.ForEachLive(message, [&](DomainId of) { live += of == domain ? 1 : 0; });
  return live;
}

std::vector<MessageRef> Spool::Impl::HeldByOwn(std::span<const DomainId> domains,
                                               MessageRef cut) const {
  std::vector<MessageRef> held;
  ForEachOwnRecipient(domains, cut, [&](MessageRef message, DomainId domain) {
    const bool is_known = !held.empty() && held.back() == message;
    if (!is_known && rules_.StandingOf(domain, message).is_held) {
      held.push_back(message);
    }
  });
  std::sort(held.begin(), held.end());
  held.erase(std::unique(held.begin(), held.end()), held.end());  // one may be in several domains
  return held;
}

// ---- rules for one message ----

uint64_t Spool::Impl::CountInMessage(const Rule& rule, MessageRef message) const {
  uint64_t count = 0;
  for (uint32_t i = 0; i < index_.Recipients(message); ++i) {
    const bool is_meant = rule.verb != RuleVerb::kRelease ||
                          rules_.StandingOf(index_.DomainOf(message, i), message).is_held;
    const bool is_pending = rule.verb == RuleVerb::kDelete && index_.IsPending(message, i);
    count += (index_.IsLive(message, i) && is_meant) || is_pending ? 1 : 0;
  }
  return count;
}

std::optional<uint64_t> Spool::Impl::ApplyToMessage(const Rule& rule, MessageRef message) {
  ASSERT(!IsRecovering());
  const uint64_t count = CountInMessage(rule, message);
  if (rule.verb == RuleVerb::kDelete) {
    for (uint32_t i = 0; i < index_.Recipients(message); ++i) {
      if (index_.IsLive(message, i) || index_.IsPending(message, i)) {
        const RecipientSettle settle{i, SettleKind::kDiscarded, Bytes()};
        Settle(message, {&settle, 1});
      }
    }
    return count;
  }
  if (count == 0) {
    return count;
  }
  if (!rules_.TakesMessages()) {
    rules_.ForgetMessages([this](MessageRef other) { return !index_.IsOwed(other); });
  }
  if (!rules_.TakesMessages() && !rules_.HasOwn(message)) {
    return std::nullopt;
  }
  Rule stamped;
  stamped.verb = rule.verb;
  stamped.keeps_age = rule.keeps_age;
  stamped.epoch = rules_.BehindLast();
  stamped.at = Clock();
  commit_.QueueOutcome(EntryOf(message, OutcomeCode::kMark), EncodeRule(stamped));
  rules_.ApplyToMessage(stamped, message);
  return count;
}

std::optional<MessageRef> Spool::Impl::NextExpired(std::optional<MessageRef> after) const {
  std::optional<MessageRef> next;
  rules_.ForEachOwn(after, Frontier(), [&](MessageRef message) {
    for (uint32_t i = 0; i < index_.Recipients(message) && !next.has_value(); ++i) {
      if (index_.IsLive(message, i) &&
          rules_.StandingOf(index_.DomainOf(message, i), message).is_expired) {
        next = message;
      }
    }
    return !next.has_value();
  });
  return next;
}

void Spool::Impl::SweepStep() {
  sweep_.Step(rules_, kSweptPerTurnMax, commit_.FlightPlace(), commit_.outcomes_queued(),
              [this](MessageRef message, uint32_t recipient) {
                notes_.erase({message, recipient});
              });
}

std::optional<MessageRef> Spool::Impl::NextDeliverable(DomainId domain,
                                                       std::optional<MessageRef> after) const {
  const MessageRef from = rules_.DeliverableFrom(domain);
  const auto is_free = [&](MessageRef message) {
    const Standing standing = rules_.StandingOf(domain, message);
    return !standing.is_held && !standing.is_expired;
  };
  if (from > MessageRef() && (!after.has_value() || *after < from)) {
    // Before it only those that were released by their own.
    std::optional<MessageRef> released;
    const auto take = [&](MessageRef message) {
      if (is_free(message) && LiveIn(message, domain) > 0 && !rules_.IsDeleted(domain, message)) {
        released = message;
      }
      return !released.has_value();
    };
    rules_.ForEachOwnOf(domain, after, from, LiveDomainsIn(index_), take);
    if (released.has_value()) {
      return released;
    }
    after = JustBefore(from);
  }
  std::optional<MessageRef> next = index_.NextLive(domain, after);
  while (next.has_value() && rules_.HasOwn(*next) && !is_free(*next)) {
    next = index_.NextLive(domain, next);
  }
  return next;
}

}  // namespace backstay
