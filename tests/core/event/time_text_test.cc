// tests/core/event/time_text_test.cc -- the same moments in both forms.
#include "core/event/time_text.h"

#include <gtest/gtest.h>

#include <string>

namespace backstay {
namespace {

WallTime At(int64_t seconds, int64_t milliseconds) {
  return WallTime::FromNanoseconds((seconds * 1000 + milliseconds) * 1'000'000);
}

std::string Text(TimeText& text, WallTime time) {
  std::string out;
  text.Append(time, out);
  return out;
}

constexpr int64_t kNewYear = 1'767'225'600;  // 2026-01-01T00:00:00Z

TEST(TimeText, IsoHasMillisecondsAndIsUtc) {
  TimeText text(TimeText::Form::kIso, absl::FixedTimeZone(7200));
  EXPECT_EQ(Text(text, At(kNewYear, 5)), "2026-01-01T00:00:00.005Z");
  EXPECT_EQ(Text(text, At(kNewYear, 999)), "2026-01-01T00:00:00.999Z");
  EXPECT_EQ(Text(text, At(kNewYear - 1, 0)), "2025-12-31T23:59:59.000Z");
  EXPECT_EQ(Text(text, WallTime::FromNanoseconds(-1)), "1970-01-01T00:00:00.000Z");
}

TEST(TimeText, SyslogShowsTheZonesClockAndPadsTheDay) {
  TimeText text(TimeText::Form::kSyslog, absl::FixedTimeZone(7200));
  EXPECT_EQ(Text(text, At(kNewYear, 5)), "Jan  1 02:00:00");
  EXPECT_EQ(Text(text, At(kNewYear - 7201, 0)), "Dec 31 23:59:59");
}

}  // namespace
}  // namespace backstay
