// spool/batch.cc -- laying records one behind the other.
#include "spool/batch.h"

#include <algorithm>
#include <array>

#include "core/base/check.h"
#include "core/base/crc32c.h"

namespace backstay {
namespace {

// A shard has two buffers and fills them with this much in the course of ordinary mail.
constexpr size_t kRetainedBytesMax = 1_MiB;
// More than a message takes in the table, so that names of domains fit in too. A footer that does
// not fit is not written.
constexpr uint64_t kFooterMessageBytes = 12;
constexpr uint64_t kFooterMovedBytes = sizeof(FooterMoved) + 64;

}  // namespace

void CommitWaiter::StopWaiting() {
  if (batch_ != nullptr) {
    batch_->messages_[message_].waiter = nullptr;
    batch_ = nullptr;
  }
}

void Batch::Begin(Segment& segment, uint64_t start) {
  ASSERT(segment_ == nullptr);
  ASSERT(start % kBlockBytes == 0);
  segment_ = &segment;
  start_ = start;
}

bool Batch::HasRoom(uint64_t payload_bytes) const {
  ASSERT(segment_ != nullptr);
  const uint64_t end = start_ + buffer_.size() + FrameBytes(payload_bytes) + kCommitFrameBytes;
  const uint64_t footer = FrameBytes(sizeof(FooterFixed) + segment_->footer_reserve);
  return AlignUp(end, kBlockBytes) + AlignUp(footer, kBlockBytes) <= segment_->data_end();
}

bool Batch::HasRoomForCommit() const {
  return start_ + buffer_.size() + kCommitFrameBytes <= segment_->data_end();
}

uint32_t Batch::next_block() const {
  return static_cast<uint32_t>((start_ + buffer_.size()) / kRecordAlignment);
}

MutableBytes Batch::BeginRecord(size_t payload_bytes) {
  record_at_ = buffer_.size();
  buffer_.Resize(record_at_ + static_cast<size_t>(FrameBytes(payload_bytes)));
  return {buffer_.data() + record_at_ + sizeof(RecordHeader), payload_bytes};
}

uint32_t Batch::Seal(const RecordHeader& header, size_t at) {
  const auto block = static_cast<uint32_t>((start_ + at) / kRecordAlignment);
  const auto bytes = static_cast<size_t>(FrameBytes(header.payload_bytes));
  return SealRecord(segment_->key, block, header, {buffer_.data() + at, bytes});
}

uint32_t Batch::EndRecord(const RecordHeader& header) {
  ASSERT(record_at_ + FrameBytes(header.payload_bytes) == buffer_.size());
  crcs_.push_back(Seal(header, record_at_));
  return LoadLittle<uint32_t>(buffer_.data() + record_at_ + offsetof(RecordHeader, payload_crc));
}

void Batch::ReserveStart() {
  ASSERT(buffer_.size() == 0);
  BeginRecord(sizeof(StartPayload));
  crcs_.push_back(0);
  has_start_ = true;
}

void Batch::SealStart(const StartPayload& payload, uint64_t sequence) {
  ASSERT(has_start_);
  StoreStruct({buffer_.data() + sizeof(RecordHeader), sizeof(payload)}, payload);
  RecordHeader header;
  header.kind = static_cast<uint8_t>(RecordKind::kStart);
  header.payload_bytes = sizeof(payload);
  header.sequence = sequence;
  crcs_[0] = Seal(header, 0);
}

void Batch::AddMessage(CommitWaiter* waiter, uint32_t block, uint32_t arrival_seconds,
                       std::span<const DomainId> recipients, std::span<const PartEntry> parts,
                       uint64_t payload_bytes) {
  Message message;
  message.waiter = waiter;
  message.block = block;
  message.arrival_seconds = arrival_seconds;
  message.first_recipient = static_cast<uint32_t>(recipients_.size());
  message.recipients = static_cast<uint32_t>(recipients.size());
  message.first_part = static_cast<uint32_t>(parts_.size());
  message.parts = static_cast<uint32_t>(parts.size());
  message.bytes = BytesWithParts(payload_bytes, parts);
  recipients_.insert(recipients_.end(), recipients.begin(), recipients.end());
  parts_.insert(parts_.end(), parts.begin(), parts.end());
  if (waiter != nullptr) {
    ASSERT(!waiter->waiting());
    waiter->batch_ = this;
    waiter->message_ = static_cast<uint32_t>(messages_.size());
  }
  messages_.push_back(message);
  segment_->footer_reserve +=
      kFooterMessageBytes + 3 * recipients.size() + sizeof(PartEntry) * parts.size();
}

void Batch::NoteMoved(MessageRef home, uint32_t payload_bytes, uint32_t payload_crc) {
  Message& message = messages_.back();
  message.home = home;
  message.payload_bytes = payload_bytes;
  message.payload_crc = payload_crc;
  segment_->footer_reserve += kFooterMovedBytes;
}

void Batch::NoteReport(const ReportOf& report_of) {
  Message& message = messages_.back();
  message.reported = report_of.message;
  message.first_debt = static_cast<uint32_t>(debts_.size());
  message.debts = static_cast<uint32_t>(report_of.debts.size());
  debts_.insert(debts_.end(), report_of.debts.begin(), report_of.debts.end());
}

std::span<const Debt> Batch::Debts(const Message& message) const {
  return std::span(debts_).subspan(message.first_debt, message.debts);
}

void Batch::SettleReported(MessageRef message, std::vector<RecipientState>& states) const {
  for (const Message& report : messages_) {
    if (report.debts > 0 && report.reported == message) {
      for (const Debt& debt : Debts(report)) {
        states[debt.recipient()] = RecipientState::kSettled;
      }
    }
  }
}

MovedMessage Batch::Moved(const Message& message) const {
  const std::span<const DomainId> recipients = Recipients(message);
  const std::span<const PartEntry> parts = Parts(message);
  return {message.home,
          {segment_->number(), message.block, message.payload_bytes, message.payload_crc},
          message.arrival_seconds,
          {recipients.begin(), recipients.end()},
          {parts.begin(), parts.end()},
          message.bytes};
}

void Batch::Close(const CommitFields& fields, uint64_t sequence) {
  CommitPayload payload;
  payload.previous_crc = fields.previous_crc;
  payload.records = records();
  payload.batch_bytes = buffer_.size();
  payload.records_crc = CrcOfCrcs(crcs_);
  payload.spool_clock = fields.clock.nanoseconds();
  payload.wall_clock = fields.wall.nanoseconds();
  StoreStruct(BeginRecord(sizeof(payload)), payload);
  RecordHeader header;
  header.kind = static_cast<uint8_t>(RecordKind::kCommit);
  header.payload_bytes = sizeof(payload);
  header.sequence = sequence;
  commit_crc_ = Seal(header, record_at_);
  const size_t end = buffer_.size();
  const auto padded = static_cast<size_t>(AlignUp(end, kBlockBytes));
  buffer_.Resize(padded);
  std::fill(buffer_.data() + end, buffer_.data() + padded, uint8_t{0});
  ASSERT(start_ + padded <= segment_->data_end());
}

void Batch::Reset() {
  segment_ = nullptr;
  buffer_.clear();
  has_start_ = false;
  crcs_.clear();
  commit_crc_ = 0;
  for (const Message& message : messages_) {
    ASSERT(message.waiter == nullptr);
  }
  messages_.clear();
  recipients_.clear();
  parts_.clear();
  debts_.clear();
  ASSERT(outcomes_.empty());
}

void Batch::GiveBackMemory() {
  if (buffer_.size() == 0 && buffer_.capacity() > kRetainedBytesMax) {
    buffer_.Release();
  }
}

std::span<const DomainId> Batch::Recipients(const Message& message) const {
  return std::span(recipients_).subspan(message.first_recipient, message.recipients);
}

std::span<const PartEntry> Batch::Parts(const Message& message) const {
  return std::span(parts_).subspan(message.first_part, message.parts);
}

void Batch::Tell(uint32_t message, CommitResult result) {
  CommitWaiter* waiter = messages_[message].waiter;
  if (waiter == nullptr) {
    return;
  }
  const MessageRef place{segment_->number(), messages_[message].block};
  waiter->StopWaiting();
  waiter->OnBatchDecided(result, place);
}

}  // namespace backstay
