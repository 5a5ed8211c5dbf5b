// tests/core/policy/recipient_table_test.cc -- against a std::map, full, empty, and its size.
#include "core/policy/recipient_table.h"

#include <gtest/gtest.h>

#include <map>
#include <vector>

#include "core/base/random.h"

namespace backstay {
namespace {

uint64_t RandomKey(Random& random) {
  return random.Next() >> RecipientTable::kSkippedBits | 1;
}

TEST(RecipientTable, IsEmptyAtFirst) {
  RecipientTable table(10);
  EXPECT_FALSE(table.Find(5).has_value());
  table.Erase(5);
  EXPECT_EQ(table.EraseIf([](uint64_t, uint32_t) { return true; }), 0u);
  EXPECT_EQ(table.size(), 0u);
}

TEST(RecipientTable, DoesWhatAMapDoes) {
  Random random(1);
  RecipientTable table(100'000);
  std::map<uint64_t, uint32_t> map;
  std::vector<uint64_t> keys;
  for (int step = 0; step < 200'000; ++step) {
    const bool known = !keys.empty() && random.Chance(1, 2);
    const uint64_t key = known ? keys[random.Below(keys.size())] : RandomKey(random);
    const auto value = static_cast<uint32_t>(random.Next());
    if (random.Chance(2, 3)) {
      ASSERT_TRUE(table.Set(key, value));
      map[key] = value;
      keys.push_back(key);
    } else {
      table.Erase(key);
      map.erase(key);
    }
    const uint64_t asked = keys[random.Below(keys.size())];
    const auto found = map.find(asked);
    ASSERT_EQ(table.Find(asked), found == map.end() ? std::nullopt : std::optional(found->second));
  }
  std::map<uint64_t, uint32_t> walked;
  uint64_t last = 0;
  table.ForEach([&](uint64_t key, uint32_t value) {
    EXPECT_GT(key, last);
    last = key;
    walked[key] = value;
  });
  EXPECT_EQ(walked, map);
  EXPECT_EQ(table.size(), map.size());
}

TEST(RecipientTable, KeysThatCrowdOnePlaceAreFound) {
  RecipientTable table(1000);
  const uint64_t top = UINT64_MAX >> RecipientTable::kSkippedBits;
  for (uint64_t key = top; key > top - 500; --key) {
    ASSERT_TRUE(table.Set(key, static_cast<uint32_t>(key)));
  }
  for (uint64_t key = top; key > top - 500; --key) {
    ASSERT_EQ(table.Find(key), static_cast<uint32_t>(key));
  }
  EXPECT_FALSE(table.Find(top - 500).has_value());
}

TEST(RecipientTable, AFullOneTakesNoMoreAndReplacesStill) {
  RecipientTable table(3);
  EXPECT_TRUE(table.Set(1, 1) && table.Set(2, 2) && table.Set(3, 3));
  EXPECT_FALSE(table.Set(4, 4));
  EXPECT_TRUE(table.Set(3, 33));
  EXPECT_EQ(table.Find(3), 33u);
  table.Erase(1);
  EXPECT_TRUE(table.Set(4, 4));
}

TEST(RecipientTable, EraseIfForgetsAndGivesMemoryBack) {
  Random random(2);
  RecipientTable table(100'000);
  for (uint32_t number = 0; number < 50'000; ++number) {
    ASSERT_TRUE(table.Set(RandomKey(random), number));
  }
  const size_t before = table.bytes();
  EXPECT_EQ(table.EraseIf([](uint64_t, uint32_t value) { return value % 10 != 0; }), 45'000u);
  EXPECT_EQ(table.size(), 5'000u);
  EXPECT_LT(table.bytes(), before / 5);
}

// Wherever between two growths it is.
TEST(RecipientTable, AnEntryTakesAtMostSixteenBytes) {
  Random random(3);
  RecipientTable table(1'000'000);
  for (uint32_t number = 1; number <= 200'000; ++number) {
    ASSERT_TRUE(table.Set(RandomKey(random), number));
    if (number > 10'000) {
      ASSERT_LE(table.bytes(), number * 16) << number;
    }
  }
}

}  // namespace
}  // namespace backstay
