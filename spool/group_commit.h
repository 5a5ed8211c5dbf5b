// spool/group_commit.h -- one sync for many appends: the gathering batch, the one in flight, three
// counters.
//
// There is no timer for mail: what has gathered when the previous sync ends goes out together.
// Outcomes, which nobody waits for, gather a moment behind it: a commit costs the same for one as
// for fifty. At most one batch is in flight, so every byte of it is synced before the first byte of
// the next is written.
//
// Turn:   Commit() starts what can be started and never waits. CommitEvents run from Io::Turn.
// Errors: a failed write or sync fails the batch, abandons its segment, and fails what gathered
//         behind it. Outcomes go back to the queue.
// See:    FORMAT.md 4; STYLE 30.
#pragma once

#include <optional>

#include "io/io.h"
#include "spool/batch.h"
#include "spool/failure_gate.h"

namespace backstay {

class CommitEvents {
 public:
  virtual void OnBatchStored(Batch& batch) = 0;
  // The segment is abandoned from `good_bytes` on. Comes before the batches that failed with it.
  virtual void OnSegmentAbandoned(Segment& segment) = 0;
  // No record there will ever be durable.
  virtual void OnRecordsLost(const Segment& segment, uint64_t from) = 0;
  virtual void OnBatchFailed(Batch& batch, CommitResult result) = 0;

 protected:
  ~CommitEvents() = default;
};

class GroupCommit {
 public:
  GroupCommit(Io& io, CommitEvents& events) : io_(io), events_(events) {}
  GroupCommit(const GroupCommit&) = delete;
  GroupCommit& operator=(const GroupCommit&) = delete;

  // Where the log goes on after a recovery. `torn`: names a broken last batch, if there was one.
  struct Resumption {
    uint32_t last_commit_crc = 0;
    uint64_t next_sequence = 1;
    uint32_t last_segment = 0;
    std::optional<UntrustedEntry> torn;
  };
  void Resume(const Resumption& resumption);

  // ---- the open segment ----
  bool wants_segment() const { return open_ == nullptr; }
  void Open(Segment& segment);
  // The open segment, or the one a batch is in flight to.
  bool Uses(const Segment& segment) const;
  uint64_t RoomBytes() const;

  // ---- appending ----
  // True: a record of this payload may be appended now. False: never in this segment any more (it
  //       will
  // be sealed after the gathering batch), or there is none open.
  bool MakeRoom(uint64_t payload_bytes);
  MessageRef NextPlace() const;
  // Where the gathering batch begins.
  MessageRef GatherPlace() const;
  // Where the batch in flight begins; nothing when there is none.
  std::optional<MessageRef> FlightPlace() const;
  MutableBytes BeginRecord(size_t payload_bytes) { return gather_->BeginRecord(payload_bytes); }
  // Returns the checksum of the payload.
  uint32_t EndRecord(RecordKind kind, size_t payload_bytes, uint32_t part, uint32_t parts);
  Batch& gathering() { return *gather_; }
  // The index learns of a report when its batch is stored; what is appended now stands behind it.
  void SettleReported(MessageRef message, std::vector<RecipientState>& states) const {
    flight_->SettleReported(message, states);
    gather_->SettleReported(message, states);
  }
  OutcomeQueue& outcomes() { return outcomes_; }
  uint64_t outcomes_queued() const { return outcomes_queued_; }
  uint64_t outcomes_synced() const { return outcomes_synced_; }
  void QueueOutcome(const OutcomeEntry& entry, Bytes detail);

  // ---- committing ----
  void Commit(SpoolTime clock, bool is_closing);
  bool idle() const { return phase_ == Phase::kIdle; }
  // Nothing appended that is not synced, and the last batch has a successor.
  bool clean() const;
  Instant NextDue() const;
  // How long a message that comes now will wait for its sync, judged by the batch in flight and the
  // one before it.
  absl::Duration Delay() const;
  size_t gathered_bytes() const { return gather_->bytes().size(); }
  FailureGate& gate() { return gate_; }
  const FailureGate& gate() const { return gate_; }
  bool no_space() const { return no_space_; }  // the last batch failed for want of space

  // Of the segment with the newest stored batch, of an earlier run perhaps; 0: there is none.
  uint32_t last_stored_segment() const { return last_stored_segment_; }
  // The first segment that was abandoned of which the log on disk does not say so yet.
  std::optional<uint32_t> FirstUntold() const;
  uint64_t batches() const { return batches_; }
  uint64_t syncs() const { return syncs_; }
  uint64_t written_bytes() const { return written_bytes_; }
  uint64_t segments_abandoned() const { return segments_abandoned_; }

 private:
  enum class Phase : uint8_t { kIdle, kWriting, kSyncing, kTelling };

  void MoveOutcomes();
  void SealStart();
  void StartFlight(SpoolTime clock);
  bool EmptyCommitIsDue(bool is_closing) const;
  Instant OutcomesDue() const;
  void SealOpen();
  void Write();
  void OnWritten(const IoResult& result);
  void OnSynced(const IoResult& result);
  void Fail(IoError error, const char* what);
  void RememberAbandoned(const Segment& segment);
  void GiveBackMemory();
  void CheckCounters() const;

  Io& io_;
  CommitEvents& events_;
  Phase phase_ = Phase::kIdle;
  Segment* open_ = nullptr;
  bool full_ = false;  // the open segment takes no more records
  Batch batches_memory_[2];
  Batch* gather_ = &batches_memory_[0];
  Batch* flight_ = &batches_memory_[1];
  size_t flight_written_ = 0;
  uint32_t flight_untrusted_ = 0;  // entries of untrusted_ that the batch in flight carries

  // Bytes of the log since start; appended_ >= written_ >= synced_.
  uint64_t appended_ = 0;
  uint64_t written_ = 0;
  uint64_t synced_ = 0;

  OutcomeQueue outcomes_;
  uint64_t outcomes_queued_ = 0;
  uint64_t outcomes_synced_ = 0;  // in order, so a count names them all

  uint32_t last_commit_crc_ = 0;
  uint64_t next_sequence_ = 1;
  uint32_t last_segment_ = 0;              // the one before the open one
  std::vector<UntrustedEntry> untrusted_;  // to be told by the start record of the next segment
  uint64_t start_sequence_ = 0;
  bool needs_successor_ = false;
  bool must_commit_ = false;  // even if empty: after recovery or a failure
  Instant flight_began_at_;
  absl::Duration last_flight_ = absl::ZeroDuration();
  Instant last_synced_at_;
  Instant clock_saved_at_;
  FailureGate gate_;
  bool no_space_ = false;

  uint32_t last_stored_segment_ = 0;
  uint64_t batches_ = 0;
  uint64_t syncs_ = 0;
  uint64_t written_bytes_ = 0;
  uint64_t segments_abandoned_ = 0;
  Completion<&GroupCommit::OnWritten> write_{this};
  Completion<&GroupCommit::OnSynced> sync_{this};
};

}  // namespace backstay
