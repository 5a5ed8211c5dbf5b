// tests/core/queue/breaker_test.cc -- what trips it, and what does not.
#include "core/queue/breaker.h"

#include <gtest/gtest.h>

namespace backstay {
namespace {

using Verdict = Breaker::Verdict;
using Phase = Outcome::Phase;

Outcome Refusal(Phase phase, int code = 550, const std::string& enhanced = "5.1.1") {
  Outcome outcome;
  outcome.kind = Outcome::Kind::kFailed;
  outcome.phase = phase;
  outcome.code = code;
  outcome.enhanced = enhanced;
  return outcome;
}

class BreakerTest : public ::testing::Test {
 protected:
  // `count` refusals of different recipients, each from its own sender; the last verdict.
  Verdict Refuse(size_t count, const Outcome& outcome = Refusal(Phase::kRcpt)) {
    Verdict last = Verdict::kNone;
    for (size_t i = 0; i < count; ++i) {
      ++next_;
      last = breaker_.OnRefused(outcome, next_, next_, is_ramping_);
    }
    return last;
  }
  void Answer(size_t taken, size_t deferred) {
    for (size_t i = 0; i < taken; ++i) {
      breaker_.OnTaken();
    }
    for (size_t i = 0; i < deferred; ++i) {
      breaker_.OnDeferred();
    }
  }

  SharedAnswers answers_{2};
  Breaker breaker_{answers_};
  Breaker other_{answers_};  // of the same domain, on the other shard
  bool is_ramping_ = true;
  uint64_t next_ = 0;
};

TEST_F(BreakerTest, TheTwentiethOfARunTripsOnce) {
  EXPECT_EQ(Refuse(19), Verdict::kDoubted);
  EXPECT_FALSE(breaker_.tripped());
  EXPECT_EQ(Refuse(1), Verdict::kTripped);
  EXPECT_TRUE(breaker_.tripped());
  EXPECT_EQ(Refuse(30), Verdict::kDoubted);
}

TEST_F(BreakerTest, OneTakenBetweenBeginsARunAnew) {
  Refuse(19);
  breaker_.OnTaken();
  EXPECT_EQ(Refuse(19), Verdict::kDoubted);
  EXPECT_EQ(Refuse(1), Verdict::kTripped);
}

TEST_F(BreakerTest, DeferralsBetweenDoNot) {
  Refuse(10);
  breaker_.OnDeferred();
  EXPECT_EQ(Refuse(10), Verdict::kTripped);
}

// With many shards each has a part of the refusals.
TEST_F(BreakerTest, RefusalsOfAllShardsAreOneRun) {
  Refuse(10);
  for (uint64_t i = 0; i < 9; ++i) {
    EXPECT_EQ(other_.OnRefused(Refusal(Phase::kRcpt), 100 + i, 100 + i, true), Verdict::kDoubted);
  }
  EXPECT_EQ(Refuse(1), Verdict::kTripped);
  EXPECT_TRUE(other_.tripped());
  EXPECT_EQ(other_.OnRefused(Refusal(Phase::kRcpt), 200, 200, true), Verdict::kDoubted);
}

TEST_F(BreakerTest, WhatOneShardHandsOnEndsTheRunOfAll) {
  Refuse(19);
  other_.OnTaken();
  EXPECT_EQ(Refuse(19), Verdict::kDoubted);
}

TEST_F(BreakerTest, WhatIsUsualAllShardsKnow) {
  is_ramping_ = false;
  for (int i = 0; i < 150; ++i) {
    other_.OnTaken();
  }
  EXPECT_EQ(Refuse(19), Verdict::kDoubted);
  EXPECT_EQ(Refuse(1), Verdict::kTripped);
}

// One has tried all of its mail once more; the refusals of the other's are none of its run.
TEST_F(BreakerTest, ADisarmedOneCountsForNoOther) {
  Refuse(20);
  breaker_.Disarm(/*accepts=*/false);
  other_.Disarm(/*accepts=*/false);
  other_.OnNothingLeft();
  Refuse(100);
  EXPECT_EQ(other_.OnRefused(Refusal(Phase::kRcpt), 500, 500, true), Verdict::kDoubted);
}

TEST_F(BreakerTest, OtherWordsBeginARunAnew) {
  for (const Outcome& other :
       {Refusal(Phase::kRcpt, 554), Refusal(Phase::kRcpt, 550, "5.7.1"), Refusal(Phase::kMail)}) {
    Refuse(19);
    EXPECT_EQ(Refuse(1, other), Verdict::kDoubted);
    EXPECT_EQ(Refuse(1), Verdict::kDoubted);
    breaker_.OnTaken();
  }
}

TEST_F(BreakerTest, OneRecipientThatIsRefusedAgainAndAgainIsOne) {
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(breaker_.OnRefused(Refusal(Phase::kRcpt), 1, 1, true), Verdict::kDoubted);
  }
  Refuse(19);  // the first is the one above
  EXPECT_FALSE(breaker_.tripped());
  EXPECT_EQ(Refuse(1), Verdict::kTripped);
}

TEST_F(BreakerTest, AtMailTenSendersAreEnough) {
  for (uint64_t i = 0; i < 19; ++i) {
    breaker_.OnRefused(Refusal(Phase::kMail), i % 9, i, true);
  }
  EXPECT_EQ(breaker_.OnRefused(Refusal(Phase::kMail), 8, 99, true), Verdict::kDoubted);
  EXPECT_EQ(breaker_.OnRefused(Refusal(Phase::kMail), 9, 99, true), Verdict::kTripped);
}

TEST_F(BreakerTest, RefusedContentIsTheMessagesOwn) {
  EXPECT_EQ(Refuse(100, Refusal(Phase::kEndOfData)), Verdict::kNone);
  EXPECT_FALSE(breaker_.tripped());
}

TEST_F(BreakerTest, OutsideARampOnlyWhereMostIsTaken) {
  is_ramping_ = false;
  EXPECT_EQ(Refuse(100), Verdict::kNone);
  Answer(/*taken=*/1000, /*deferred=*/0);
  EXPECT_EQ(Refuse(19), Verdict::kDoubted);
  EXPECT_EQ(Refuse(1), Verdict::kTripped);
}

TEST_F(BreakerTest, HalfTakenIsNotMost) {
  is_ramping_ = false;
  Answer(500, 500);
  EXPECT_EQ(Refuse(100), Verdict::kNone);
  Answer(600, 0);  // 600 of the last 1,000
  EXPECT_EQ(Refuse(1), Verdict::kDoubted);
}

TEST_F(BreakerTest, AFewAnswersSayNothing) {
  is_ramping_ = false;
  Answer(19, 0);
  EXPECT_EQ(Refuse(1), Verdict::kNone);  // it is itself the twentieth
  EXPECT_EQ(Refuse(1), Verdict::kDoubted);
}

// A small domain: of 31 taken the end of its primary's users is to be seen as well.
TEST_F(BreakerTest, TwentyTakenAreEnoughForARunToTripIt) {
  is_ramping_ = false;
  Answer(20, 0);
  EXPECT_EQ(Refuse(19), Verdict::kDoubted);
  EXPECT_EQ(Refuse(1), Verdict::kTripped);
}

// The run's own refusals are among the answers.
TEST_F(BreakerTest, WithFewerTakenARunIsAsUsual) {
  is_ramping_ = false;
  Answer(19, 0);
  EXPECT_EQ(Refuse(100), Verdict::kNone);
  EXPECT_FALSE(breaker_.tripped());
}

TEST_F(BreakerTest, DisarmedItLetsRefusalsBeUntilNothingIsLeft) {
  Refuse(20);
  breaker_.Disarm(/*accepts=*/false);
  EXPECT_FALSE(breaker_.tripped());
  EXPECT_EQ(Refuse(100), Verdict::kNone);
  breaker_.OnNothingLeft();
  EXPECT_EQ(Refuse(20), Verdict::kTripped);
}

TEST_F(BreakerTest, TheOperatorMayAcceptRefusals) {
  Refuse(20);
  breaker_.Disarm(/*accepts=*/true);
  EXPECT_EQ(Refuse(100), Verdict::kAccepted);
  breaker_.OnNothingLeft();
  EXPECT_EQ(Refuse(1), Verdict::kDoubted);
}

TEST_F(BreakerTest, DisarmedByOneShardNoneIsTripped) {
  Refuse(20);
  EXPECT_TRUE(other_.tripped());
  other_.Disarm(/*accepts=*/false);
  EXPECT_FALSE(breaker_.tripped());
}

TEST_F(BreakerTest, ATrippedOneStaysTrippedWhenNothingIsLeft) {
  Refuse(20);
  breaker_.OnNothingLeft();
  EXPECT_TRUE(breaker_.tripped());
}

}  // namespace
}  // namespace backstay
