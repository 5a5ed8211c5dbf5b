// tests/core/base/units_test.cc -- points of time saturate instead of wrapping; sizes and offsets.
#include "core/base/units.h"

#include <gtest/gtest.h>

namespace backstay {
namespace {

TEST(Units, SizesAreBinary) {
  EXPECT_EQ(4_KiB, 4096u);
  EXPECT_EQ(1_MiB, 1048576u);
  EXPECT_EQ(1_GiB, 1073741824u);
}

TEST(TimePoint, AddsAndSubtractsDurations) {
  const Instant start = Instant::FromNanoseconds(1000);
  EXPECT_EQ((start + absl::Microseconds(2)).nanoseconds(), 3000);
  EXPECT_EQ((start - absl::Microseconds(2)).nanoseconds(), -1000);
  EXPECT_EQ((start + absl::Seconds(1)) - start, absl::Seconds(1));
  EXPECT_LT(start, start + absl::Nanoseconds(1));
}

TEST(TimePoint, SaturatesAtTheEndOfTime) {
  const Instant late = Instant::Max() - absl::Seconds(1);
  EXPECT_EQ(late + absl::Hours(1), Instant::Max());
  EXPECT_EQ(Instant() + absl::InfiniteDuration(), Instant::Max());
  EXPECT_EQ(Instant::FromNanoseconds(5) + absl::InfiniteDuration(), Instant::Max());
}

TEST(Offset, MovesByBytes) {
  const Offset offset{4096};
  EXPECT_EQ(Value(offset + 10), 4106u);
  EXPECT_EQ((offset + 10) - offset, 10u);
}

}  // namespace
}  // namespace backstay
