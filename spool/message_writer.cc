// spool/message_writer.cc -- staging, parts, and the last record.
#include "spool/message_writer.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "core/base/check.h"
#include "core/base/log.h"
#include "core/base/mark.h"
#include "spool/spool_impl.h"

namespace backstay {

class MessageWriter::Impl final : public StagedWriter, public CommitWaiter {
 public:
  explicit Impl(Spool::Impl& spool) : spool_(spool) {}
  ~Impl() { Abandon(); }

  bool HasRoom(uint64_t bytes) const { return spool_.space().HasRoom(bytes); }
  bool Claim(uint64_t bytes);
  void Append(Bytes content);
  uint64_t content_bytes() const { return content_bytes_; }
  void Finish(MessageSource& source);
  void Abandon();
  bool Withdraw();

  bool Pump(bool force) override;
  bool is_finishing() const override { return source_ != nullptr && !waiting(); }
  void Refuse(CommitResult result) override;
  void GiveUp(CommitResult result) override { Fail(result); }
  void TellFailed() override { Refuse(*failed_); }
  void LoseParts(uint32_t segment, uint64_t from) override;
  void OnBatchDecided(CommitResult result, MessageRef message) override;

 private:
  bool AppendPart();
  bool AppendMessage();
  void WriteMessage(const MessageDescription& description, const MessageMeta& meta);
  void CopyStaged(uint8_t* to, size_t bytes) const;
  void DropStaged(size_t bytes);
  void DropAll();
  void GiveBackClaim() { spool_.space().GiveBack(std::exchange(claimed_, 0)); }
  void Fail(CommitResult why);

  Spool::Impl& spool_;
  std::vector<Staging::Chunk> chunks_;  // all full but the last
  size_t staged_bytes_ = 0;
  std::vector<PartEntry> parts_;  // in the log, pinned
  std::vector<DomainId> recipients_;
  uint64_t content_bytes_ = 0;
  uint64_t claimed_ = 0;
  std::optional<CommitResult> failed_;  // a part is lost: what comes is not kept
  MessageSource* source_ = nullptr;     // from Finish to OnCommitted
};

bool MessageWriter::Impl::Claim(uint64_t bytes) {
  ASSERT(claimed_ == 0 && content_bytes_ == 0);
  if (!spool_.space().Claim(bytes)) {
    return false;
  }
  claimed_ = bytes;
  return true;
}

void MessageWriter::Impl::Append(Bytes content) {
  ASSERT(source_ == nullptr);
  content_bytes_ += content.size();
  const uint64_t claimed = std::min<uint64_t>(claimed_, content.size());
  claimed_ -= claimed;
  spool_.space().Use(claimed);
  while (!content.empty() && !failed_) {
    const size_t used = staged_bytes_ % Staging::kChunkBytes;
    if (used == 0) {
      chunks_.push_back(spool_.staging().Take());
      spool_.staging().Activate(*this);
    }
    const size_t bytes = std::min(content.size(), Staging::kChunkBytes - used);
    std::memcpy(chunks_.back().get() + used, content.data(), bytes);
    staged_bytes_ += bytes;
    content = content.subspan(bytes);
    if (staged_bytes_ >= spool_.staging().part_bytes() && !wait_node.linked() && !AppendPart()) {
      spool_.staging().WaitForRoom(*this);
    }
  }
}

void MessageWriter::Impl::Finish(MessageSource& source) {
  ASSERT(source_ == nullptr);
  source_ = &source;
  GiveBackClaim();
  if (failed_) {
    return spool_.staging().WaitForRefusal(*this);
  }
  if (wait_node.linked()) {
    return;
  }
  if (spool_.staging().has_waiting() || !Pump(false)) {
    spool_.staging().WaitForRoom(*this);
  }
}

void MessageWriter::Impl::Abandon() {
  StopWaiting();
  source_ = nullptr;
  GiveBackClaim();
  DropAll();
}

bool MessageWriter::Impl::Withdraw() {
  if (waiting()) {
    return false;
  }
  Abandon();
  return true;
}

bool MessageWriter::Impl::Pump(bool force) {
  const size_t due_bytes = force ? 1 : spool_.staging().part_bytes();
  // With parts the rest of the content becomes one too, so that the last record is short.
  const auto is_due = [&] {
    const bool is_rest = is_finishing() && !parts_.empty();
    return staged_bytes_ >= (is_rest ? 1 : due_bytes);
  };
  while (is_due()) {
    if (!AppendPart()) {
      return false;
    }
  }
  if (is_finishing()) {
    return AppendMessage();
  }
  wait_node.Unlink();
  return true;
}

bool MessageWriter::Impl::AppendPart() {
  const size_t part_bytes_max =
      spool_.options().part_bytes / Staging::kChunkBytes * Staging::kChunkBytes;
  const size_t bytes = std::min(staged_bytes_, part_bytes_max);
  if (!spool_.MakeRoom(bytes)) {
    return false;
  }
  GroupCommit& commit = spool_.commit();
  const MessageRef place = commit.NextPlace();
  const MutableBytes payload = commit.BeginRecord(bytes);
  CopyStaged(payload.data(), bytes);
  PartEntry part{place.segment, place.block, static_cast<uint32_t>(bytes), 0};
  part.crc =
      commit.EndRecord(RecordKind::kPart, bytes, static_cast<uint32_t>(parts_.size() + 1), 0);
  spool_.index().Pin(part);
  parts_.push_back(part);
  DropStaged(bytes);
  return true;
}

bool MessageWriter::Impl::AppendMessage() {
  if (!spool_.MakeRoom(staged_bytes_ + spool_.description_bytes_max())) {
    return false;
  }
  const MessageRef place = spool_.commit().NextPlace();
  const SpoolOptions& options = spool_.options();
  const MessageDescription description =
      source_->Describe({options.node, options.shard, place.segment, place.block});
  MessageMeta meta;
  meta.arrival = spool_.Clock();
  meta.arrival_wall = description.arrival_wall;
  meta.flags = description.flags;
  meta.domains = description.domains;
  meta.recipient_domains = description.recipient_domains;
  meta.parts = parts_;
  meta.envelope_bytes = description.envelope.size();
  meta.prefix_bytes = description.prefix.size();
  meta.content_bytes = staged_bytes_;
  if (description.moved.has_value()) {
    meta.arrival = description.moved->arrival;
    meta.home = description.moved->home;
    meta.states = description.moved->states;
  }
  meta.report_of = description.report_of;
  meta.is_ours = description.is_ours;
  const uint64_t payload_bytes = MessagePayloadBytes(meta);
  if (payload_bytes > kPayloadBytesMax || !spool_.commit().gathering().HasRoom(payload_bytes)) {
    MARK("envelope too large for the segment");
    LogWarning("spool message refused: envelope of {} bytes does not fit", payload_bytes);
    Fail(CommitResult::kFailed);
    return true;
  }
  WriteMessage(description, meta);
  return true;
}

void MessageWriter::Impl::WriteMessage(const MessageDescription& description,
                                       const MessageMeta& meta) {
  GroupCommit& commit = spool_.commit();
  const uint32_t block = commit.NextPlace().block;
  const auto payload_bytes = static_cast<size_t>(MessagePayloadBytes(meta));
  const MutableBytes payload = commit.BeginRecord(payload_bytes);
  EncodeMessageMeta(meta, payload);
  uint8_t* at = payload.data() + MetaBytes(meta);
  for (const Bytes piece : {description.envelope, description.prefix}) {
    if (!piece.empty()) {
      std::memcpy(at, piece.data(), piece.size());
      at += piece.size();
    }
  }
  CopyStaged(at, staged_bytes_);
  const auto parts = static_cast<uint32_t>(parts_.size() + 1);
  const uint32_t crc = commit.EndRecord(RecordKind::kMessage, payload_bytes, parts, parts);
  recipients_.clear();
  for (const uint16_t domain : description.recipient_domains) {
    recipients_.push_back(spool_.index().Intern(description.domains[domain]));
  }
  const int64_t seconds = meta.arrival.nanoseconds() / 1'000'000'000;
  commit.gathering().AddMessage(this, block, static_cast<uint32_t>(seconds), recipients_, parts_,
                                payload_bytes);
  if (meta.home.segment != 0) {
    commit.gathering().NoteMoved(meta.home, static_cast<uint32_t>(payload_bytes), crc);
  }
  if (meta.is_ours) {
    commit.gathering().NoteOurs();
  }
  if (meta.report_of.has_value()) {
    commit.gathering().NoteReport(*meta.report_of);
  }
  parts_.clear();  // the pins go with the message
  DropAll();
}

void MessageWriter::Impl::OnBatchDecided(CommitResult result, MessageRef message) {
  MessageSource* source = std::exchange(source_, nullptr);
  ASSERT(source != nullptr);
  source->OnCommitted(result, message);
}

void MessageWriter::Impl::Refuse(CommitResult result) {
  MessageSource* source = std::exchange(source_, nullptr);
  ASSERT(source != nullptr);
  DropAll();
  source->OnCommitted(result, MessageRef{});
}

void MessageWriter::Impl::LoseParts(uint32_t segment, uint64_t from) {
  const bool is_lost = std::any_of(parts_.begin(), parts_.end(), [&](const PartEntry& part) {
    return part.segment == segment && uint64_t{part.block} * kRecordAlignment >= from;
  });
  if (is_lost && !failed_) {
    MARK("part lost with its segment");
    Fail(spool_.commit().no_space() ? CommitResult::kNoSpace : CommitResult::kFailed);
  }
}

// The message cannot be stored any more. A finished one is told in the next turn.
void MessageWriter::Impl::Fail(CommitResult why) {
  const bool finishing = is_finishing();
  const uint64_t content_bytes = content_bytes_;
  DropAll();
  content_bytes_ = content_bytes;
  failed_ = why;
  if (finishing) {
    spool_.staging().WaitForRefusal(*this);
  }
}

void MessageWriter::Impl::CopyStaged(uint8_t* to, size_t bytes) const {
  for (size_t chunk = 0; bytes > 0; ++chunk) {
    const size_t piece = std::min(bytes, Staging::kChunkBytes);
    std::memcpy(to, chunks_[chunk].get(), piece);
    to += piece;
    bytes -= piece;
  }
}

// `bytes` is all of it or whole chunks.
void MessageWriter::Impl::DropStaged(size_t bytes) {
  ASSERT(bytes == staged_bytes_ || bytes % Staging::kChunkBytes == 0);
  const size_t chunks = (bytes + Staging::kChunkBytes - 1) / Staging::kChunkBytes;
  for (size_t i = 0; i < chunks; ++i) {
    spool_.staging().Give(std::move(chunks_[i]));
  }
  chunks_.erase(chunks_.begin(), chunks_.begin() + static_cast<ptrdiff_t>(chunks));
  staged_bytes_ -= bytes;
}

void MessageWriter::Impl::DropAll() {
  for (const PartEntry& part : parts_) {
    spool_.index().Unpin(part, 0);
  }
  parts_.clear();
  DropStaged(staged_bytes_);
  active_node.Unlink();
  wait_node.Unlink();
  content_bytes_ = 0;
  failed_.reset();
}

MessageWriter::MessageWriter(Spool::Impl& spool) : impl_(std::make_unique<Impl>(spool)) {}
MessageWriter::~MessageWriter() = default;

bool MessageWriter::HasRoom(uint64_t bytes) const {
  return impl_->HasRoom(bytes);
}
bool MessageWriter::Claim(uint64_t bytes) {
  return impl_->Claim(bytes);
}
void MessageWriter::Append(Bytes content) {
  impl_->Append(content);
}
uint64_t MessageWriter::content_bytes() const {
  return impl_->content_bytes();
}
void MessageWriter::Finish(MessageSource& source) {
  impl_->Finish(source);
}
void MessageWriter::Abandon() {
  impl_->Abandon();
}
bool MessageWriter::Withdraw() {
  return impl_->Withdraw();
}

}  // namespace backstay
