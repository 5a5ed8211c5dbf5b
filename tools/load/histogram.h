// tools/load/histogram.h -- durations by logarithm, each octave in 128 equal parts: 0.8 % at most.
//
// Recording is one increment, whatever the value; percentiles come of the counts, never of samples
// that were chosen. An answer is the upper end of its part, so it is never too kind.
//
// Units: nanoseconds.
// Owns:  58 KiB.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/time/time.h"

namespace backstay {

class Histogram {
 public:
  void Record(absl::Duration duration);
  void Add(const Histogram& other);

  uint64_t count() const { return count_; }
  absl::Duration max() const { return absl::Nanoseconds(max_); }
  absl::Duration Mean() const;
  // The smallest part that `share` (0 to 1) of all values do not exceed. Zero when there is none.
  absl::Duration Percentile(double share) const;
  // Upper end and count of every part that has any.
  std::vector<std::pair<absl::Duration, uint64_t>> Parts() const;

 private:
  static constexpr int kPartBits = 7;
  static constexpr uint64_t kParts = uint64_t{1} << kPartBits;
  // Values below kParts have a part each; octaves from there to 2^63.
  static constexpr size_t kSlots = (63 - kPartBits + 1) * kParts + kParts;

  static size_t SlotOf(uint64_t value);
  static uint64_t UpperEnd(size_t slot);

  std::array<uint64_t, kSlots> counts_{};
  uint64_t count_ = 0;
  int64_t max_ = 0;
  double sum_ = 0;
};

}  // namespace backstay
