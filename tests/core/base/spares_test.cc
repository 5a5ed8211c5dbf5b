// tests/core/base/spares_test.cc -- what comes back is given out again, and only so many are kept.
#include "core/base/spares.h"

#include <gtest/gtest.h>

namespace backstay {
namespace {

TEST(Spares, GivesOutTheLastThatCameBack) {
  Spares<int, 2> spares;
  EXPECT_EQ(spares.Take(), nullptr);
  spares.GiveBack(std::make_unique<int>(1));
  spares.GiveBack(std::make_unique<int>(2));
  spares.GiveBack(std::make_unique<int>(3));
  EXPECT_EQ(spares.size(), 2u) << "what is too much is destroyed";
  EXPECT_EQ(*spares.Take(), 2);
  EXPECT_EQ(*spares.Take(), 1);
  EXPECT_EQ(spares.Take(), nullptr);
}

}  // namespace
}  // namespace backstay
