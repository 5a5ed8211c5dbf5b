// tests/core/queue/ramp_test.cc -- canaries, rounds and pauses, growth and halving.
#include "core/queue/ramp.h"

#include <gtest/gtest.h>

#include "core/base/mark.h"

namespace backstay {
namespace {

Instant Second(int64_t seconds) {
  return Instant::FromNanoseconds(seconds * 1'000'000'000);
}

class RampTest : public ::testing::Test {
 protected:
  RampTest() { ramp_.SetMax(20); }

  size_t StartAll() {
    size_t started = 0;
    while (ramp_.MayStart(now_)) {
      era_ = ramp_.OnStart();
      ++started;
    }
    return started;
  }
  void End(size_t messages, MessageFate fate, absl::Duration took = absl::Milliseconds(5)) {
    for (size_t i = 0; i < messages; ++i) {
      ramp_.OnEnd(era_, fate, took, now_);
    }
  }
  // Until so many were taken, as fast as it lets them.
  void Take(size_t messages, absl::Duration took = absl::Milliseconds(5)) {
    for (size_t taken = 0; taken < messages;) {
      const size_t started = StartAll();
      ASSERT_GT(started, 0u);
      End(started, MessageFate::kTaken, took);
      taken += started;
    }
  }

  Ramp ramp_;
  uint32_t era_ = 0;
  Instant now_ = Second(1000);
};

TEST_F(RampTest, FiveCanariesThenOneTakenOpensTheWindow) {
  ramp_.Restart(Ramp::kCanaries);
  EXPECT_EQ(StartAll(), 5u);
  End(1, MessageFate::kTaken);
  EXPECT_FALSE(ramp_.in_canaries());
  EXPECT_FALSE(ramp_.over());
  EXPECT_EQ(ramp_.window(), 2u);
  EXPECT_EQ(StartAll(), 0u);  // four are under way
}

TEST_F(RampTest, RefusedCanariesAreReplacedAtOnce) {
  ramp_.Restart(Ramp::kCanaries);
  for (int refused = 0; refused < 100; ++refused) {
    StartAll();
    EXPECT_EQ(ramp_.under_way(), 5u);
    End(1, MessageFate::kRefused);
  }
  EXPECT_TRUE(ramp_.in_canaries());
}

TEST_F(RampTest, UntriedOnesAreReplacedToo) {
  ramp_.Restart(Ramp::kCanaries);
  StartAll();
  End(3, MessageFate::kUntried);
  EXPECT_EQ(StartAll(), 3u);
}

TEST_F(RampTest, ARoundOfDeferralsWaitsLongerEachTime) {
  const uint64_t before = MarkCount("canaries_all_deferred");
  ramp_.Restart(Ramp::kCanaries);
  for (const int64_t pause : {15, 30, 60, 120, 240, 300, 300}) {
    EXPECT_EQ(StartAll(), 5u);
    End(4, MessageFate::kDeferred);
    EXPECT_EQ(StartAll(), 0u);  // not replaced
    End(1, MessageFate::kDeferred);
    EXPECT_EQ(ramp_.paused_until(), now_ + absl::Seconds(pause));
    now_ = now_ + absl::Seconds(pause) - absl::Nanoseconds(1);
    EXPECT_EQ(StartAll(), 0u);
    now_ = now_ + absl::Nanoseconds(1);
  }
  EXPECT_EQ(MarkCount("canaries_all_deferred") - before, 7u);
}

TEST_F(RampTest, OneTakenOfARoundIsEnough) {
  ramp_.Restart(Ramp::kCanaries);
  StartAll();
  End(4, MessageFate::kDeferred);
  End(1, MessageFate::kTaken);
  EXPECT_FALSE(ramp_.in_canaries());
}

// Connections of before may hang for as long as they like, and end in whatever way.
TEST_F(RampTest, WhatWasUnderWayBeforeTheOutageDoesNotTakeThePlaceOfCanaries) {
  Take(1000);
  EXPECT_EQ(StartAll(), 20u);
  const uint32_t before = era_;
  ramp_.Restart(Ramp::kCanaries);
  EXPECT_EQ(StartAll(), 5u);
  for (int old = 0; old < 20; ++old) {
    const MessageFate fate = old < 10 ? MessageFate::kDeferred : MessageFate::kUntried;
    ramp_.OnEnd(before, fate, absl::Minutes(2), now_);
  }
  EXPECT_EQ(StartAll(), 0u);
  EXPECT_EQ(ramp_.under_way(), 5u);
  End(4, MessageFate::kDeferred);
  End(1, MessageFate::kUntried);
  EXPECT_EQ(StartAll(), 1u);
  End(1, MessageFate::kTaken);
  EXPECT_FALSE(ramp_.in_canaries());
}

TEST_F(RampTest, WithoutCanariesOfItsOwnItWaitsForTheOthers) {
  ramp_.Restart(0);
  EXPECT_EQ(StartAll(), 0u);
  ramp_.Pass();
  EXPECT_EQ(StartAll(), 2u);
}

TEST_F(RampTest, ItMayBeToldToSendSomeAfterAll) {
  ramp_.Restart(0);
  ramp_.Send(2);
  EXPECT_EQ(StartAll(), 2u);
  End(1, MessageFate::kTaken);
  EXPECT_FALSE(ramp_.in_canaries());
}

TEST_F(RampTest, GrowsByOneForEachWindowsWorth) {
  ramp_.Restart(Ramp::kCanaries);
  Take(5);
  size_t taken = 0;
  size_t window = ramp_.window();
  while (!ramp_.over()) {
    StartAll();
    End(1, MessageFate::kTaken);
    ++taken;
    ASSERT_LE(ramp_.window(), window + 1);
    window = ramp_.window();
    ASSERT_LT(taken, 1000u);
  }
  EXPECT_EQ(ramp_.window(), 20u);
  EXPECT_GT(taken, 150u);  // 3 + 4 + ... + 19
  EXPECT_EQ(StartAll(), 20u - ramp_.under_way());
}

TEST_F(RampTest, HalvesAndNeverBelowOne) {
  Take(1000);
  EXPECT_EQ(ramp_.window(), 20u);
  for (const size_t left : {10u, 5u, 2u, 1u, 1u}) {
    ramp_.Halve();
    EXPECT_EQ(ramp_.window(), left);
  }
}

TEST_F(RampTest, APrimaryThatBecomesSlowGetsLess) {
  const uint64_t before = MarkCount("primary_became_slow");
  ramp_.Restart(Ramp::kCanaries);
  Take(1000, absl::Milliseconds(5));
  EXPECT_EQ(MarkCount("primary_became_slow") - before, 0u);
  Take(40, absl::Milliseconds(500));
  EXPECT_GE(MarkCount("primary_became_slow") - before, 1u);
  EXPECT_LE(ramp_.window(), 11u);
}

TEST_F(RampTest, OneThatWasAlwaysSlowIsNotPunished) {
  const uint64_t before = MarkCount("primary_became_slow");
  ramp_.Restart(Ramp::kCanaries);
  Take(1000, absl::Seconds(2));
  EXPECT_EQ(MarkCount("primary_became_slow") - before, 0u);
  EXPECT_EQ(ramp_.window(), 20u);
}

TEST_F(RampTest, ASmallShareIsItsOwnLimit) {
  ramp_.SetMax(1);
  ramp_.Restart(Ramp::kCanaries);
  EXPECT_EQ(StartAll(), 1u);
  End(1, MessageFate::kTaken);
  EXPECT_TRUE(ramp_.over());
  EXPECT_EQ(StartAll(), 1u);
}

}  // namespace
}  // namespace backstay
