// spool/batch.h -- records that become durable together: their bytes, and who wants to know.
//
// Life:  Begin, Begin/End of records, Close (the commit record), written and synced by GroupCommit,
//        told, Reset. Two of them alternate; their memory is kept from one to the next.
// Units: places are block numbers in the segment (offset / 64).
// See:   FORMAT.md 2 "batch".
#pragma once

#include <span>
#include <vector>

#include "spool/aligned_buffer.h"
#include "spool/message_record.h"
#include "spool/moved_message.h"
#include "spool/outcome_queue.h"
#include "spool/segment.h"

namespace backstay {

class Batch;

// Who finished a message; told once when its batch is decided, unless it goes before.
class CommitWaiter {
 public:
  CommitWaiter() = default;
  CommitWaiter(const CommitWaiter&) = delete;
  CommitWaiter& operator=(const CommitWaiter&) = delete;
  bool waiting() const { return batch_ != nullptr; }
  void StopWaiting();
  virtual void OnBatchDecided(CommitResult result, MessageRef message) = 0;

 protected:
  ~CommitWaiter() { StopWaiting(); }

 private:
  friend class Batch;
  Batch* batch_ = nullptr;
  uint32_t message_ = 0;
};

class Batch {
 public:
  struct Message {
    CommitWaiter* waiter = nullptr;
    uint32_t block = 0;
    uint32_t arrival_seconds = 0;
    uint32_t first_recipient = 0;
    uint32_t recipients = 0;
    uint32_t first_part = 0;
    uint32_t parts = 0;
    uint64_t bytes = 0;  // with its parts
    MessageRef home;     // of a message that was moved to here; else segment 0
    uint32_t payload_bytes = 0;
    uint32_t payload_crc = 0;

    MessageRef reported;  // of a report: what it is about
    uint32_t first_debt = 0;
    uint32_t debts = 0;
    bool is_ours = false;

    bool is_moved() const { return home.segment != 0; }
  };
  struct CommitFields {
    uint32_t previous_crc = 0;
    SpoolTime clock;
    WallTime wall;
  };

  Batch() = default;
  Batch(const Batch&) = delete;
  Batch& operator=(const Batch&) = delete;

  // ---- filling ----
  void Begin(Segment& segment, uint64_t start);
  // Room in the segment for one more record of this payload and the commit record.
  bool HasRoom(uint64_t payload_bytes) const;
  bool HasRoomForCommit() const;
  uint32_t next_block() const;
  // The payload to fill; EndRecord with the same length seals it. Nothing else in between.
  MutableBytes BeginRecord(size_t payload_bytes);
  uint32_t EndRecord(const RecordHeader& header);  // returns the checksum of the payload
  // Room for the start record at the front of the first batch of a segment; sealed last, when what
  // it must tell is known.
  void ReserveStart();
  void SealStart(const StartPayload& payload, uint64_t sequence);
  // Notes the message whose record was ended last.
  void AddMessage(CommitWaiter* waiter, uint32_t block, uint32_t arrival_seconds,
                  std::span<const DomainId> recipients, std::span<const PartEntry> parts,
                  uint64_t payload_bytes);
  // That message was moved to here.
  void NoteMoved(MessageRef home, uint32_t payload_bytes, uint32_t payload_crc);
  // That message was made here.
  void NoteOurs() { messages_.back().is_ours = true; }
  // That message ends the debts of another.
  void NoteReport(const ReportOf& report_of);
  // Appends the commit record and zeros up to the next block.
  void Close(const CommitFields& fields, uint64_t sequence);
  void Reset();
  // What a burst needed goes back, if nothing is gathered.
  void GiveBackMemory();

  // ---- reading ----
  Segment* segment() const { return segment_; }
  uint64_t start() const { return start_; }
  Bytes bytes() const { return buffer_.bytes(); }
  uint32_t records() const { return static_cast<uint32_t>(crcs_.size()); }
  bool has_start() const { return has_start_; }
  // Nothing but what belongs to every batch.
  bool empty() const { return crcs_.size() == (has_start_ ? 1 : 0); }
  uint32_t commit_crc() const { return commit_crc_; }
  std::span<const Message> messages() const { return messages_; }
  std::span<const DomainId> Recipients(const Message& message) const;
  std::span<const PartEntry> Parts(const Message& message) const;
  MovedMessage Moved(const Message& message) const;
  std::span<const Debt> Debts(const Message& message) const;
  // Debts of this message that a report in the batch ends: settled, as far as a reader of the log
  // will know behind it.
  void SettleReported(MessageRef message, std::vector<RecipientState>& states) const;
  OutcomeQueue& outcomes() { return outcomes_; }
  // Tells the waiter of one message, if it still waits.
  void Tell(uint32_t message, CommitResult result);

 private:
  friend class CommitWaiter;
  uint32_t Seal(const RecordHeader& header, size_t at);

  Segment* segment_ = nullptr;
  uint64_t start_ = 0;
  AlignedBuffer buffer_;
  size_t record_at_ = 0;  // of the record between BeginRecord and EndRecord
  bool has_start_ = false;
  std::vector<uint32_t> crcs_;  // header checksums of the records
  uint32_t commit_crc_ = 0;
  std::vector<Message> messages_;
  std::vector<DomainId> recipients_;
  std::vector<PartEntry> parts_;
  std::vector<Debt> debts_;
  OutcomeQueue outcomes_;  // what the outcome records of this batch hold
};

}  // namespace backstay
