// spool/zero_check.h -- is there anything at all in a segment file whose headers are zero?
#pragma once

#include <algorithm>

#include "spool/record.h"
#include "spool/segment_sink.h"

namespace backstay {

class ZeroCheck final : public SegmentSink {
 public:
  explicit ZeroCheck(uint64_t end) : end_(end) {}
  bool all_zero() const { return all_zero_; }
  uint64_t at() const override { return at_; }
  uint64_t end() const override { return end_; }
  uint64_t need() const override { return std::min<uint64_t>(kBlockBytes, end_ - at_); }
  void Feed(Bytes bytes) override {
    const auto size = static_cast<size_t>(std::min<uint64_t>(bytes.size(), end_ - at_));
    all_zero_ = all_zero_ && IsZero(bytes.first(size));
    at_ = all_zero_ ? at_ + size : end_;
  }
  void SkipZeros(uint64_t to) override { at_ = to; }

 private:
  const uint64_t end_;
  uint64_t at_ = kDataStart;
  bool all_zero_ = true;
};

}  // namespace backstay
