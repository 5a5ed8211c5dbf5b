// spool/message_reader.cc -- one record at a time, verified before anything of it is handed out.
#include "spool/message_reader.h"

#include <algorithm>

#include "core/base/check.h"
#include "core/base/log.h"
#include "spool/message_record.h"
#include "spool/range_read.h"
#include "spool/spool_impl.h"

namespace backstay {
namespace {

// Most messages fit; a larger record takes a second read.
constexpr size_t kFirstReadBytes = 16_KiB;

}  // namespace

class MessageReader::Impl final : public LateTeller, public RangeReadEvents {
 public:
  Impl(Spool::Impl& spool, MessageReaderEvents& events)
      : spool_(spool), events_(events), read_(spool.io(), *this, 1) {}
  ~Impl() { Close(); }

  void Open(MessageRef message);
  const MessageHead& head() const { return head_; }
  void NextContent();
  void Close();
  bool busy() const { return open_op_.in_flight || read_.busy(); }

  void TellLate() override;
  void OnRangeRead(IoError error, size_t bytes) override;

 private:
  enum class Stage : uint8_t { kClosed, kHead, kPrefix, kParts, kEnd };

  void ReadRecord(MessageRef place, uint64_t frame_bytes);
  void OnOpened(const IoResult& result);
  void StartRead(size_t bytes);
  void CheckRecord();
  bool TakeHead(const RecordHeader& header, Bytes payload);
  bool TakePart(const RecordHeader& header, Bytes payload);
  void LeaveSegment();
  void Tell(ReadOutcome outcome, Bytes content);
  void Damaged(const char* what);

  Spool::Impl& spool_;
  MessageReaderEvents& events_;
  Stage stage_ = Stage::kClosed;
  MessageHead head_;
  MessageRef message_ref_;
  DecodedMessage message_;
  size_t next_part_ = 0;
  std::vector<PartEntry> held_parts_;  // pinned

  // The record being read.
  MessageRef place_;
  Segment* segment_ = nullptr;
  Fd own_file_;  // of an abandoned segment, around the page cache
  AlignedBuffer buffer_;
  uint64_t buffer_at_ = 0;    // place of its first byte in the file
  size_t had_bytes_ = 0;      // in the buffer before the read under way
  uint64_t frame_bytes_ = 0;  // 0: not known before the header is read

  ReadOutcome late_outcome_ = ReadOutcome::kOk;
  Bytes late_content_;
  Completion<&Impl::OnOpened> open_op_{this};
  SegmentName open_name_{};  // while open_op_ is in flight
  RangeRead read_;
};

void MessageReader::Impl::Open(MessageRef message) {
  ASSERT(!busy());
  Close();
  stage_ = Stage::kHead;
  next_part_ = 0;
  message_ref_ = message;
  ReadRecord(spool_.index().PlaceOf(message), 0);
}

void MessageReader::Impl::Close() {
  stage_ = Stage::kClosed;
  Unlink();
  for (const PartEntry& part : held_parts_) {
    spool_.index().Unpin(part, spool_.commit().outcomes_queued());
  }
  held_parts_.clear();
  if (!busy()) {
    LeaveSegment();
  }
}

void MessageReader::Impl::NextContent() {
  ASSERT(!busy());
  ASSERT(!linked());
  ASSERT(stage_ == Stage::kPrefix || stage_ == Stage::kParts || stage_ == Stage::kEnd);
  if (stage_ == Stage::kPrefix) {
    stage_ = Stage::kParts;
    // Prefix and content lie one behind the other in the record.
    const Bytes content{message_.prefix.data(), message_.prefix.size() + message_.content.size()};
    if (!content.empty()) {
      late_outcome_ = ReadOutcome::kOk;
      late_content_ = content;
      return spool_.TellLate(*this);
    }
  }
  if (stage_ == Stage::kParts && next_part_ < message_.parts.size()) {
    const PartEntry& part = message_.parts[next_part_];
    return ReadRecord({part.segment, part.block}, FrameBytes(part.bytes));
  }
  stage_ = Stage::kEnd;
  late_outcome_ = ReadOutcome::kOk;
  late_content_ = Bytes();
  spool_.TellLate(*this);
}

void MessageReader::Impl::TellLate() {
  Tell(late_outcome_, late_content_);
}

void MessageReader::Impl::Tell(ReadOutcome outcome, Bytes content) {
  if (stage_ != Stage::kHead) {
    return events_.OnContent(outcome, content);
  }
  stage_ = outcome == ReadOutcome::kOk ? Stage::kPrefix : Stage::kEnd;
  events_.OnHead(outcome);
}

// ---- one record ----

void MessageReader::Impl::ReadRecord(MessageRef place, uint64_t frame_bytes) {
  place_ = place;
  frame_bytes_ = frame_bytes;
  segment_ = spool_.BeginRead(place.segment);
  if (segment_ == nullptr) {
    const bool is_there = spool_.IsUnreadable(place.segment);
    if (!is_there) {
      spool_.read_damage().CountLost();
    }
    late_outcome_ = is_there ? ReadOutcome::kUnreadable : ReadOutcome::kDamaged;
    late_content_ = Bytes();
    return spool_.TellLate(*this);
  }
  buffer_.clear();
  buffer_at_ = uint64_t{place.block} * kRecordAlignment / kBlockBytes * kBlockBytes;
  if (segment_->phase == SegmentPhase::kAbandoned) {
    open_name_ = NameOfSegment(place.segment);
    return spool_.io().Open(&open_op_, spool_.directory(), open_name_.data(),
                            OpenMode::kReadDirect);
  }
  StartRead(kFirstReadBytes);
}

void MessageReader::Impl::OnOpened(const IoResult& result) {
  if (result.ok()) {
    own_file_ = result.fd();
  }
  if (stage_ == Stage::kClosed) {
    return LeaveSegment();
  }
  if (!result.ok()) {
    LeaveSegment();
    return Tell(ReadOutcome::kUnreadable, Bytes());
  }
  StartRead(kFirstReadBytes);
}

// Reads on until `bytes` or the whole record are there.
void MessageReader::Impl::StartRead(size_t bytes) {
  const size_t have = buffer_.size() / kBlockBytes * kBlockBytes;
  had_bytes_ = have;
  const uint64_t start = uint64_t{place_.block} * kRecordAlignment - buffer_at_;
  const uint64_t wanted = frame_bytes_ > 0 ? AlignUp(start + frame_bytes_, kBlockBytes) : bytes;
  buffer_.Resize(static_cast<size_t>(wanted));
  const Fd file = own_file_.valid() ? own_file_ : segment_->file;
  read_.Start(file, {buffer_.data() + have, buffer_.size() - have}, buffer_at_ + have);
}

void MessageReader::Impl::OnRangeRead(IoError error, size_t bytes) {
  if (stage_ == Stage::kClosed) {
    return LeaveSegment();
  }
  if (error != IoError::kNone) {
    LogError("spool segment={:08x} offset={} unreadable: {}", place_.segment,
             uint64_t{place_.block} * kRecordAlignment, Describe(error));
    LeaveSegment();
    return Tell(ReadOutcome::kUnreadable, Bytes());
  }
  buffer_.Resize(had_bytes_ + bytes);
  CheckRecord();
}

void MessageReader::Impl::CheckRecord() {
  const auto start = static_cast<size_t>(uint64_t{place_.block} * kRecordAlignment - buffer_at_);
  const Bytes bytes = buffer_.bytes().subspan(std::min(start, buffer_.size()));
  const auto header = DecodeRecordHeader(segment_->key, place_.block, bytes);
  if (!header.has_value()) {
    return Damaged("no record header");
  }
  const uint64_t frame = FrameBytes(header->payload_bytes);
  if (frame > bytes.size()) {
    if (frame_bytes_ > 0) {
      return Damaged("record cut off");
    }
    frame_bytes_ = frame;
    return StartRead(0);
  }
  const Bytes payload = bytes.subspan(sizeof(RecordHeader), header->payload_bytes);
  if (!PayloadIsWhole(*header, payload)) {
    return Damaged("checksum");
  }
  const bool is_wanted =
      stage_ == Stage::kHead ? TakeHead(*header, payload) : TakePart(*header, payload);
  if (!is_wanted) {
    return Damaged("not the record that was wanted");
  }
  LeaveSegment();
  Tell(ReadOutcome::kOk, stage_ == Stage::kHead ? Bytes() : payload);
}

bool MessageReader::Impl::TakeHead(const RecordHeader& header, Bytes payload) {
  if (header.kind != static_cast<uint8_t>(RecordKind::kMessage) ||
      !DecodeMessage(payload, message_)) {
    return false;
  }
  if (message_ref_ != (message_.is_moved() ? message_.home() : place_)) {
    return false;
  }
  head_.envelope = message_.envelope;
  head_.domains.assign(message_.domains.begin(), message_.domains.end());
  head_.recipient_domains.assign(message_.recipient_domains.begin(),
                                 message_.recipient_domains.end());
  head_.arrival_wall = WallTime::FromNanoseconds(message_.fixed.arrival_wall);
  head_.arrival = SpoolTime::FromNanoseconds(message_.fixed.arrival_spool);
  head_.flags = message_.fixed.flags;
  head_.content_bytes = message_.AllContentBytes();
  held_parts_ = message_.parts;
  for (const PartEntry& part : held_parts_) {
    spool_.index().Pin(part);
  }
  return true;
}

bool MessageReader::Impl::TakePart(const RecordHeader& header, Bytes payload) {
  const PartEntry& part = message_.parts[next_part_];
  ++next_part_;
  return header.kind == static_cast<uint8_t>(RecordKind::kPart) && payload.size() == part.bytes &&
         header.payload_crc == part.crc;
}

void MessageReader::Impl::LeaveSegment() {
  if (own_file_.valid()) {
    spool_.io().Close(own_file_);
    own_file_ = Fd();
  }
  if (segment_ != nullptr) {
    spool_.EndRead(*segment_);
    segment_ = nullptr;
  }
}

void MessageReader::Impl::Damaged(const char* what) {
  LogError("spool segment={:08x} offset={} damaged: {}", place_.segment,
           uint64_t{place_.block} * kRecordAlignment, what);
  spool_.read_damage().Add(*segment_, buffer_at_, buffer_at_ + buffer_.size());
  LeaveSegment();
  Tell(ReadOutcome::kDamaged, Bytes());
}

MessageReader::MessageReader(Spool::Impl& spool, MessageReaderEvents& events)
    : impl_(std::make_unique<Impl>(spool, events)) {}
MessageReader::~MessageReader() = default;

void MessageReader::Open(MessageRef message) {
  impl_->Open(message);
}
const MessageHead& MessageReader::head() const {
  return impl_->head();
}
void MessageReader::NextContent() {
  impl_->NextContent();
}
void MessageReader::Close() {
  impl_->Close();
}
bool MessageReader::busy() const {
  return impl_->busy();
}

}  // namespace backstay
