// tests/core/queue/latency_watch_test.cc -- slow against what it was.
#include "core/queue/latency_watch.h"

#include <gtest/gtest.h>

namespace backstay {
namespace {

class LatencyWatchTest : public ::testing::Test {
 protected:
  size_t SlowOf(size_t messages, absl::Duration took, size_t window = 20) {
    size_t slow = 0;
    for (size_t i = 0; i < messages; ++i) {
      slow += watch_.IsSlow(took, window) ? 1 : 0;
    }
    return slow;
  }

  LatencyWatch watch_;
};

TEST_F(LatencyWatchTest, APrimaryThatBecomesSlowIsSlowOnceASample) {
  EXPECT_EQ(SlowOf(1000, absl::Milliseconds(5)), 0u);
  EXPECT_EQ(SlowOf(40, absl::Milliseconds(500)), 2u);
}

TEST_F(LatencyWatchTest, ASampleHasAWindowsWorth) {
  SlowOf(100, absl::Milliseconds(5), 100);
  EXPECT_EQ(SlowOf(99, absl::Milliseconds(500), 100), 0u);
  EXPECT_EQ(SlowOf(1, absl::Milliseconds(500), 100), 1u);
}

TEST_F(LatencyWatchTest, OneThatWasAlwaysSlowIsNot) {
  EXPECT_EQ(SlowOf(1000, absl::Seconds(2)), 0u);
}

TEST_F(LatencyWatchTest, ATenthOfASecondMoreIsNoMatter) {
  SlowOf(100, absl::Milliseconds(1));
  EXPECT_EQ(SlowOf(100, absl::Milliseconds(100)), 0u);
}

TEST_F(LatencyWatchTest, WhatComesBackIsMeasuredAnew) {
  SlowOf(100, absl::Milliseconds(5));
  watch_.Restart();
  EXPECT_EQ(SlowOf(100, absl::Milliseconds(500)), 0u);
}

}  // namespace
}  // namespace backstay
