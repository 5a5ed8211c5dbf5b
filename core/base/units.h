// core/base/units.h -- sizes, offsets and the three kinds of time, each a type of its own.
//
// Units: Instant is monotonic time of one machine run, WallTime is calendar time (for display and
//        Date fields), SpoolTime runs only while the daemon runs (DESIGN "the clock"): ages and
//        schedules use it, so neither a clock step nor a stopped daemon expires mail.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "absl/time/time.h"

namespace backstay {

constexpr size_t operator""_KiB(unsigned long long count) {
  return static_cast<size_t>(count) << 10;
}
constexpr size_t operator""_MiB(unsigned long long count) {
  return static_cast<size_t>(count) << 20;
}
constexpr size_t operator""_GiB(unsigned long long count) {
  return static_cast<size_t>(count) << 30;
}

// A point on the time line named by Tag, as nanoseconds from that line's origin.
template <typename Tag>
class TimePoint {
 public:
  constexpr TimePoint() = default;
  static constexpr TimePoint FromNanoseconds(int64_t nanoseconds) {
    TimePoint point;
    point.nanoseconds_ = nanoseconds;
    return point;
  }
  // Later than every point that can occur: "no time set".
  static constexpr TimePoint Max() { return FromNanoseconds(std::numeric_limits<int64_t>::max()); }
  constexpr int64_t nanoseconds() const { return nanoseconds_; }

  friend constexpr auto operator<=>(TimePoint, TimePoint) = default;
  // Saturates at Max(), so that "infinite" delays need no special case.
  friend TimePoint operator+(TimePoint point, absl::Duration delay) {
    int64_t sum = 0;
    if (__builtin_add_overflow(point.nanoseconds_, absl::ToInt64Nanoseconds(delay), &sum)) {
      return delay > absl::ZeroDuration() ? Max() : TimePoint();
    }
    return FromNanoseconds(sum);
  }
  friend TimePoint operator-(TimePoint point, absl::Duration delay) { return point + (-delay); }
  friend absl::Duration operator-(TimePoint later, TimePoint earlier) {
    return absl::Nanoseconds(later.nanoseconds_ - earlier.nanoseconds_);
  }

 private:
  int64_t nanoseconds_ = 0;
};

using Instant = TimePoint<struct MonotonicTag>;
using WallTime = TimePoint<struct WallTag>;  // origin: the Unix epoch
using SpoolTime = TimePoint<struct SpoolTag>;

// A place in a file, in bytes from its start.
enum class Offset : uint64_t {};

constexpr uint64_t Value(Offset offset) {
  return static_cast<uint64_t>(offset);
}
constexpr Offset operator+(Offset offset, uint64_t bytes) {
  return Offset{Value(offset) + bytes};
}
constexpr uint64_t operator-(Offset later, Offset earlier) {
  return Value(later) - Value(earlier);
}

}  // namespace backstay
