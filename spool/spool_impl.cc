// spool/spool_impl.cc -- the turn of the log: append what waited, commit, roll, tell, reclaim.
#include "spool/spool_impl.h"

#include <algorithm>
#include <utility>

#include "core/base/check.h"
#include "core/base/log.h"

namespace backstay {
namespace {

// A thousand recipients with long addresses. Messages whose envelope is larger are refused (451)
// when they happen to come at the very end of a segment.
constexpr size_t kDescriptionBytesMax = 256_KiB;
constexpr size_t kPartBytesMax = 4_MiB;
constexpr size_t kPendingBytesMax = 16_MiB;
static_assert(kPartBytesMax + kDescriptionBytesMax < kPayloadBytesMax);
// A batch takes one record more when half of what may be pending has gathered.
static_assert(kPendingBytesMax / 2 + FrameBytes(kPayloadBytesMax) + kBlockBytes < kBatchBytesMax);
const absl::Duration kRollRetry = absl::Seconds(1);
constexpr int kToldPerTurnMax = 4;
// 16 MiB of a usual segment: 700,000 settles.
constexpr uint64_t kSettleShare = 16;
constexpr uint64_t kSettleBytesMin = 64_KiB;
constexpr int kClosingFailuresMax = 2;

SpoolOptions Checked(SpoolOptions options) {
  options.segment_bytes = std::clamp(options.segment_bytes / kBlockBytes * kBlockBytes,
                                     kSegmentBytesMin, kSegmentBytesMax);
  options.pending_bytes_max = std::min(options.pending_bytes_max, kPendingBytesMax);
  const auto quarter = static_cast<size_t>(options.segment_bytes / 4);
  options.part_bytes =
      std::clamp(options.part_bytes, kBlockBytes, std::min(quarter, kPartBytesMax));
  return options;
}

}  // namespace

Spool::Impl::Impl(Io& io, Fd directory, const SpoolOptions& options, SpoolEvents& events)
    : io_(io),
      directory_(directory),
      options_(Checked(options)),
      events_(events),
      description_bytes_max_(
          std::min(kDescriptionBytesMax, static_cast<size_t>(options_.segment_bytes / 4))),
      index_(segments_),
      commit_(io, *this),
      roll_(io, directory, {options.node, options.shard, options_.segment_bytes}, spares_, *this),
      checkpoints_(io, directory, {options.node, options.shard}, *this),
      reclaim_(io, directory, segments_, index_, commit_, checkpoints_, spares_,
               options_.segment_bytes),
      keeper_(io, segments_, index_, commit_, checkpoints_),
      sweep_(segments_, index_),
      read_damage_(io, directory),
      space_(io, directory, options_.reserve_bytes, options_.segment_bytes, options_.shards),
      staging_(options_.part_bytes, options_.staging_bytes_max),
      evacuation_(io, *this, segments_, index_, commit_, options_) {}

Spool::Impl::~Impl() = default;

// ---- the turn ----

void Spool::Impl::CommitTurn() {
  while (LateTeller* teller = late_.PopFront()) {
    teller->TellLate();
  }
  if (!is_running()) {
    return;
  }
  if (IsRecovering()) {
    checkpoints_.StepRead(recovery_->is_aborted());
  }
  if (IsRecovering() && has_recovered_) {
    EndRecovery();
  }
  const size_t unused = spares_.size() + (roll_.ready() ? 1 : 0);
  space_.Check(commit_.RoomBytes() + unused * options_.segment_bytes, staging_.bytes());
  staging_.TellRefused();
  // Twice, because the first commit may end a segment and what waits goes on in the next.
  for (int pass = 0; pass < 2; ++pass) {
    OpenPrepared();
    staging_.Pump();
    commit_.Commit(Clock(), phase_ == Phase::kClosing);
  }
  PrepareSegment();
  RefuseStuck();
  TellUncongested();
  TryToClose();
}

void Spool::Impl::OpenPrepared() {
  if (commit_.wants_segment() && roll_.ready()) {
    if (segments_.newest() != nullptr && segments_.newest()->is_published) {
      segments_.newest()->index.ShrinkToFit();
      keeper_.OnSealed(segments_.newest()->number());
    }
    commit_.Open(*segments_.Add(roll_.Take()));
  }
}

void Spool::Impl::PrepareSegment() {
  const bool is_wanted = phase_ == Phase::kReady || commit_.wants_segment();
  if (is_wanted && !roll_.ready() && !roll_.busy() && io_.Now() >= roll_retry_at_) {
    roll_.Start();
  }
}

void Spool::Impl::OnSegmentReady() {
  roll_error_ = IoError::kNone;
  roll_gate_.Succeeded();
  if (phase_ == Phase::kStarting) {
    OpenPrepared();
    BecomeReady();
  }
}

void Spool::Impl::OnRollFailed(IoError error) {
  roll_error_ = error;
  roll_retry_at_ = io_.Now() + kRollRetry;
  if (error != IoError::kNoSpace) {
    roll_gate_.Failed(io_.Now(), error);
    roll_retry_at_ = std::max(roll_retry_at_, roll_gate_.retry_at());
  }
  closing_failures_ += phase_ == Phase::kClosing ? 1 : 0;
  if (phase_ == Phase::kStarting) {
    BecomeReady();
  } else {
    events_.OnSettlesDecided();
  }
}

// The disk is full: the end of the open segment is for settles, so that what is delivered meanwhile
// is known as delivered after a crash.
bool Spool::Impl::IsForSettlesOnly(uint64_t payload_bytes) const {
  const uint64_t kept = std::min(std::max(options_.segment_bytes / kSettleShare, kSettleBytesMin),
                                 options_.segment_bytes / 4);
  return !roll_.ready() && roll_error_ == IoError::kNoSpace && !commit_.wants_segment() &&
         commit_.RoomBytes() < kept + payload_bytes;
}

// Messages do not wait for a segment that cannot be had: the client is told to come back.
void Spool::Impl::RefuseStuck() {
  const bool is_stuck = commit_.wants_segment() && !roll_.ready() && roll_error_ != IoError::kNone;
  if (is_stuck || std::exchange(has_kept_for_settles_, false)) {
    staging_.RefuseWaiting(roll_error_ == IoError::kNoSpace ? CommitResult::kNoSpace
                                                            : CommitResult::kFailed);
  }
}

// One half of what may be pending is written and synced while the other half gathers, so neither
// waits for the whole of the other, and each buffer holds at most its half and one record more.
bool Spool::Impl::MakeRoom(uint64_t payload_bytes) {
  if (!is_running() || commit_.gathered_bytes() >= options_.pending_bytes_max / 2) {
    return false;
  }
  if (IsForSettlesOnly(payload_bytes)) {
    has_kept_for_settles_ = true;
    return false;
  }
  return commit_.MakeRoom(payload_bytes);
}

// ---- intake ----

CommitResult Spool::Impl::IntakeState() const {
  if (phase_ != Phase::kReady || commit_.gate().closed() || roll_gate_.closed() ||
      roll_error_ == IoError::kReadOnly) {
    return CommitResult::kFailed;
  }
  if (roll_error_ == IoError::kNoSpace || commit_.no_space() || space_.low()) {
    return CommitResult::kNoSpace;
  }
  return CommitResult::kStored;
}

// A segment that is on its way is worth waiting for; one that cannot be had is not: content is read
// to its end then and refused, or its client would wait for ever.
bool Spool::Impl::Congested() const {
  const bool waits_for_segment = commit_.wants_segment() && roll_error_ == IoError::kNone;
  return !is_running() || waits_for_segment || staging_.over_budget() ||
         commit_.gathered_bytes() >= options_.pending_bytes_max / 2;
}

void Spool::Impl::TellUncongested() {
  if (congestion_waiters_.empty() || Congested()) {
    return;
  }
  // A few at a time: what they bring shows in the budgets only a turn later, and every connection
  // that is stopped again meanwhile keeps the piece that it had asked for.
  for (int told = 0; told < kToldPerTurnMax && !congestion_waiters_.empty(); ++told) {
    congestion_waiters_.PopFront()->OnUncongested();
  }
}

// ---- readers ----

Segment* Spool::Impl::BeginRead(uint32_t number) {
  Segment* segment = segments_.Find(number);
  if (segment == nullptr || segment->is_gone()) {
    return nullptr;
  }
  ++segment->readers;
  return segment;
}

void Spool::Impl::EndRead(Segment& segment) {
  ASSERT(segment.readers > 0);
  --segment.readers;
  const bool is_cached = segment.phase == SegmentPhase::kAbandoned && segment.file.valid();
  if (segment.readers == 0 && is_cached) {
    io_.Close(segment.file);
    segment.file = Fd();
  }
}

SpoolStats Spool::Impl::Stats() const {
  SpoolStats stats;
  stats.messages_live = index_.messages_owed();
  stats.recipients_live = index_.recipients_live();
  stats.recipients_dsn_pending = index_.recipients_pending();
  stats.recipients_quarantined = index_.recipients_quarantined();
  stats.messages_appended = messages_appended_;
  stats.batches = commit_.batches();
  stats.bytes_written = commit_.written_bytes();
  stats.syncs = commit_.syncs();
  stats.segments = segments_.size() + (roll_.ready() ? 1 : 0);
  stats.messages_moved = evacuation_.messages_moved();
  stats.spares = spares_.size();
  stats.deletions_open = rules_.deletions().size();
  stats.segments_abandoned = commit_.segments_abandoned();
  stats.damaged_records = damaged_records_ + read_damage_.count();
  stats.torn_tails = torn_tails_;
  stats.recipients_unaccounted = recipients_unaccounted_;
  stats.segments_unreadable = segments_.unreadable();
  stats.staged_bytes = staging_.bytes();
  return stats;
}

// ---- the end ----

void Spool::Impl::ReclaimStep() {
  read_damage_.Step();
  if (phase_ == Phase::kReady && !IsRecovering()) {
    SweepStep();
    keeper_.Step(notes_, rules_, reclaim_.leaving());
    const bool in_haste = IntakeState() == CommitResult::kNoSpace;
    reclaim_.Step(in_haste);
    if (reclaim_.wants_checkpoint()) {
      keeper_.WantCheckpointSoon(in_haste, reclaim_.has_made_room());
    }
    if (!segments_.has_gap()) {
      evacuation_.Step(in_haste);
    }
  }
}

Instant Spool::Impl::NextDue() const {
  if (!late_.empty() || staging_.has_refused()) {
    return io_.Now();
  }
  if (!is_running()) {
    return Instant::Max();
  }
  if (IsRecovering() && has_recovered_) {
    return io_.Now();
  }
  const bool works = phase_ == Phase::kReady && !IsRecovering();
  if (!rules_.deletions().empty() && works && !sweep_.waits()) {
    return io_.Now();
  }
  if (!congestion_waiters_.empty() && !Congested()) {
    return io_.Now();  // the next few of them
  }
  Instant due = std::min(commit_.NextDue(), checkpoints_.NextDue());
  if (!roll_.ready() && !roll_.busy() && (phase_ == Phase::kReady || commit_.wants_segment())) {
    due = std::min(due, roll_retry_at_);
  }
  if (IntakeState() == CommitResult::kNoSpace) {
    due = std::min(due, io_.Now() + kRollRetry);
  }
  if (works) {
    due = std::min({due, reclaim_.NextDue(), keeper_.NextDue()});
    if (!segments_.has_gap()) {
      due = std::min(due, evacuation_.NextDue());
    }
  }
  const bool can_close = phase_ == Phase::kClosing && is_quiet();
  return can_close ? std::min(due, commit_.gate().retry_at()) : due;
}

void Spool::Impl::Close() {
  switch (phase_) {
    case Phase::kNew:
    case Phase::kFailed:
      phase_ = Phase::kClosed;
      return;
    case Phase::kRecovering:
    case Phase::kStarting:
      close_when_ready_ = true;
      return;
    case Phase::kReady:
      break;
    case Phase::kClosing:
    case Phase::kClosed:
      return;
  }
  phase_ = Phase::kClosing;
  evacuation_.Stop();
  if (IsRecovering()) {
    recovery_->Abort();
  }
  // Whether a segment can be had is asked once more now: what failed before may be over.
  roll_error_ = IoError::kNone;
  roll_retry_at_ = io_.Now();
  CommitTurn();
}

void Spool::Impl::TryToClose() {
  if (phase_ != Phase::kClosing || !is_quiet()) {
    return;
  }
  // A device that fails twice in a row will not take the last settles: that costs duplicates.
  if (!commit_.clean() && closing_failures_ < kClosingFailuresMax) {
    return;
  }
  phase_ = Phase::kClosed;
  for (Segment* segment = segments_.oldest(); segment != nullptr;
       segment = segments_.FindFrom(segment->number() + 1)) {
    if (segment->file.valid() && segment->readers == 0) {
      io_.Close(segment->file);
      segment->file = Fd();
    }
  }
  if (roll_.ready()) {
    io_.Close(roll_.Take()->file);
  }
  reclaim_.CloseFiles();
  spares_.CloseAll(io_);
}

}  // namespace backstay
