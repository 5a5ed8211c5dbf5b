// tests/core/shard/debt_list_test.cc -- what is due when, and what is gathered until then.
#include "core/shard/debt_list.h"

#include <gtest/gtest.h>

namespace backstay {
namespace {

class DebtListTest : public ::testing::Test {
 protected:
  static constexpr MessageRef kOne{1, 7};
  static constexpr MessageRef kOther{1, 3};

  Instant At(int milliseconds) const { return Instant() + absl::Milliseconds(milliseconds); }

  DebtList list_;
};

TEST_F(DebtListTest, OneIsDueWhenNoMoreHasComeForAMoment) {
  EXPECT_EQ(list_.NextDue(), Instant::Max());
  list_.Add(kOne, At(0));
  EXPECT_EQ(list_.NextDue(), At(2000));
  list_.Add(kOne, At(1500));
  list_.Add(kOne, At(1500));
  EXPECT_EQ(list_.size(), 1u);
  EXPECT_EQ(list_.Take(At(3499)), std::nullopt);
  EXPECT_EQ(list_.NextDue(), At(3500));
  EXPECT_EQ(list_.Take(At(3500)), kOne);
  EXPECT_EQ(list_.Take(At(9000)), std::nullopt);
  EXPECT_EQ(list_.size(), 0u);
  EXPECT_EQ(list_.NextDue(), Instant::Max());
}

TEST_F(DebtListTest, NobodyWaitsForEver) {
  for (int i = 0; i <= 60; ++i) {
    list_.Add(kOne, At(1000 * i));
    const bool is_due = list_.Take(At(1000 * i)).has_value();
    EXPECT_EQ(is_due, i == 31) << i;  // 2 s behind the last that moved it, at 29 s
    if (is_due) {
      return;
    }
  }
  FAIL();
}

TEST_F(DebtListTest, TheFirstThatIsDueComesFirst) {
  list_.Add(kOne, At(0));
  list_.Add(kOther, At(100));
  list_.Add(kOne, At(200));
  EXPECT_EQ(list_.Take(At(5000)), kOther);
  EXPECT_EQ(list_.Take(At(5000)), kOne);
}

TEST_F(DebtListTest, WhatIsRemovedIsNotDue) {
  list_.Add(kOne, At(0));
  list_.Add(kOther, At(0));
  list_.Remove(kOne);
  list_.Add(kOne, At(1000));  // again
  EXPECT_EQ(list_.Take(At(2000)), kOther);
  EXPECT_EQ(list_.Take(At(2000)), std::nullopt);
  EXPECT_EQ(list_.Take(At(3000)), kOne);
}

TEST_F(DebtListTest, AllOfThemComeInTheOrderOfTheirPlaces) {
  list_.Add(kOne, At(0));
  list_.Add(kOther, At(1));
  EXPECT_EQ(list_.TakeAll(), (std::vector<MessageRef>{kOther, kOne}));
  EXPECT_EQ(list_.size(), 0u);
  EXPECT_EQ(list_.NextDue(), Instant::Max());
}

}  // namespace
}  // namespace backstay
