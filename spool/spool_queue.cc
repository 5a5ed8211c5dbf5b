// spool/spool_queue.cc -- what is said of messages in the log: settled, deferred, under a rule.
#include "core/base/check.h"
#include "spool/spool_impl.h"

namespace backstay {
namespace {

constexpr size_t kDetailBytesMax = 32_KiB;
static_assert(kRuleBytesMax <= kDetailBytesMax);
// Well under a millisecond of a turn.
constexpr uint32_t kSweptPerTurnMax = 4096;

}  // namespace

SpoolTime Spool::Impl::Clock() const {
  return clock_base_ + (io_.Now() - clock_started_);
}

void Spool::Impl::Settle(MessageRef message, std::span<const RecipientSettle> outcomes) {
  for (const RecipientSettle& outcome : outcomes) {
    ASSERT(outcome.detail.size() <= kDetailBytesMax);
    OutcomeEntry entry;
    entry.segment = message.segment;
    entry.block = message.block;
    entry.recipient = outcome.recipient;
    entry.code = static_cast<uint8_t>(outcome.kind);
    commit_.QueueOutcome(entry, outcome.detail);
    index_.Settle(message, outcome.recipient, outcome.kind, commit_.outcomes_queued());
    notes_.erase({message, outcome.recipient});
  }
}

void Spool::Impl::Defer(MessageRef message, uint32_t recipient, DomainId domain, Bytes note) {
  ASSERT(note.size() <= kDetailBytesMax);
  ASSERT(index_.IsLive(message, recipient));
  ASSERT(index_.DomainOf(message, recipient) == domain);
  OutcomeEntry entry;
  entry.segment = message.segment;
  entry.block = message.block;
  entry.recipient = recipient;
  entry.code = static_cast<uint8_t>(OutcomeCode::kDeferred);
  commit_.QueueOutcome(entry, note);
  notes_[{message, recipient}] = std::string(AsText(note));
}

uint64_t Spool::Impl::SettlesDecided() const {
  const bool takes_none = commit_.gate().failing() || commit_.no_space() ||
                          (commit_.wants_segment() && roll_error_ != IoError::kNone);
  return takes_none ? commit_.outcomes_queued() : commit_.outcomes_synced();
}

// ---- rules ----

uint64_t Spool::Impl::ApplyRule(const Rule& rule, std::optional<MessageRef> cut) {
  ASSERT(!IsRecovering());
  ASSERT(RuleBytes(rule) <= kRuleBytesMax);
  const std::vector<DomainId> domains = DomainsOf(rule);
  const MessageRef here = cut.value_or(Frontier());
  const uint64_t matched = CountMatches(rule.verb, here, domains);
  Rule stamped = rule;
  stamped.at = Clock();
  OutcomeEntry entry;
  entry.segment = here.segment;
  entry.block = here.block;
  entry.code = static_cast<uint8_t>(OutcomeCode::kRule);
  commit_.QueueOutcome(entry, EncodeRule(stamped));
  rules_.Apply(stamped, here, domains);
  return matched;
}

std::vector<DomainId> Spool::Impl::DomainsOf(const Rule& rule) {
  std::vector<DomainId> domains;
  for (const std::string& domain : rule.domains) {
    domains.push_back(index_.Intern(domain));
  }
  return domains;
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
    const MessageRef end =
        verb == RuleVerb::kRelease ? std::min(cut, rules_.HeldBefore(domain)) : cut;
    matched += index_.LiveRecipientsBefore(domain, end);
  }
  return matched;
}

void Spool::Impl::SweepStep() {
  sweep_.Step(rules_, kSweptPerTurnMax, commit_.outcomes_queued(),
              [this](MessageRef message, uint32_t recipient) {
                notes_.erase({message, recipient});
              });
}

std::optional<MessageRef> Spool::Impl::NextDeliverable(DomainId domain,
                                                       std::optional<MessageRef> after) const {
  const MessageRef from = rules_.DeliverableFrom(domain);
  if (from > MessageRef() && (!after.has_value() || *after < from)) {
    after = JustBefore(from);
  }
  return index_.NextLive(domain, after);
}

}  // namespace backstay
