// tests/core/queue/stress_test.cc -- begins at once, ends when it has been over for a while.
#include "core/queue/stress.h"

#include <gtest/gtest.h>

namespace backstay {
namespace {

class StressTest : public testing::Test {
 protected:
  // True: it has begun, or it is over.
  bool Look(size_t connections, absl::Duration delay = absl::ZeroDuration()) {
    return stress_.Look({connections, 100, delay}, now_);
  }
  void Pass(absl::Duration time) { now_ = now_ + time; }

  Instant now_ = Instant() + absl::Hours(1);
  Stress stress_;
};

TEST_F(StressTest, BeginsAboveNineTenthsOfThePlaces) {
  EXPECT_FALSE(Look(0));
  EXPECT_FALSE(Look(90));
  EXPECT_FALSE(stress_.on());
  EXPECT_EQ(stress_.NextDue(), Instant::Max());
  EXPECT_TRUE(Look(91));
  EXPECT_TRUE(stress_.on());
  EXPECT_NE(stress_.reason().find("places"), std::string_view::npos);
  EXPECT_EQ(stress_.began_at(), now_);
  EXPECT_FALSE(Look(100)) << "it has begun before";
}

TEST_F(StressTest, BeginsWhereTheDiskPutsNewMailOff) {
  EXPECT_FALSE(Look(0, Admission::kBusyDelay));
  EXPECT_TRUE(Look(0, Admission::kBusyDelay + absl::Nanoseconds(1)));
  EXPECT_NE(stress_.reason().find("disk"), std::string_view::npos);
}

TEST_F(StressTest, WhatHoversAtALevelChangesNothing) {
  EXPECT_TRUE(Look(91));
  for (int count = 0; count < 100; ++count) {
    Pass(absl::Seconds(20));
    EXPECT_FALSE(Look(count % 2 == 0 ? 71 : 92)) << count;
  }
  Pass(absl::Seconds(20));
  EXPECT_FALSE(Look(0, Stress::kQuickDelay + absl::Nanoseconds(1)));
  Pass(absl::Seconds(20));
  EXPECT_FALSE(Look(0));
  EXPECT_TRUE(stress_.on());
}

TEST_F(StressTest, IsOverAfterAWhileBelowBothLowerLevels) {
  EXPECT_TRUE(Look(95));
  Pass(absl::Minutes(5));
  EXPECT_FALSE(Look(95)) << "nobody looked for a long time, and nothing is better";
  EXPECT_EQ(stress_.NextDue(), now_ + Stress::kCalm);
  Pass(Stress::kCalm - absl::Nanoseconds(1));
  EXPECT_FALSE(Look(70, Stress::kQuickDelay));
  Pass(absl::Nanoseconds(1));
  EXPECT_TRUE(Look(70, Stress::kQuickDelay));
  EXPECT_FALSE(stress_.on());
  EXPECT_EQ(stress_.NextDue(), Instant::Max());
  EXPECT_EQ(now_ - stress_.began_at(), absl::Minutes(5) + Stress::kCalm);
  EXPECT_FALSE(Look(90)) << "as before the first time";
  EXPECT_TRUE(Look(91));
}

TEST_F(StressTest, TheOnlyPlaceOfAllIsAllOfThem) {
  EXPECT_FALSE(stress_.Look({0, 1, absl::ZeroDuration()}, now_));
  EXPECT_TRUE(stress_.Look({1, 1, absl::ZeroDuration()}, now_));
  Pass(Stress::kCalm);
  EXPECT_TRUE(stress_.Look({0, 1, absl::ZeroDuration()}, now_));
}

}  // namespace
}  // namespace backstay
