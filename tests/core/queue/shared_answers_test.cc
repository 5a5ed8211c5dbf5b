// tests/core/queue/shared_answers_test.cc -- the last thousand answers, and one run of refusals.
#include "core/queue/shared_answers.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace backstay {
namespace {

TEST(SharedAnswers, RemembersTheLastThousand) {
  SharedAnswers answers(1);
  for (int i = 0; i < 700; ++i) {
    answers.Remember(true);
  }
  EXPECT_EQ(answers.answers(), 700u);
  EXPECT_EQ(answers.taken(), 700u);
  for (int i = 0; i < 600; ++i) {
    answers.Remember(false);
  }
  EXPECT_EQ(answers.answers(), 1000u);
  EXPECT_EQ(answers.taken(), 400u);
  for (int i = 0; i < 1000; ++i) {
    answers.Remember(i % 2 == 0);
  }
  EXPECT_EQ(answers.taken(), 500u);
}

TEST(SharedAnswers, GoesOnFromAnEarlierRun) {
  SharedAnswers answers(1);
  answers.Resume(600, 900);
  EXPECT_EQ(answers.answers(), 900u);
  EXPECT_EQ(answers.taken(), 600u);
  for (int i = 0; i < 400; ++i) {  // 300 of the old ones go
    answers.Remember(false);
  }
  EXPECT_EQ(answers.answers(), 1000u);
  EXPECT_EQ(answers.taken(), 400u);
  SharedAnswers none(1);
  none.Resume(0, 0);
  EXPECT_EQ(none.answers(), 0u);
  none.Resume(5000, 5000);
  EXPECT_EQ(none.taken(), 1000u);
}

TEST(SharedAnswers, OnlyTheFirstTrips) {
  SharedAnswers answers(2);
  EXPECT_FALSE(answers.tripped());
  EXPECT_TRUE(answers.Trip());
  EXPECT_FALSE(answers.Trip());
  EXPECT_TRUE(answers.tripped());
  answers.Untrip();
  EXPECT_FALSE(answers.tripped());
  EXPECT_TRUE(answers.Trip());
}

TEST(SharedAnswers, ARunCountsRefusalsAndThoseWhoAreDifferent) {
  SharedAnswers answers(1);
  SharedAnswers::Run run;
  for (uint64_t i = 0; i < 30; ++i) {
    run = answers.OnRefused(7, i / 2);
  }
  EXPECT_EQ(run.refusals, 30u);
  EXPECT_EQ(run.different, 15u);
  for (uint64_t i = 0; i < 100; ++i) {
    run = answers.OnRefused(7, 100 + i);
  }
  EXPECT_EQ(run.different, SharedAnswers::kDifferentMax);
  run = answers.OnRefused(8, 1);
  EXPECT_EQ(run.refusals, 1u);
  EXPECT_EQ(run.different, 1u);
  answers.EndRun();
  run = answers.OnRefused(8, 2);
  EXPECT_EQ(run.refusals, 1u);
  EXPECT_EQ(run.different, 1u);
}

TEST(SharedAnswers, ManyThreadsLoseNothing) {
  SharedAnswers answers(4);
  std::vector<std::thread> threads;
  for (uint64_t thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&, thread] {
      for (uint64_t i = 0; i < 10'000; ++i) {
        answers.Remember(true);
        answers.OnRefused(7, 1 + thread);
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(answers.answers(), 1000u);
  EXPECT_EQ(answers.taken(), 1000u);
  const SharedAnswers::Run run = answers.OnRefused(7, 9);
  EXPECT_EQ(run.refusals, 40'001u);
  EXPECT_GE(run.different, 2u);
  EXPECT_LE(run.different, 5u);
}

}  // namespace
}  // namespace backstay
