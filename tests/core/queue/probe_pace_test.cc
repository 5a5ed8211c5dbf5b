// tests/core/queue/probe_pace_test.cc -- a burst, then a line; one for all threads.
#include "core/queue/probe_pace.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <thread>
#include <vector>

namespace backstay {
namespace {

constexpr int64_t kRate = ProbePace::kPerSecond;
const Instant kStart = Instant() + absl::Hours(1);

TEST(ProbePace, ASecondsPlacesAreFree) {
  ProbePace pace;
  for (int64_t i = 0; i < kRate; ++i) {
    EXPECT_EQ(pace.Take(kStart), kStart);
  }
  EXPECT_EQ(pace.Take(kStart), kStart + absl::Seconds(1) / kRate);
}

TEST(ProbePace, WhoComesLaterStandsBehind) {
  ProbePace pace;
  Instant last = kStart;
  for (int64_t i = 0; i < 11 * kRate; ++i) {
    const Instant place = pace.Take(kStart);
    EXPECT_GE(place, last);
    last = place;
  }
  EXPECT_EQ(last, kStart + absl::Seconds(10));
  EXPECT_GT(pace.Take(kStart + absl::Seconds(5)), last);
}

TEST(ProbePace, WhatNobodyTookIsKeptForASecond) {
  ProbePace pace;
  for (int64_t i = 0; i < kRate; ++i) {
    pace.Take(kStart);
  }
  const Instant later = kStart + absl::Hours(1);
  for (int64_t i = 0; i < kRate; ++i) {
    EXPECT_EQ(pace.Take(later), later);
  }
  EXPECT_GT(pace.Take(later), later);
}

// Few destinations never wait: each asks once a second.
TEST(ProbePace, BelowTheRateNobodyWaits) {
  ProbePace pace;
  for (int second = 0; second < 100; ++second) {
    const Instant now = kStart + absl::Seconds(second);
    for (int64_t i = 0; i < kRate; ++i) {
      EXPECT_EQ(pace.Take(now), now);
    }
  }
}

TEST(ProbePace, AllThreadsStandInOneLine) {
  ProbePace pace;
  std::vector<std::vector<Instant>> places(4);
  std::vector<std::thread> threads;
  for (std::vector<Instant>& mine : places) {
    threads.emplace_back([&pace, &mine] {
      for (int64_t i = 0; i < 5 * kRate; ++i) {
        mine.push_back(pace.Take(kStart));
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  std::vector<Instant> all;
  for (const std::vector<Instant>& mine : places) {
    EXPECT_TRUE(std::is_sorted(mine.begin(), mine.end()));
    all.insert(all.end(), mine.begin(), mine.end());
  }
  std::sort(all.begin(), all.end());
  for (size_t i = 0; i < all.size(); ++i) {
    const auto ahead = std::max<int64_t>(0, static_cast<int64_t>(i) + 1 - kRate);
    EXPECT_EQ(all[i], kStart + absl::Seconds(1) / kRate * ahead);
  }
}

}  // namespace
}  // namespace backstay
