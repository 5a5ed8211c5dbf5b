// spool/keeper.cc -- a footer for each sealed segment, then a checkpoint that covers it.
#include "spool/keeper.h"

#include <algorithm>

#include "core/base/mark.h"

namespace backstay {
namespace {

const absl::Duration kCheckpointRetry = absl::Seconds(10);
const absl::Duration kCheckpointPause = absl::Seconds(2);
// And so much longer for each byte of the last one: taking one holds up the shard.
constexpr size_t kCheckpointBytesPerMillisecond = 4096;

}  // namespace

// One footer a segment: what was moved to it is forgotten when its footer is made, so a second one
// would not name it, and the next start would not know where that mail lies.
void Keeper::OnSealed(uint32_t segment) {
  if (segment <= last_sealed_) {
    MARK("segment sealed again");
    return;
  }
  last_sealed_ = segment;
  sealed_.push_back(segment);
}

void Keeper::Step(const NoteMap& notes, const RuleBook& rules,
                  const std::optional<Checkpoint::SegmentState>& leaving) {
  if (!footer_.busy() && !sealed_.empty()) {
    StartFooter();
  }
  LookAtDue();
  // What could not be read is not known: the checkpoints from before know more.
  if (wants_checkpoint_ && !taken_.has_value() && !busy() && !segments_.has_gap()) {
    wants_checkpoint_ = false;
    taken_at_ = io_.Now();
    taken_ = Take(notes, rules, leaving);
    outcomes_to_wait_for_ = commit_.outcomes_queued();
  }
  if (taken_.has_value() && !store_.busy() && commit_.outcomes_synced() >= outcomes_to_wait_for_) {
    store_.Write(*taken_);
    taken_.reset();
  }
}

void Keeper::WantCheckpointSoon(bool in_haste, bool has_room) {
  if (taken_.has_value() || busy() || (store_.is_failing() && !has_room)) {
    return;
  }
  const absl::Duration pause =
      kCheckpointPause + absl::Milliseconds(store_.bytes() / kCheckpointBytesPerMillisecond);
  due_at_ = std::min(due_at_, in_haste ? io_.Now() : taken_at_ + pause);
}

void Keeper::LookAtDue() {
  if (store_.TakeFailed()) {
    due_at_ = io_.Now() + kCheckpointRetry;
  }
  if (io_.Now() >= due_at_) {
    due_at_ = Instant::Max();
    wants_checkpoint_ = true;
  }
}

void Keeper::StartFooter() {
  Segment* segment = segments_.Find(sealed_.front());
  if (segment != nullptr && commit_.Uses(*segment)) {
    return;  // its last batch is under way
  }
  sealed_.pop_front();
  wants_checkpoint_ = true;
  if (segment != nullptr && segment->phase == SegmentPhase::kSealed && segment->file.valid() &&
      segment->batches_end > 0) {
    footer_.Start(*segment,
                  EncodeFooter(segment->index, MovedTo(*segment), segment->last_commit_crc,
                               [this](DomainId domain) { return index_.Name(domain); }));
    segment->moved_here = {};
  }
}

// Those that are owed: a checkpoint that covers the segment does not know the others either.
std::vector<MovedMessage> Keeper::MovedTo(const Segment& segment) const {
  std::vector<MovedMessage> messages;
  for (const MessageRef home : segment.moved_here) {
    std::optional<MovedMessage> moved = index_.Moved(home);
    if (moved.has_value() && moved->record.segment == segment.number()) {
      messages.push_back(*std::move(moved));
    }
  }
  return messages;
}

// In the order of their homes.
void Keeper::TakeMoved(const Segment& segment, std::vector<Checkpoint::MovedState>& moved) const {
  std::vector<uint32_t> messages(segment.index.moved().begin(), segment.index.moved().end());
  std::sort(messages.begin(), messages.end());
  for (const uint32_t message : messages) {
    if (segment.index.IsOwed(message)) {
      const MessageRef home{segment.number(), segment.index.Block(message)};
      moved.push_back({home, index_.StatesOf(home)});
    }
  }
}

AccountState Keeper::TakeAccounts(uint32_t covers) {
  AccountBook& book = index_.accounts();
  book.Cover(covers);
  AccountState state;
  state.since = book.since();
  for (const auto& [domain, account] : book.covered()) {
    state.domains.push_back({std::string(index_.Name(domain)), account});
  }
  return state;
}

Checkpoint Keeper::Take(const NoteMap& notes, const RuleBook& rules,
                        const std::optional<Checkpoint::SegmentState>& leaving) {
  Checkpoint checkpoint;
  checkpoint.notes = notes;
  for (Segment* segment = segments_.oldest(); segment != nullptr;
       segment = segments_.FindFrom(segment->number() + 1)) {
    if (segment->orders_in_checkpoint == Segment::kNotTaken) {
      segment->orders_in_checkpoint = store_.next_number();
    }
  }
  checkpoint.rules = rules.Encode([this](DomainId domain) { return index_.Name(domain); });
  // Until the log says where an abandoned segment ends, the next start may find more in it. And
  // what lies behind the last batch may go and its number be given again.
  const uint32_t end =
      std::min(commit_.FirstUntold().value_or(UINT32_MAX), commit_.last_stored_segment() + 1);
  Segment* segment = segments_.oldest();
  for (; segment != nullptr && segment->number() < end && !commit_.Uses(*segment);
       segment = segments_.FindFrom(segment->number() + 1)) {
    TakeMoved(*segment, checkpoint.moved);
    if (segment->is_gone()) {
      continue;
    }
    if (segment->dead_in_checkpoint == 0 && segment->index.lies_elsewhere() && segment->pins == 0) {
      segment->dead_in_checkpoint = store_.next_number();
    }
    checkpoint.segments.push_back({segment->number(), segment->header.generation,
                                   segment->index.table().bits(), segment->index.live(),
                                   segment->index.pending()});
  }
  // A number that is not there has gone, and no file of it comes back but the one that is leaving.
  checkpoint.covers = (segment != nullptr ? std::min(segment->number(), end) : end) - 1;
  if (leaving.has_value()) {
    const auto at = std::find_if(
        checkpoint.segments.begin(), checkpoint.segments.end(),
        [&](const Checkpoint::SegmentState& state) { return state.number > leaving->number; });
    checkpoint.segments.insert(at, *leaving);
  }
  checkpoint.accounts = TakeAccounts(checkpoint.covers);
  return checkpoint;
}

}  // namespace backstay
