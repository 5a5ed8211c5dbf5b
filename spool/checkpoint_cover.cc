// spool/checkpoint_cover.cc -- bits onto messages, if they are the same messages.
#include "spool/checkpoint_cover.h"

#include <algorithm>

#include "core/base/mark.h"

namespace backstay {
namespace {

bool IsOwedState(RecipientState state) {
  return state != RecipientState::kSettled;
}

uint64_t OwedIn(const Checkpoint::SegmentState& state) {
  return state.live.Count() + state.pending.Count();
}

uint64_t OwedIn(const Checkpoint::MovedState& moved) {
  return static_cast<uint64_t>(
      std::count_if(moved.states.begin(), moved.states.end(), IsOwedState));
}

}  // namespace

bool CheckpointCover::Fits(const Catalog& catalog) const {
  return std::all_of(catalog.entries().begin(), catalog.entries().end(),
                     [this](const CatalogEntry& entry) {
                       if (!Covers(entry.number) || !entry.header.has_value()) {
                         return true;
                       }
                       const Checkpoint::SegmentState* state = checkpoint_->Find(entry.number);
                       // Prepared and never used: nothing begins in it.
                       return state != nullptr ? state->generation == entry.header->generation
                                               : !entry.start.has_value();
                     });
}

bool CheckpointCover::Apply(Segment& segment, Index& index) const {
  const Checkpoint::SegmentState* state = checkpoint_->Find(segment.number());
  if (state == nullptr) {
    return segment.index.messages() == 0;
  }
  if (state->bits != segment.index.table().bits()) {
    return false;
  }
  segment.index.SetOwed(state->live, state->pending);
  for (const auto& [message, parts] : segment.index.parts()) {
    for (size_t i = 0; i < parts.size() && segment.index.IsOwed(message); ++i) {
      index.Pin(parts[i]);
    }
  }
  return true;
}

std::optional<RuleBook> CheckpointCover::Begin(const Catalog& catalog, Index& index) {
  if (!checkpoint_.has_value()) {
    return RuleBook();
  }
  std::optional<RuleBook> rules;
  if (Fits(catalog)) {
    rules = RuleBook::Decode(checkpoint_->rules,
                             [&index](std::string_view name) { return index.Intern(name); });
  }
  if (!rules.has_value()) {
    MARK("checkpoint does not fit");
    return std::nullopt;
  }
  FindMissing(catalog);
  return rules;
}

void CheckpointCover::LoadAccounts(const Catalog& catalog, WallTime now, Index& index) const {
  AccountBook& book = index.accounts();
  if (!checkpoint_.has_value()) {
    return book.Restart(catalog.highest_number(), 0, catalog.Created().value_or(now));
  }
  if (LacksAccounts()) {
    return book.Restart(catalog.highest_number(), checkpoint_->covers, now);
  }
  book.Restart(catalog.highest_number(), checkpoint_->covers, checkpoint_->accounts->since);
  for (const auto& [name, account] : checkpoint_->accounts->domains) {
    book.Load(index.Intern(name), account);
  }
}

void CheckpointCover::FindMissing(const Catalog& catalog) {
  if (!checkpoint_.has_value() || catalog.entries().empty()) {
    return;
  }
  const auto is_missing = [&](uint32_t number) {
    return catalog.Find(number) == nullptr && !catalog.IsLeftAlone(number);
  };
  for (const Checkpoint::SegmentState& state : checkpoint_->segments) {
    const uint64_t owed = OwedIn(state);
    const CatalogEntry* entry = catalog.Find(state.number);
    if (owed > 0 && is_missing(state.number)) {
      missing_[state.number].owed = owed;
    } else if (owed > 0 && (entry == nullptr || !entry->header.has_value())) {
      has_unusable_ = true;
    }
  }
  for (const Checkpoint::MovedState& moved : checkpoint_->moved) {
    const uint32_t number = moved.home.segment;
    if (checkpoint_->Find(number) == nullptr && is_missing(number)) {
      missing_[number].owed += OwedIn(moved);
    }
  }
}

// A segment whose file goes is dead for the newest checkpoint: what is owed of it lies elsewhere.
bool CheckpointCover::KnewOnlyMoved(uint32_t segment) const {
  if (!Covers(segment)) {
    return false;
  }
  const Checkpoint::SegmentState* state = checkpoint_->Find(segment);
  if (state == nullptr) {
    return true;
  }
  uint64_t owed = OwedIn(*state);
  for (auto at = checkpoint_->FirstMovedFrom({segment, 0});
       at != checkpoint_->moved.end() && at->home.segment == segment; ++at) {
    owed -= OwedIn(*at);
  }
  return owed == 0;
}

void CheckpointCover::NoteOutcome(const OutcomeEntry& entry, Bytes detail) {
  switch (static_cast<OutcomeCode>(entry.code)) {
    case OutcomeCode::kDeferred:
    case OutcomeCode::kMark:
    case OutcomeCode::kOwnRule:
      return;
    case OutcomeCode::kRule:
      // A deletion may have been of just those who were owed.
      if (const auto rule = DecodeRule(detail);
          rule.has_value() && rule->verb == RuleVerb::kDelete) {
        missing_.erase(missing_.begin(), missing_.upper_bound(entry.segment));
      }
      return;
    case OutcomeCode::kDelivered:
    case OutcomeCode::kFailed:
    case OutcomeCode::kDiscarded:
    case OutcomeCode::kQuarantined:
      return NoteEnded({entry.segment, entry.block}, entry.recipient,
                       backstay::EndingOf(static_cast<SettleKind>(entry.code)));
  }
}

void CheckpointCover::NoteMoved(MessageRef home, const std::vector<RecipientState>& states) {
  for (uint32_t i = 0; i < states.size(); ++i) {
    if (IsOwedState(states[i])) {
      NoteEnded(home, i, std::nullopt);
    }
  }
}

void CheckpointCover::NoteEnded(MessageRef message, uint32_t recipient,
                                std::optional<Ending> ending) {
  const auto found = missing_.find(message.segment);
  if (found != missing_.end()) {
    std::optional<Ending>& known = found->second.known[{message.block, recipient}];
    known = ending.has_value() ? ending : known;
  }
}

std::optional<Ending> CheckpointCover::EndingOf(MessageRef message, uint32_t recipient) const {
  const auto found = missing_.find(message.segment);
  if (found == missing_.end()) {
    return std::nullopt;
  }
  const auto known = found->second.known.find({message.block, recipient});
  return known != found->second.known.end() ? known->second : std::nullopt;
}

std::vector<uint32_t> CheckpointCover::Lost() const {
  std::vector<uint32_t> lost;
  for (const auto& [number, missing] : missing_) {
    if (missing.known.size() < missing.owed) {
      lost.push_back(number);
    }
  }
  return lost;
}

}  // namespace backstay
