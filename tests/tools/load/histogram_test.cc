// tests/tools/load/histogram_test.cc -- percentiles against a sorted list.
#include "tools/load/histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/base/random.h"

namespace backstay {
namespace {

int64_t Nanoseconds(absl::Duration duration) {
  return absl::ToInt64Nanoseconds(duration);
}

TEST(Histogram, PercentilesAreNeverBelowAndAtMostOnePercentAbove) {
  Random random(1);
  Histogram histogram;
  std::vector<int64_t> values;
  for (int count = 0; count < 20000; ++count) {
    const auto value = static_cast<int64_t>(random.Next() >> random.Between(10, 63));
    values.push_back(value);
    histogram.Record(absl::Nanoseconds(value));
  }
  std::sort(values.begin(), values.end());
  for (const double share : {0.01, 0.5, 0.9, 0.99, 0.999, 0.9999, 1.0}) {
    const auto rank = static_cast<size_t>(std::ceil(share * 20000)) - 1;
    const int64_t exact = values[rank];
    const int64_t answer = Nanoseconds(histogram.Percentile(share));
    EXPECT_GE(answer, exact) << share;
    EXPECT_LE(answer, exact + exact / 128 + 1) << share;
  }
  EXPECT_EQ(Nanoseconds(histogram.max()), values.back());
}

TEST(Histogram, NothingRecordedIsZero) {
  EXPECT_EQ(Histogram().Percentile(0.99), absl::ZeroDuration());
  EXPECT_EQ(Histogram().Mean(), absl::ZeroDuration());
}

TEST(Histogram, TwoAddedAreAsOne) {
  Histogram both;
  Histogram left;
  Histogram right;
  for (int value = 1; value < 5000; value += 7) {
    (value % 2 == 0 ? left : right).Record(absl::Microseconds(value));
    both.Record(absl::Microseconds(value));
  }
  left.Add(right);
  EXPECT_EQ(left.Parts(), both.Parts());
  EXPECT_EQ(left.Mean(), both.Mean());
  EXPECT_EQ(left.max(), both.max());
}

TEST(Histogram, ClockStepsBackAreZero) {
  Histogram histogram;
  histogram.Record(absl::Nanoseconds(-5));
  EXPECT_EQ(histogram.count(), 1u);
  EXPECT_EQ(histogram.Percentile(1), absl::ZeroDuration());
}

}  // namespace
}  // namespace backstay
