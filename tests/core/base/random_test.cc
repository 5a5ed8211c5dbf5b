// tests/core/base/random_test.cc -- the same seed gives the same numbers everywhere, within bounds.
#include "core/base/random.h"

#include <gtest/gtest.h>

#include <array>

namespace backstay {
namespace {

TEST(Random, TheSeedDecides) {
  Random one(1);
  Random same(1);
  Random other(2);
  int different = 0;
  for (int draw = 0; draw < 100; ++draw) {
    const uint64_t number = one.Next();
    ASSERT_EQ(number, same.Next());
    different += number != other.Next() ? 1 : 0;
  }
  EXPECT_EQ(different, 100);
}

TEST(Random, BelowReachesEveryValueAndNoOther) {
  Random random(3);
  std::array<int, 5> counts{};
  for (int draw = 0; draw < 5000; ++draw) {
    ++counts.at(random.Below(5));
  }
  for (const int count : counts) {
    EXPECT_GT(count, 800);
    EXPECT_LT(count, 1200);
  }
  EXPECT_EQ(random.Below(1), 0u);
}

TEST(Random, BetweenIncludesBothEnds) {
  Random random(4);
  bool low = false;
  bool high = false;
  for (int draw = 0; draw < 200; ++draw) {
    const uint64_t number = random.Between(10, 13);
    ASSERT_GE(number, 10u);
    ASSERT_LE(number, 13u);
    low |= number == 10;
    high |= number == 13;
  }
  EXPECT_TRUE(low);
  EXPECT_TRUE(high);
}

TEST(Random, ChanceKeepsItsRate) {
  Random random(5);
  int hits = 0;
  for (int draw = 0; draw < 10000; ++draw) {
    hits += random.Chance(1, 20) ? 1 : 0;
  }
  EXPECT_GT(hits, 400);
  EXPECT_LT(hits, 600);
  EXPECT_FALSE(random.Chance(0, 20));
  EXPECT_TRUE(random.Chance(20, 20));
}

TEST(Random, ASplitGoesItsOwnWay) {
  Random parent(6);
  Random child = parent.Split();
  Random again(6);
  Random same_child = again.Split();
  EXPECT_EQ(child.Next(), same_child.Next());
  EXPECT_NE(child.Next(), parent.Next());
}

TEST(RandomDeathTest, NothingIsBelowZero) {
  Random random(7);
  EXPECT_DEATH(random.Below(0), "assertion failed");
}

}  // namespace
}  // namespace backstay
