// tests/spool/bits_test.cc -- finding the next bit, against a row that is obviously right.
#include "spool/bits.h"

#include <gtest/gtest.h>

#include "core/base/random.h"

namespace backstay {
namespace {

TEST(Bits, FirstInAgreesWithAWalk) {
  Random random(5);
  for (const uint32_t size : {1, 63, 64, 65, 200, 1000}) {
    Bits bits;
    bits.Grow(size);
    std::vector<bool> model(size);
    for (uint32_t bit = 0; bit < size; ++bit) {
      if (random.Chance(1, 40)) {
        bits.Set(bit);
        model[bit] = true;
      }
      if (random.Chance(1, 80)) {
        bits.Clear(bit);
        model[bit] = false;
      }
    }
    bits.ShrinkToFit();
    for (int round = 0; round < 300; ++round) {
      const auto from = static_cast<uint32_t>(random.Below(size + 1));
      const auto end = static_cast<uint32_t>(random.Between(from, size));
      uint32_t expected = from;
      while (expected < end && !model[expected]) {
        ++expected;
      }
      EXPECT_EQ(bits.FirstIn(from, end), expected);
    }
  }
}

TEST(Bits, BeyondTheEndAllIsZero) {
  Bits bits;
  EXPECT_FALSE(bits.Get(0));
  EXPECT_EQ(bits.FirstIn(0, 100), 100U);
  bits.Grow(10);
  EXPECT_FALSE(bits.Get(1000));
  EXPECT_EQ(bits.FirstIn(0, 1000), 1000U);
}

}  // namespace
}  // namespace backstay
