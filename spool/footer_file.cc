// spool/footer_file.cc -- the footer first, then its place: a place never names what is not there.
#include "spool/footer_file.h"

#include <algorithm>

#include "core/base/check.h"
#include "core/base/log.h"
#include "core/base/mark.h"

namespace backstay {
void FooterWriter::Start(Segment& segment, const std::vector<uint8_t>& payload) {
  ASSERT(step_ == Step::kIdle);
  const uint64_t frame = AlignUp(FrameBytes(payload.size()), kBlockBytes);
  const bool fits = !payload.empty() && segment.header.version >= 2 &&
                    segment.batches_end + frame <= segment.data_end();
  if (!fits) {
    MARK("footer does not fit");
    return;
  }
  segment_ = &segment;
  ++segment.readers;
  at_ = segment.batches_end;
  place_.block = static_cast<uint32_t>(at_ / kRecordAlignment);
  place_.payload_bytes = static_cast<uint32_t>(payload.size());
  bytes_.Resize(static_cast<size_t>(frame));
  std::fill(bytes_.data(), bytes_.data() + bytes_.size(), uint8_t{0});
  std::copy(payload.begin(), payload.end(), bytes_.data() + sizeof(RecordHeader));
  RecordHeader header;
  header.kind = static_cast<uint8_t>(RecordKind::kFooter);
  header.payload_bytes = place_.payload_bytes;
  const auto record = static_cast<size_t>(FrameBytes(payload.size()));
  SealRecord(segment.key, place_.block, header, {bytes_.data(), record});
  written_ = 0;
  step_ = Step::kFooterWritten;
  WriteMore();
}

void FooterWriter::WriteMore() {
  io_.Write(&op_, segment_->file, bytes_.bytes().subspan(written_), Offset{at_ + written_});
}

void FooterWriter::Advance(const IoResult& result) {
  const bool is_write = step_ == Step::kFooterWritten || step_ == Step::kPlaceWritten;
  if (!result.ok() || (is_write && result.count() == 0)) {
    LogWarning("spool segment={:08x} footer not written: {}", segment_->number(),
               Describe(result.ok() ? IoError::kDevice : result.error()));
    return Finish();
  }
  if (is_write) {
    written_ += result.count();
    if (written_ < bytes_.size()) {
      return WriteMore();
    }
    step_ = step_ == Step::kFooterWritten ? Step::kFooterSynced : Step::kPlaceSynced;
    return io_.SyncData(&op_, segment_->file);
  }
  if (step_ == Step::kPlaceSynced) {
    return Finish();
  }
  at_ = DataEnd(segment_->header);
  bytes_.Resize(kBlockBytes);
  std::fill(bytes_.data(), bytes_.data() + kBlockBytes, uint8_t{0});
  StoreStruct({bytes_.data() + sizeof(RecordHeader), sizeof(place_)}, place_);
  RecordHeader header;
  header.kind = static_cast<uint8_t>(RecordKind::kFooterPlace);
  header.payload_bytes = sizeof(place_);
  SealRecord(segment_->key, static_cast<uint32_t>(at_ / kRecordAlignment), header,
             {bytes_.data(), static_cast<size_t>(FrameBytes(sizeof(place_)))});
  written_ = 0;
  step_ = Step::kPlaceWritten;
  WriteMore();
}

void FooterWriter::Finish() {
  --segment_->readers;
  segment_ = nullptr;
  bytes_.clear();
  step_ = Step::kIdle;
}

// ---- reading ----

FooterReader::FooterReader(Io& io, FooterReaderEvents& events)
    : events_(events), read_(io, *this, kReadTries) {}

void FooterReader::Start(Fd file, const SegmentHeader& header) {
  file_ = file;
  header_ = header;
  key_ = SegmentKey(header);
  has_place_ = false;
  bytes_.Resize(kBlockBytes);
  read_.Start(file_, {bytes_.data(), kBlockBytes}, DataEnd(header_));
}

Bytes FooterReader::Record(RecordKind kind, uint32_t block) const {
  const auto header = DecodeRecordHeader(key_, block, bytes_.bytes());
  if (!header.has_value() || header->kind != static_cast<uint8_t>(kind) ||
      header->payload_bytes > bytes_.size() - sizeof(RecordHeader)) {
    return {};
  }
  const Bytes payload = bytes_.bytes().subspan(sizeof(RecordHeader), header->payload_bytes);
  return PayloadIsWhole(*header, payload) ? payload : Bytes();
}

void FooterReader::OnRangeRead(IoError error, size_t bytes) {
  if (error != IoError::kNone || bytes < bytes_.size()) {
    return events_.OnFooterRead({}, has_place_);
  }
  if (has_place_) {
    const Bytes footer = Record(RecordKind::kFooter, place_.block);
    return events_.OnFooterRead(footer, footer.empty());
  }
  const Bytes place =
      Record(RecordKind::kFooterPlace, static_cast<uint32_t>(DataEnd(header_) / kRecordAlignment));
  if (place.size() != sizeof(FooterPlace)) {
    return events_.OnFooterRead({}, !IsZero(bytes_.bytes()));
  }
  place_ = LoadStruct<FooterPlace>(place);
  has_place_ = true;
  const uint64_t at = uint64_t{place_.block} * kRecordAlignment;
  const uint64_t frame = AlignUp(FrameBytes(place_.payload_bytes), kBlockBytes);
  if (place_.payload_bytes > kPayloadBytesMax || at % kBlockBytes != 0 ||
      at + frame > DataEnd(header_)) {
    return events_.OnFooterRead({}, true);
  }
  bytes_.Resize(static_cast<size_t>(frame));
  read_.Start(file_, {bytes_.data(), bytes_.size()}, at);
}

}  // namespace backstay
