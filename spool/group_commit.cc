// spool/group_commit.cc -- gather, write, sync, tell.
#include "spool/group_commit.h"

#include <algorithm>

#include "core/base/check.h"
#include "core/base/log.h"
#include "core/base/mark.h"

namespace backstay {
namespace {

// A batch without a successor could be damaged without anyone being able to tell; see FORMAT.md 6.
const absl::Duration kSuccessorAfter = absl::Milliseconds(50);
const absl::Duration kSaveClockEvery = absl::Minutes(1);
// BUILD_NOTES "What a message costs": without it a drain commits every two or three settles.
const absl::Duration kOutcomesGather = absl::Milliseconds(1);
const absl::Duration kSpaceRetry = absl::Seconds(1);
// Small, so that damage costs few outcomes (duplicates) and readers little memory.
constexpr size_t kOutcomesPayloadMax = 32_KiB;
// Outcomes that have gathered while the device took none go into several batches.
constexpr size_t kBatchBytesForOutcomes = 8_MiB;
static_assert(FrameBytes(kOutcomesPayloadMax) + kStartFrameBytes + kCommitFrameBytes <
              kSegmentBytesMin - 5 * kBlockBytes);

}  // namespace

void GroupCommit::Resume(const Resumption& resumption) {
  last_commit_crc_ = resumption.last_commit_crc;
  next_sequence_ = resumption.next_sequence;
  last_segment_ = resumption.last_segment;
  last_stored_segment_ = resumption.last_segment;
  if (resumption.torn.has_value()) {
    untrusted_.push_back(*resumption.torn);
  }
  must_commit_ = true;
  clock_saved_at_ = io_.Now();
}

void GroupCommit::Open(Segment& segment) {
  ASSERT(open_ == nullptr);
  ASSERT(gather_->segment() == nullptr);
  segment.phase = SegmentPhase::kOpen;
  open_ = &segment;
  full_ = false;
  gather_->Begin(segment, kDataStart);
  gather_->ReserveStart();
  start_sequence_ = next_sequence_++;
  appended_ += kStartFrameBytes;
}

bool GroupCommit::Uses(const Segment& segment) const {
  return open_ == &segment || flight_->segment() == &segment;
}

uint64_t GroupCommit::RoomBytes() const {
  if (open_ == nullptr || full_) {
    return 0;
  }
  return open_->data_end() -
         std::min(open_->data_end(), gather_->start() + gather_->bytes().size());
}

bool GroupCommit::MakeRoom(uint64_t payload_bytes) {
  if (open_ == nullptr || full_) {
    return false;
  }
  full_ = !gather_->HasRoom(payload_bytes);
  return !full_;
}

MessageRef GroupCommit::NextPlace() const {
  ASSERT(open_ != nullptr);
  return {open_->number(), gather_->next_block()};
}

MessageRef GroupCommit::GatherPlace() const {
  ASSERT(open_ != nullptr);
  return {open_->number(), static_cast<uint32_t>(gather_->start() / kRecordAlignment)};
}

std::optional<MessageRef> GroupCommit::FlightPlace() const {
  if (idle()) {
    return std::nullopt;
  }
  return MessageRef{flight_->segment()->number(),
                    static_cast<uint32_t>(flight_->start() / kRecordAlignment)};
}

uint32_t GroupCommit::EndRecord(RecordKind kind, size_t payload_bytes, uint32_t part,
                                uint32_t parts) {
  RecordHeader header;
  header.kind = static_cast<uint8_t>(kind);
  header.payload_bytes = static_cast<uint32_t>(payload_bytes);
  header.part = part;
  header.parts = parts;
  header.sequence = next_sequence_++;
  const uint32_t payload_crc = gather_->EndRecord(header);
  appended_ += FrameBytes(payload_bytes);
  CheckCounters();
  return payload_crc;
}

void GroupCommit::QueueOutcome(const OutcomeEntry& entry, Bytes detail) {
  outcomes_.Add(entry, detail);
  ++outcomes_queued_;
}

void GroupCommit::MoveOutcomes() {
  while (!outcomes_.empty()) {
    const size_t run = OutcomeQueue::FrontRun(outcomes_.bytes(), kOutcomesPayloadMax);
    if (gathered_bytes() > kBatchBytesForOutcomes) {
      return;
    }
    if (!gather_->HasRoom(run)) {
      full_ = true;
      return;
    }
    const MutableBytes payload = BeginRecord(run);
    std::memcpy(payload.data(), outcomes_.bytes().data(), run);
    EndRecord(RecordKind::kOutcomes, run, 1, 1);
    if (outcomes_.MoveFront(run, gather_->outcomes())) {
      gather_->segment()->orders_in_checkpoint = Segment::kNotTaken;
    }
  }
}

bool GroupCommit::EmptyCommitIsDue(bool is_closing) const {
  const Instant now = io_.Now();
  if (must_commit_ || gate_.failing()) {
    return true;
  }
  if (needs_successor_ && (is_closing || now >= last_synced_at_ + kSuccessorAfter)) {
    return true;
  }
  return now >= clock_saved_at_ + kSaveClockEvery;
}

bool GroupCommit::clean() const {
  const bool nothing_gathered = gather_->segment() == nullptr || gather_->empty();
  return idle() && nothing_gathered && outcomes_.empty() && !needs_successor_ && !must_commit_;
}

Instant GroupCommit::NextDue() const {
  if (phase_ != Phase::kIdle || open_ == nullptr) {
    return Instant::Max();
  }
  if (must_commit_ || gate_.failing() || !gather_->empty()) {
    return gate_.retry_at();
  }
  if (!outcomes_.empty()) {
    return std::max(OutcomesDue(), gate_.retry_at());
  }
  const Instant clock_due = clock_saved_at_ + kSaveClockEvery;
  const Instant due =
      needs_successor_ ? std::min(last_synced_at_ + kSuccessorAfter, clock_due) : clock_due;
  return std::max(due, gate_.retry_at());
}

// Earlier with mail, or with what must be said in any case.
Instant GroupCommit::OutcomesDue() const {
  return last_synced_at_ + kOutcomesGather;
}

void GroupCommit::Commit(SpoolTime clock, bool is_closing) {
  if (phase_ != Phase::kIdle || open_ == nullptr || io_.Now() < gate_.retry_at()) {
    return;
  }
  const bool has_only_outcomes = gather_->empty() && !full_ && !EmptyCommitIsDue(is_closing);
  if (has_only_outcomes && !is_closing && io_.Now() < OutcomesDue()) {
    return;
  }
  MoveOutcomes();
  const bool nothing_to_do = gather_->empty() && !EmptyCommitIsDue(is_closing);
  if (nothing_to_do || !gather_->HasRoomForCommit()) {
    full_ = full_ || !gather_->HasRoomForCommit();
    if (full_) {
      SealOpen();
    }
    return;
  }
  StartFlight(clock);
}

// A slow batch before an idle disk says nothing any more when as much time has passed again.
absl::Duration GroupCommit::Delay() const {
  const absl::Duration since = io_.Now() - flight_began_at_;
  if (phase_ != Phase::kIdle) {
    return std::max(since, last_flight_);
  }
  return since < 2 * last_flight_ ? last_flight_ : absl::ZeroDuration();
}

void GroupCommit::StartFlight(SpoolTime clock) {
  flight_began_at_ = io_.Now();
  if (gather_->has_start()) {
    SealStart();
  }
  const size_t bytes_before = gather_->bytes().size();
  gather_->Close({last_commit_crc_, clock, io_.WallNow()}, next_sequence_++);
  appended_ += gather_->bytes().size() - bytes_before;
  ASSERT(gather_->bytes().size() <= kBatchBytesMax);
  CheckCounters();
  std::swap(gather_, flight_);
  flight_untrusted_ = flight_->has_start() ? static_cast<uint32_t>(untrusted_.size()) : 0;
  gather_->Begin(*open_, flight_->start() + flight_->bytes().size());
  full_ = full_ || !gather_->HasRoomForCommit();
  if (full_) {
    SealOpen();
  }
  flight_written_ = 0;
  clock_saved_at_ = io_.Now();
  phase_ = Phase::kWriting;
  Write();
}

void GroupCommit::SealStart() {
  StartPayload payload;
  payload.previous_segment = last_segment_;
  ASSERT(untrusted_.size() <= kUntrustedEntriesMax);
  payload.entries = static_cast<uint32_t>(untrusted_.size());
  std::copy(untrusted_.begin(), untrusted_.end(), payload.entry);
  gather_->segment()->untrusted_from = payload.untrusted_from();
  gather_->SealStart(payload, start_sequence_);
}

// Nothing more is appended to the open segment; its last batch may still be in flight.
void GroupCommit::SealOpen() {
  ASSERT(open_->phase == SegmentPhase::kOpen);
  open_->phase = SegmentPhase::kSealed;
  last_segment_ = open_->number();
  open_ = nullptr;
  full_ = false;
  appended_ -= gather_->bytes().size();  // at most a start record that nothing followed
  gather_->Reset();
}

void GroupCommit::Write() {
  const Bytes left = flight_->bytes().subspan(flight_written_);
  io_.Write(&write_, flight_->segment()->file, left, Offset{flight_->start() + flight_written_});
}

void GroupCommit::OnWritten(const IoResult& result) {
  ASSERT(phase_ == Phase::kWriting);
  const size_t left = flight_->bytes().size() - flight_written_;
  if (!result.ok()) {
    return Fail(result.error(), "write");
  }
  if (result.count() == 0 || result.count() > left) {
    MARK("write of length zero");
    return Fail(IoError::kDevice, "write of length zero");
  }
  flight_written_ += result.count();
  written_ += result.count();
  written_bytes_ += result.count();
  CheckCounters();
  if (flight_written_ < flight_->bytes().size()) {
    MARK("short write continued");
    return Write();
  }
  // Only now: a sync covers the writes that have completed, not those that were submitted.
  phase_ = Phase::kSyncing;
  ++syncs_;
  io_.SyncData(&sync_, flight_->segment()->file);
}

void GroupCommit::OnSynced(const IoResult& result) {
  ASSERT(phase_ == Phase::kSyncing);
  if (!result.ok()) {
    return Fail(result.error(), "sync");
  }
  synced_ += flight_->bytes().size();
  ASSERT(synced_ == written_);
  CheckCounters();
  ++batches_;
  last_commit_crc_ = flight_->commit_crc();
  last_stored_segment_ = flight_->segment()->number();
  flight_->segment()->batches_end = flight_->start() + flight_->bytes().size();
  flight_->segment()->last_commit_crc = last_commit_crc_;
  needs_successor_ = !flight_->empty();
  last_synced_at_ = io_.Now();
  last_flight_ = last_synced_at_ - flight_began_at_;
  must_commit_ = false;
  no_space_ = false;
  gate_.Succeeded();
  untrusted_.erase(untrusted_.begin(), untrusted_.begin() + flight_untrusted_);
  outcomes_synced_ += flight_->outcomes().entries();
  flight_->outcomes().Clear();
  phase_ = Phase::kTelling;
  events_.OnBatchStored(*flight_);
  flight_->Reset();
  phase_ = Phase::kIdle;
  GiveBackMemory();
}

// A batch without records is the sign of a pause: not between two large batches of a busy shard.
void GroupCommit::GiveBackMemory() {
  if (!needs_successor_) {
    flight_->GiveBackMemory();
    gather_->GiveBackMemory();
  }
}

void GroupCommit::Fail(IoError error, const char* what) {
  Segment& segment = *flight_->segment();
  LogError("spool segment={:08x} abandoned_at={} failed={} error=\"{}\"", segment.number(),
           flight_->start(), what, Describe(error));
  segment.phase = SegmentPhase::kAbandoned;
  segment.good_bytes = flight_->start();
  ++segments_abandoned_;
  RememberAbandoned(segment);
  must_commit_ = true;
  no_space_ = error == IoError::kNoSpace;
  if (no_space_) {
    gate_.WaitUntil(io_.Now() + kSpaceRetry);
  } else {
    gate_.Failed(io_.Now(), error);
  }
  outcomes_.PutBack(flight_->outcomes());
  // What gathered behind the batch fails too: its places are in this segment, or its messages may
  // have parts there. In the second case nothing was written to the new segment yet, and it starts
  // anew.
  Segment* const gathered_in = gather_->segment();
  Segment* const reopened = gathered_in != &segment ? gathered_in : nullptr;
  if (open_ == &segment) {
    last_segment_ = segment.number();
  }
  open_ = nullptr;
  full_ = false;
  written_ = synced_;
  appended_ = synced_;
  const CommitResult outcome = no_space_ ? CommitResult::kNoSpace : CommitResult::kFailed;
  phase_ = Phase::kTelling;
  events_.OnSegmentAbandoned(segment);
  events_.OnRecordsLost(segment, segment.good_bytes);
  if (reopened != nullptr) {
    MARK("segment started anew");
    ASSERT(gather_->start() == kDataStart);
    events_.OnRecordsLost(*reopened, kDataStart);
  }
  events_.OnBatchFailed(*flight_, outcome);
  flight_->Reset();
  if (gathered_in != nullptr) {
    events_.OnBatchFailed(*gather_, outcome);
    gather_->Reset();
  }
  if (reopened != nullptr) {
    Open(*reopened);
  }
  phase_ = Phase::kIdle;
}

void GroupCommit::RememberAbandoned(const Segment& segment) {
  const auto cause = static_cast<uint32_t>(UntrustedCause::kAbandoned);
  const bool extends =
      segment.holds_nothing_good() && !untrusted_.empty() && untrusted_.back().cause == cause;
  if (extends) {
    untrusted_.back().last_segment = segment.number();
    return;
  }
  untrusted_.push_back(
      {segment.number(), segment.number(), segment.header.generation, cause, segment.good_bytes});
}

std::optional<uint32_t> GroupCommit::FirstUntold() const {
  for (const UntrustedEntry& entry : untrusted_) {
    if (entry.cause == static_cast<uint32_t>(UntrustedCause::kAbandoned)) {
      return entry.first_segment;
    }
  }
  return std::nullopt;
}

void GroupCommit::CheckCounters() const {
  ASSERT(appended_ >= written_);
  ASSERT(written_ >= synced_);
}

}  // namespace backstay
