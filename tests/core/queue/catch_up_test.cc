// tests/core/queue/catch_up_test.cc -- late by a little, by much, and not at all.
#include "core/queue/catch_up.h"

#include <gtest/gtest.h>

namespace backstay {
namespace {

Instant At(int milliseconds) {
  return Instant() + absl::Milliseconds(milliseconds);
}

TEST(CatchUp, WhoWakesInTimeDoesNotWait) {
  CatchUp catch_up;
  catch_up.OnWoken(At(1000), At(400));   // by an event
  catch_up.OnWoken(At(1000), At(2000));  // a slow turn
  catch_up.OnWoken(Instant::Max(), At(9'000'000));
  EXPECT_FALSE(catch_up.going_on());
  EXPECT_FALSE(catch_up.Waits());
}

TEST(CatchUp, WhoHasOversleptWaitsForSomeTurns) {
  CatchUp catch_up;
  catch_up.OnWoken(At(1000), At(2001));
  for (int turn = 0; turn < CatchUp::kTurns; ++turn) {
    EXPECT_TRUE(catch_up.going_on());
    EXPECT_TRUE(catch_up.Waits());
  }
  EXPECT_FALSE(catch_up.going_on());
  EXPECT_FALSE(catch_up.Waits());
}

TEST(CatchUp, EachStopCountsForItself) {
  CatchUp catch_up;
  catch_up.OnWoken(At(0), At(5000));
  for (int turn = 0; turn < 10; ++turn) {
    EXPECT_TRUE(catch_up.Waits());
  }
  catch_up.OnWoken(At(5001), At(9000));
  for (int turn = 0; turn < CatchUp::kTurns; ++turn) {
    EXPECT_TRUE(catch_up.Waits());
  }
  EXPECT_FALSE(catch_up.Waits());
}

}  // namespace
}  // namespace backstay
