// tests/core/queue/ramp_test.cc -- canaries, rounds and pauses, growth and halving; for all shards.
#include "core/queue/ramp.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

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
    while (const std::optional<uint32_t> era = ramp_.TryStart(now_)) {
      era_ = *era;
      ++started;
    }
    EXPECT_FALSE(ramp_.MayStart(now_));
    return started;
  }
  void End(size_t messages, MessageFate fate) {
    for (size_t i = 0; i < messages; ++i) {
      ramp_.OnEnd(era_, fate, now_);
    }
  }
  // Until so many were taken, as fast as it lets them.
  void Take(size_t messages) {
    for (size_t taken = 0; taken < messages;) {
      const size_t started = StartAll();
      ASSERT_GT(started, 0u);
      End(started, MessageFate::kTaken);
      taken += started;
    }
  }

  static constexpr size_t kShards = 4;
  Ramp ramp_{kShards};
  uint32_t era_ = 0;
  Instant now_ = Second(1000);
};

TEST_F(RampTest, FiveCanariesThenOneTakenOpensTheWindow) {
  ramp_.Restart();
  EXPECT_EQ(StartAll(), 5u);
  End(1, MessageFate::kTaken);
  EXPECT_FALSE(ramp_.in_canaries());
  EXPECT_FALSE(ramp_.over());
  EXPECT_EQ(ramp_.window(), 2u);
  EXPECT_EQ(StartAll(), 0u);  // four are under way
}

TEST_F(RampTest, RefusedCanariesAreReplacedAtOnce) {
  ramp_.Restart();
  for (int refused = 0; refused < 100; ++refused) {
    StartAll();
    EXPECT_EQ(ramp_.under_way(), 5u);
    End(1, MessageFate::kRefused);
  }
  EXPECT_TRUE(ramp_.in_canaries());
}

TEST_F(RampTest, UntriedOnesAreReplacedToo) {
  ramp_.Restart();
  StartAll();
  End(3, MessageFate::kUntried);
  EXPECT_EQ(StartAll(), 3u);
}

TEST_F(RampTest, ARoundOfDeferralsWaitsLongerEachTime) {
  const uint64_t before = MarkCount("canaries_all_deferred");
  ramp_.Restart();
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
  ramp_.Restart();
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
  ramp_.Restart();
  EXPECT_EQ(StartAll(), 5u);
  for (int old = 0; old < 20; ++old) {
    const MessageFate fate = old < 10 ? MessageFate::kDeferred : MessageFate::kUntried;
    EXPECT_FALSE(ramp_.OnEnd(before, fate, now_));
  }
  EXPECT_EQ(StartAll(), 0u);
  EXPECT_EQ(ramp_.under_way(), 5u);
  End(4, MessageFate::kDeferred);
  End(1, MessageFate::kUntried);
  EXPECT_EQ(StartAll(), 1u);
  End(1, MessageFate::kTaken);
  EXPECT_FALSE(ramp_.in_canaries());
}

TEST_F(RampTest, NothingIsBegunWhileItIsDown) {
  ramp_.Shut();
  EXPECT_EQ(StartAll(), 0u);
  EXPECT_EQ(ramp_.window(), 0u);
  ramp_.Restart();
  EXPECT_EQ(StartAll(), 5u);
}

TEST_F(RampTest, WithNothingToTryOnAnyShardThereAreNoCanaries) {
  ramp_.Restart();
  for (size_t shard = 1; shard < kShards; ++shard) {
    ramp_.OnShardEmpty();
    EXPECT_TRUE(ramp_.in_canaries());
  }
  ramp_.Restart();  // once more: all are asked anew
  for (size_t shard = 1; shard < kShards; ++shard) {
    ramp_.OnShardEmpty();
    EXPECT_TRUE(ramp_.in_canaries());
  }
  ramp_.OnShardEmpty();
  EXPECT_FALSE(ramp_.in_canaries());
  EXPECT_EQ(StartAll(), 2u);
}

TEST_F(RampTest, WhereNothingWasTriedNobodyKnowsWhetherMailIsTaken) {
  ramp_.Restart();
  for (size_t shard = 0; shard < kShards; ++shard) {
    ramp_.OnShardEmpty();
  }
  ASSERT_FALSE(ramp_.in_canaries());
  EXPECT_TRUE(ramp_.Doubt());
  EXPECT_TRUE(ramp_.in_canaries());
}

TEST_F(RampTest, FiveCanariesFromHoweverManyShards) {
  for (int round = 0; round < 20; ++round) {
    ramp_.Restart();
    std::atomic<size_t> most{0};
    std::atomic<size_t> under_way{0};
    std::vector<std::thread> threads;
    for (size_t shard = 0; shard < kShards; ++shard) {
      threads.emplace_back([&] {
        for (int message = 0; message < 2000; ++message) {
          if (const std::optional<uint32_t> era = ramp_.TryStart(now_)) {
            const size_t now_under_way = ++under_way;
            size_t seen = most;
            while (seen < now_under_way && !most.compare_exchange_weak(seen, now_under_way)) {
            }
            --under_way;
            ramp_.OnEnd(*era, MessageFate::kRefused, now_);
          }
        }
      });
    }
    for (std::thread& thread : threads) {
      thread.join();
    }
    EXPECT_LE(most, 5u);
    EXPECT_TRUE(ramp_.in_canaries());
    EXPECT_EQ(ramp_.under_way(), 0u);
  }
}

TEST_F(RampTest, WhatFollowsOnAConnectionIsUnderWay) {
  EXPECT_EQ(StartAll(), 2u);
  EXPECT_TRUE(ramp_.MayFollow());
  ramp_.OnEnd(era_, MessageFate::kTaken, now_);
  era_ = ramp_.OnFollow();
  EXPECT_EQ(ramp_.under_way(), 2u);
  ramp_.Restart();
  EXPECT_FALSE(ramp_.MayFollow());
}

TEST_F(RampTest, WhoHasTakenNothingYetIsDoubtedOnceByAllShards) {
  EXPECT_TRUE(ramp_.over());
  EXPECT_TRUE(ramp_.Doubt());
  EXPECT_TRUE(ramp_.in_canaries());
  EXPECT_FALSE(ramp_.over());
  const uint32_t era = ramp_.era();
  ASSERT_EQ(StartAll(), 5u);
  EXPECT_TRUE(ramp_.Doubt());  // another shard's mail
  EXPECT_EQ(ramp_.era(), era);
  End(1, MessageFate::kTaken);
  EXPECT_FALSE(ramp_.Doubt());
  EXPECT_FALSE(ramp_.in_canaries());
}

TEST_F(RampTest, WhatWasUnderWayIsNoCanary) {
  ASSERT_EQ(StartAll(), 2u);
  const uint32_t before = era_;
  EXPECT_TRUE(ramp_.Doubt());
  EXPECT_EQ(StartAll(), 5u);
  EXPECT_FALSE(ramp_.OnEnd(before, MessageFate::kTaken, now_));
  EXPECT_TRUE(ramp_.in_canaries());
}

TEST_F(RampTest, OneTakenIsEnoughNotToBeDoubtedUntilItIsForgotten) {
  Take(1);
  EXPECT_FALSE(ramp_.Doubt());
  const size_t window = ramp_.window();
  ramp_.Forget();
  EXPECT_EQ(ramp_.window(), window);  // fresh mail goes on
  EXPECT_TRUE(ramp_.MayFollow());
  EXPECT_TRUE(ramp_.Doubt());
  EXPECT_TRUE(ramp_.in_canaries());
}

TEST_F(RampTest, AnOutageIsNotEndedByADoubt) {
  ramp_.Shut();
  ramp_.Forget();
  EXPECT_FALSE(ramp_.Doubt());
  EXPECT_EQ(ramp_.window(), 0u);
}

TEST_F(RampTest, GrowsByOneForEachWindowsWorth) {
  ramp_.Restart();
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

TEST_F(RampTest, WhatIsPutOffHalvesItOnceForWhatIsUnderWay) {
  Take(400);
  ASSERT_EQ(ramp_.window(), 20u);
  ASSERT_EQ(StartAll(), 20u);
  End(1, MessageFate::kPutOff);
  EXPECT_EQ(ramp_.window(), 10u);
  End(9, MessageFate::kPutOff);  // begun when it was wider
  EXPECT_EQ(ramp_.window(), 10u);
  End(1, MessageFate::kPutOff);
  EXPECT_EQ(ramp_.window(), 5u);
  End(9, MessageFate::kPutOff);
  EXPECT_EQ(ramp_.window(), 1u);
  ASSERT_EQ(StartAll(), 1u);
  End(1, MessageFate::kPutOff);
  EXPECT_EQ(ramp_.window(), 1u);
  Take(10);
  EXPECT_GT(ramp_.window(), 1u);
}

TEST_F(RampTest, OfRecipientsADeferralSaysNothingOfThePrimary) {
  Take(400);
  ASSERT_EQ(StartAll(), 20u);
  End(20, MessageFate::kDeferred);
  EXPECT_EQ(ramp_.window(), 20u);
}

TEST_F(RampTest, CanariesThatArePutOffAreARound) {
  ramp_.Restart();
  ASSERT_EQ(StartAll(), 5u);
  End(5, MessageFate::kPutOff);
  EXPECT_FALSE(ramp_.MayStart(now_));
  EXPECT_TRUE(ramp_.MayStart(now_ + absl::Seconds(15)));
}

// A reload in the middle of a round: nobody is under way, and nobody could begin any more.
TEST_F(RampTest, ASmallerLimitEndsARoundThatHasHadItsShare) {
  ramp_.Restart();
  for (int i = 0; i < 3; ++i) {
    const std::optional<uint32_t> era = ramp_.TryStart(now_);
    ASSERT_TRUE(era.has_value());
    ramp_.OnEnd(*era, MessageFate::kDeferred, now_);
  }
  ramp_.SetMax(2);
  EXPECT_TRUE(ramp_.MayStart(now_));
  EXPECT_EQ(StartAll(), 2u);
}

TEST_F(RampTest, ASmallLimitIsKept) {
  ramp_.SetMax(1);
  ramp_.Restart();
  EXPECT_EQ(StartAll(), 1u);
  End(1, MessageFate::kTaken);
  EXPECT_TRUE(ramp_.over());
  EXPECT_EQ(StartAll(), 1u);
}

}  // namespace
}  // namespace backstay
