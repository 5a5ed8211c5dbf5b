// spool/reclaim.cc -- choose, unlink or rename, sync the directory, shrink.
#include "spool/reclaim.h"

#include <utility>

#include "core/base/check.h"
#include "core/base/log.h"
#include "core/base/mark.h"

namespace backstay {
namespace {

const absl::Duration kRetryAfter = absl::Seconds(10);

}  // namespace

// Nothing is known of it that anybody will ask for.
bool Reclaim::IsForgotten(const Segment& segment) {
  return segment.is_gone() && segment.index.dead();
}

bool Reclaim::IsDead(const Segment& segment) const {
  return !segment.is_gone() && !segment.is_held() && !commit_.Uses(segment) &&
         segment.number() != commit_.last_stored_segment() &&  // it has the chain and the clock
         commit_.outcomes_synced() >= segment.outcomes_to_wait_for;
}

bool Reclaim::MayGo(const Segment& oldest, bool in_haste) {
  if (!IsDead(oldest) || segments_.has_gap()) {
    return false;
  }
  const uint32_t newest = checkpoints_.newest_number();
  const bool is_known_dead = oldest.is_known_dead(newest);
  wants_checkpoint_ = !is_known_dead;
  // One is not written, either, while what it knows finds no room in the log.
  const bool has_failed = checkpoints_.is_failing() && !has_made_room();
  const bool is_known_well = oldest.orders_in_checkpoint <= newest;
  if (is_known_dead || !in_haste || !is_known_well || !(has_failed || commit_.wants_segment())) {
    return is_known_dead;
  }
  MARK("segment gone without a checkpoint");
  failures_met_ = checkpoints_.failures();
  return true;
}

// A dead one that both checkpoints do not know: on a full disk nothing else makes new ones.
bool Reclaim::HasUnknownDead() {
  const uint32_t older = checkpoints_.older_number();
  for (Segment* segment = segments_.oldest(); segment != nullptr;
       segment = segments_.FindFrom(segment->number() + 1)) {
    if (!segment->is_known_dead(older) && IsDead(*segment) &&
        segment->number() < commit_.last_stored_segment()) {
      return true;
    }
  }
  return false;
}

Segment* Reclaim::Candidate(bool in_haste) {
  while (segments_.oldest() != nullptr && IsForgotten(*segments_.oldest())) {
    segments_.Remove(segments_.oldest()->number());
  }
  Segment* oldest = segments_.oldest();
  if (oldest != nullptr && MayGo(*oldest, in_haste)) {
    return oldest;
  }
  if (Segment* younger = YoungerCandidate(); younger != nullptr) {
    return younger;
  }
  if (in_haste && !segments_.has_gap()) {
    wants_checkpoint_ = HasUnknownDead();
  }
  if (!may_have_empty_) {
    return nullptr;
  }
  for (Segment* segment = oldest; segment != nullptr;
       segment = segments_.FindFrom(segment->number() + 1)) {
    if (segment->holds_nothing_good() && IsDead(*segment)) {
      return segment;
    }
  }
  may_have_empty_ = false;
  return nullptr;
}

// Without its start record nobody would know where an older segment ends.
bool Reclaim::TellsOfOlder(const Segment& segment) {
  if (segment.untrusted_from == 0) {
    return false;
  }
  const Segment* older = segments_.FindFrom(segment.untrusted_from);
  while (older->is_gone()) {
    older = segments_.FindFrom(older->number() + 1);
  }
  return older->number() < segment.number();
}

// Looked for once for each checkpoint: what dies later is known to the next ones only.
Segment* Reclaim::YoungerCandidate() {
  const uint32_t older = checkpoints_.older_number();
  if (older == looked_at_checkpoint_ || older == 0 || segments_.has_gap()) {
    return nullptr;
  }
  segments_.RemoveIf(IsForgotten);
  for (Segment* segment = segments_.oldest(); segment != nullptr;
       segment = segments_.FindFrom(segment->number() + 1)) {
    if (segment->is_known_dead(older) && IsDead(*segment) && !TellsOfOlder(*segment)) {
      MARK("segment given back before older ones");
      return segment;
    }
  }
  looked_at_checkpoint_ = older;
  return nullptr;
}

void Reclaim::Step(bool in_haste) {
  wants_checkpoint_ = false;
  shrinker_.Step(in_haste);
  if (phase_ != Phase::kIdle || shrinker_.active() || io_.Now() < retry_at_) {
    return;
  }
  if (must_sync_) {
    phase_ = Phase::kSyncing;
    return io_.SyncDirectory(&sync_, directory_);
  }
  if (must_unlink_) {
    return Unlink();
  }
  if (!discarded_.empty()) {
    number_ = discarded_.back();
    name_ = NameOfSpare(number_);
    discarded_.pop_back();
    if (segments_.Find(number_) != nullptr || segments_.IsUnreadable(number_)) {
      MARK("spare that is a segment too");
      return Unlink();  // one file: what shrinks is the segment
    }
    return Begone();
  }
  Segment* segment = Candidate(in_haste);
  if (segment == nullptr) {
    return;
  }
  Release(segments_.Remove(segment->number()));
}

void Reclaim::Release(std::unique_ptr<Segment> released) {
  const Segment& segment = *released;
  name_ = NameOfSegment(segment.number());
  number_ = segment.number();
  leaving_ = Checkpoint::SegmentState{segment.number(), segment.header.generation,
                                      segment.index.table().bits(), segment.index.live(),
                                      segment.index.pending()};
  // Of this run and never failed: its descriptor can be written, and what it holds is known.
  const bool can_be_spare = segment.batches_end > 0 && segment.phase == SegmentPhase::kSealed &&
                            segment.header.segment_bytes == segment_bytes_;
  const Fd file = std::exchange(released->file, Fd());
  const Spare spare{file, segment.number(), segment.header.generation};
  KeepMoved(std::move(released));
  if (can_be_spare && file.valid() && spares_.has_room()) {
    spare_ = spare;
    spare_name_ = NameOfSpare(number_);
    phase_ = Phase::kRenaming;
    return io_.Rename(&rename_, directory_, name_.data(), spare_name_.data());
  }
  if (file.valid()) {
    io_.Close(file);
  }
  Begone();
}

void Reclaim::KeepMoved(std::unique_ptr<Segment> segment) {
  if (segment->index.dead()) {
    return;
  }
  MARK("segment gone before its messages");
  segment->phase = SegmentPhase::kGone;
  index_.KeepMoved(*segments_.Add(std::move(segment)));
}

void Reclaim::OnRenamed(const IoResult& result) {
  ASSERT(phase_ == Phase::kRenaming);
  if (!result.ok()) {
    io_.Close(spare_->file);
    spare_.reset();
    return Begone();
  }
  must_sync_ = true;
  phase_ = Phase::kSyncing;
  io_.SyncDirectory(&sync_, directory_);
}

// Its blocks are to outlive its name.
void Reclaim::Begone() {
  phase_ = Phase::kOpening;
  io_.Open(&open_, directory_, name_.data(), OpenMode::kReadWrite);
}

void Reclaim::OnOpened(const IoResult& result) {
  ASSERT(phase_ == Phase::kOpening);
  if (result.ok()) {
    doomed_ = result.fd();
  }
  Unlink();
}

void Reclaim::Unlink() {
  phase_ = Phase::kUnlinking;
  io_.Unlink(&unlink_, directory_, name_.data());
}

void Reclaim::OnUnlinked(const IoResult& result) {
  ASSERT(phase_ == Phase::kUnlinking);
  if (!result.ok() && result.error() != IoError::kNotFound) {
    must_unlink_ = true;
    return Failed("unlink", result.error());
  }
  must_unlink_ = false;
  must_sync_ = true;
  phase_ = Phase::kSyncing;
  io_.SyncDirectory(&sync_, directory_);
}

void Reclaim::OnSynced(const IoResult& result) {
  ASSERT(phase_ == Phase::kSyncing);
  if (!result.ok()) {
    return Failed("directory sync", result.error());
  }
  must_sync_ = false;
  leaving_.reset();
  phase_ = Phase::kIdle;
  if (spare_.has_value()) {
    spares_.Add(*std::exchange(spare_, std::nullopt));
  }
  if (doomed_.valid()) {
    shrinker_.Start(std::exchange(doomed_, Fd()));
  }
}

void Reclaim::CloseFiles() {
  if (spare_.has_value()) {
    io_.Close(std::exchange(spare_, std::nullopt)->file);
  }
  if (doomed_.valid()) {
    io_.Close(std::exchange(doomed_, Fd()));
  }
  shrinker_.Close();
}

void Reclaim::Failed(const char* what, IoError error) {
  LogError("spool segment={:08x} reclaim: {} failed: {}", number_, what, Describe(error));
  phase_ = Phase::kIdle;
  retry_at_ = io_.Now() + kRetryAfter;
}

}  // namespace backstay
