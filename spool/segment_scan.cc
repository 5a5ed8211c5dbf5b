// spool/segment_scan.cc -- record by record; in steps of 64 bytes where there is none.
#include "spool/segment_scan.h"

#include <algorithm>
#include <utility>

#include "core/base/check.h"
#include "core/base/mark.h"

namespace backstay {

SegmentScan::SegmentScan(const SegmentKey& key, uint64_t end, std::optional<uint32_t> previous_crc,
                         ScanEvents& events)
    : key_(key),
      end_(std::max(end, kDataStart)),
      previous_crc_(previous_crc),
      events_(events),
      need_(std::min<uint64_t>(kBlockBytes, end_ - at_)) {}

void SegmentScan::BeginAt(uint64_t offset) {
  ASSERT(at_ == kDataStart);
  ASSERT(offset % kBlockBytes == 0 && offset >= kDataStart && offset <= end_);
  at_ = record_end_ = batch_end_ = nonzero_end_ = offset;
  need_ = std::min<uint64_t>(kBlockBytes, end_ - at_);
}

void SegmentScan::Feed(Bytes bytes) {
  size_t done = 0;
  while (at_ < end_) {
    need_ = std::min<uint64_t>(kBlockBytes, end_ - at_);
    const auto left = static_cast<size_t>(std::min<uint64_t>(bytes.size() - done, end_ - at_));
    if (left < need_) {
      return;
    }
    const size_t step = Step(bytes.subspan(done, left));
    if (step == 0) {
      return;
    }
    done += step;
    at_ += step;
    EndBehindLastRecord();
  }
}

void SegmentScan::SkipZeros(uint64_t to) {
  ASSERT(to <= end_);
  at_ = to;
  EndBehindLastRecord();
  need_ = std::min<uint64_t>(kBlockBytes, end_ - at_);
}

void SegmentScan::EndBehindLastRecord() {
  if (at_ - std::min(at_, record_end_) >= gap_max_) {
    end_ = at_;
  }
}

// Returns how far to go; 0: the whole record is needed first.
size_t SegmentScan::Step(Bytes bytes) {
  const auto block = static_cast<uint32_t>(at_ / kRecordAlignment);
  const auto header = DecodeRecordHeader(key_, block, bytes);
  if (!header.has_value() || FrameBytes(header->payload_bytes) > end_ - at_) {
    return SkipUnknown(bytes);
  }
  const auto frame = static_cast<size_t>(FrameBytes(header->payload_bytes));
  if (frame > bytes.size()) {
    need_ = frame;
    return 0;
  }
  const uint64_t nonzero_before = std::exchange(nonzero_end_, at_ + frame);
  record_end_ = at_ + frame;
  next_sequence_ = std::max(next_sequence_, header->sequence + 1);
  const Bytes payload = bytes.subspan(sizeof(RecordHeader), header->payload_bytes);
  if (!PayloadIsWhole(*header, payload)) {
    return frame;  // missing in the count of its batch
  }
  if (header->kind == static_cast<uint8_t>(RecordKind::kFooter)) {
    AcceptFooter(nonzero_before);
  } else if (header->kind != static_cast<uint8_t>(RecordKind::kCommit)) {
    seen_at_.push_back(at_);
    seen_crcs_.push_back(header->header_crc);
    events_.OnRecord(*header, block, payload);
  } else if (payload.size() == sizeof(CommitPayload)) {
    AcceptCommit(*header, LoadStruct<CommitPayload>(payload));
  }
  return frame;
}

// Behind the last batch, and not one itself.
void SegmentScan::AcceptFooter(uint64_t nonzero_before) {
  if (nonzero_before > batch_end_) {
    events_.OnBrokenBatch({batch_end_, at_}, BatchFlaw::kNoEnd);
  }
  batch_end_ = std::min(end_, AlignUp(nonzero_end_, kBlockBytes));
  seen_at_.clear();
  seen_crcs_.clear();
}

size_t SegmentScan::SkipUnknown(Bytes bytes) {
  if (bytes.size() >= kBlockBytes && at_ % kBlockBytes == 0 && IsZero(bytes.first(kBlockBytes))) {
    return kBlockBytes;
  }
  const size_t step = std::min(kRecordAlignment, bytes.size());
  // A file that was a segment before holds its old bytes where nothing new was written.
  if (key_.generation() == 1 && !IsZero(bytes.first(step))) {
    nonzero_end_ = at_ + step;
  }
  return step;
}

void SegmentScan::AcceptCommit(const RecordHeader& header, const CommitPayload& commit) {
  // The batch reaches back batch_bytes from its commit record; what lies between the batch before
  // and its start was a batch as well.
  const uint64_t bytes = std::min(commit.batch_bytes, at_ - std::min(at_, batch_end_));
  const uint64_t start = at_ - bytes;
  const bool follows = start <= batch_end_;
  if (!follows) {
    MARK("batch without commit record");
    events_.OnBrokenBatch({batch_end_, start}, BatchFlaw::kLostCommit);
  }
  events_.OnCommit(commit, previous_crc_.has_value() && commit.previous_crc == *previous_crc_);
  const auto first = static_cast<size_t>(std::lower_bound(seen_at_.begin(), seen_at_.end(), start) -
                                         seen_at_.begin());
  const auto crcs = std::span<const uint32_t>(seen_crcs_).subspan(first);
  const uint64_t end = std::min(end_, AlignUp(at_ + kCommitFrameBytes, kBlockBytes));
  const bool is_whole = bytes == commit.batch_bytes && crcs.size() == commit.records &&
                        CrcOfCrcs(crcs) == commit.records_crc;
  if (!is_whole) {
    MARK("batch with a hole");
    events_.OnBrokenBatch({start, end}, BatchFlaw::kHole);
  } else if (follows && previous_crc_.has_value() && commit.previous_crc != *previous_crc_) {
    MARK("commit chain broken");
    events_.OnBrokenChain(start);
  }
  previous_crc_ = header.header_crc;
  batch_end_ = end;
  seen_at_.clear();
  seen_crcs_.clear();
}

void SegmentScan::Finish() {
  ASSERT(at_ >= end_);
  if (nonzero_end_ > batch_end_) {
    const uint64_t end = std::min(end_, AlignUp(nonzero_end_, kBlockBytes));
    events_.OnBrokenBatch({batch_end_, end}, BatchFlaw::kNoEnd);
  }
}

}  // namespace backstay
