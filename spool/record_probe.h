// spool/record_probe.h -- does any record begin in this part of a segment? Ends at the first one.
//
// Pure: fed by SegmentReader.
// Units: offsets in the file.
#pragma once

#include <algorithm>

#include "core/base/check.h"
#include "spool/record.h"
#include "spool/segment_sink.h"

namespace backstay {

class RecordProbe final : public SegmentSink {
 public:
  // `from` is a multiple of the block size.
  RecordProbe(const SegmentKey& key, uint64_t from, uint64_t to) : key_(key), at_(from), end_(to) {
    ASSERT(from % kBlockBytes == 0 && from < to);
  }
  bool found() const { return found_; }
  uint64_t at() const override { return at_; }
  uint64_t end() const override { return end_; }
  uint64_t need() const override { return std::min<uint64_t>(kBlockBytes, end_ - at_); }
  void Feed(Bytes bytes) override {
    while (at_ < end_ && bytes.size() >= need()) {
      const Bytes block = bytes.first(static_cast<size_t>(need()));
      found_ = !IsZero(block) && HasRecord(block);
      at_ = found_ ? end_ : at_ + block.size();
      bytes = bytes.subspan(block.size());
    }
  }
  void SkipZeros(uint64_t to) override { at_ = to; }

 private:
  bool HasRecord(Bytes block) const {
    for (size_t at = 0; at + sizeof(RecordHeader) <= block.size(); at += kRecordAlignment) {
      const auto place = static_cast<uint32_t>((at_ + at) / kRecordAlignment);
      if (DecodeRecordHeader(key_, place, block.subspan(at)).has_value()) {
        return true;
      }
    }
    return false;
  }

  const SegmentKey key_;
  uint64_t at_;
  const uint64_t end_;
  bool found_ = false;
};

}  // namespace backstay
