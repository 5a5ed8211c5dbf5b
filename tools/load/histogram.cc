// tools/load/histogram.cc -- the slot of a value is its highest bits.
#include "tools/load/histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "core/base/check.h"

namespace backstay {

size_t Histogram::SlotOf(uint64_t value) {
  if (value < kParts) {
    return value;
  }
  const int octave =
      static_cast<int>(std::bit_width(value)) - 1 - kPartBits;  // 0: [kParts, 2 kParts)
  return static_cast<size_t>(octave + 1) * kParts + ((value >> octave) - kParts);
}

uint64_t Histogram::UpperEnd(size_t slot) {
  if (slot < kParts) {
    return slot;
  }
  const size_t octave = slot / kParts - 1;
  return ((slot % kParts + kParts + 1) << octave) - 1;
}

void Histogram::Record(absl::Duration duration) {
  const int64_t value = std::max<int64_t>(0, absl::ToInt64Nanoseconds(duration));
  ++counts_[SlotOf(static_cast<uint64_t>(value))];
  ++count_;
  max_ = std::max(max_, value);
  sum_ += static_cast<double>(value);
}

void Histogram::Add(const Histogram& other) {
  for (size_t slot = 0; slot < kSlots; ++slot) {
    counts_[slot] += other.counts_[slot];
  }
  count_ += other.count_;
  max_ = std::max(max_, other.max_);
  sum_ += other.sum_;
}

absl::Duration Histogram::Mean() const {
  return count_ == 0 ? absl::ZeroDuration() : absl::Nanoseconds(sum_ / static_cast<double>(count_));
}

absl::Duration Histogram::Percentile(double share) const {
  ASSERT(share >= 0);
  ASSERT(share <= 1);
  const auto wanted = static_cast<uint64_t>(std::ceil(share * static_cast<double>(count_)));
  uint64_t seen = 0;
  for (size_t slot = 0; slot < kSlots; ++slot) {
    seen += counts_[slot];
    if (seen >= wanted && seen > 0) {
      return std::min(absl::Nanoseconds(UpperEnd(slot)), max());
    }
  }
  return absl::ZeroDuration();
}

std::vector<std::pair<absl::Duration, uint64_t>> Histogram::Parts() const {
  std::vector<std::pair<absl::Duration, uint64_t>> parts;
  for (size_t slot = 0; slot < kSlots; ++slot) {
    if (counts_[slot] > 0) {
      parts.emplace_back(absl::Nanoseconds(UpperEnd(slot)), counts_[slot]);
    }
  }
  return parts;
}

}  // namespace backstay
