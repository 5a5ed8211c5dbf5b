// tests/core/shard/stranger_table_test.cc -- who is remembered, who goes, and what is bounded.
#include "core/shard/stranger_table.h"

#include <gtest/gtest.h>

#include <string>

namespace backstay {
namespace {

using State = Stranger::State;
const Instant kNow = Instant() + absl::Hours(1);

std::string Name(size_t number) {
  return "d" + std::to_string(number) + ".example";
}

MessageRef Place(size_t number) {
  return {1, static_cast<uint32_t>(number)};
}

TEST(StrangerTable, ADomainIsEnteredOnceAndFoundByItsNumber) {
  StrangerTable table;
  Stranger& first = table.Enter("a.example", kNow);
  EXPECT_EQ(first.state, State::kUnknown);
  EXPECT_EQ(&table.Enter("a.example", kNow), &first);
  Stranger& second = table.Enter("b.example", kNow);
  EXPECT_NE(second.number, first.number);
  EXPECT_EQ(table.Find(first.number), &first);
  EXPECT_EQ(table.Find(second.number + 1), nullptr);
  EXPECT_EQ(table.size(), 2U);
}

TEST(StrangerTable, WhatIsKnownOfAnIdleOneIsGoodForItsTime) {
  StrangerTable table;
  Stranger& stranger = table.Enter("a.example", kNow);
  stranger.state = State::kAway;
  stranger.until = kNow + absl::Minutes(5);
  EXPECT_EQ(table.Enter("a.example", kNow + absl::Minutes(4)).state, State::kAway);
  EXPECT_EQ(table.Enter("a.example", kNow + absl::Minutes(5)).state, State::kUnknown);
}

TEST(StrangerTable, WhatWaitsIsTakenInOrderAndMayBeReturned) {
  StrangerTable table;
  Stranger& stranger = table.Enter("a.example", kNow);
  EXPECT_TRUE(table.Add(stranger, Place(1)));
  EXPECT_TRUE(table.Add(stranger, Place(2)));
  EXPECT_EQ(table.Take(stranger), Place(1));
  table.Return(stranger, Place(1));
  EXPECT_EQ(table.waiting(), 2U);
  EXPECT_EQ(table.Take(stranger), Place(1));
  EXPECT_EQ(table.Take(stranger), Place(2));
  EXPECT_EQ(table.Take(stranger), std::nullopt);
  EXPECT_EQ(table.waiting(), 0U);
}

TEST(StrangerTable, OneDomainDoesNotTakeTheRoomOfTheOthers) {
  StrangerTable table;
  Stranger& many = table.Enter("many.example", kNow);
  for (size_t number = 0; number < StrangerTable::kWaitingOfOneMax; ++number) {
    ASSERT_TRUE(table.Add(many, Place(number)));
  }
  EXPECT_FALSE(table.Add(many, Place(9999)));
  EXPECT_FALSE(table.full());
  EXPECT_TRUE(table.Add(table.Enter("few.example", kNow), Place(0)));
}

// A report is asked for while there is room, and read: meanwhile others may have come back.
TEST(StrangerTable, WhatWasTakenOnBeforeItWasFullHasItsPlace) {
  StrangerTable table;
  Stranger* stranger = nullptr;
  for (size_t number = 0; number < StrangerTable::kWaitingMax; ++number) {
    stranger = &table.Enter(Name(number / StrangerTable::kWaitingOfOneMax), kNow);
    ASSERT_TRUE(table.Add(*stranger, Place(number)));
  }
  EXPECT_TRUE(table.full());
  const MessageRef taken = *table.Take(*stranger);
  EXPECT_FALSE(table.full());
  table.Return(*stranger, taken);
  EXPECT_TRUE(table.full());
  EXPECT_TRUE(table.Add(table.Enter("new.example", kNow), Place(9999)));
}

TEST(StrangerTable, WhoHasBeenIdleLongestGoesFirst) {
  StrangerTable table;
  for (size_t number = 0; number < StrangerTable::kStrangersMax; ++number) {
    table.Enter(Name(number), kNow);
  }
  Stranger& kept = table.Enter(Name(0), kNow);
  ASSERT_TRUE(table.Add(kept, Place(0)));  // not idle
  const uint64_t second = table.Enter(Name(1), kNow).number;
  EXPECT_FALSE(table.full());
  table.Enter("new.example", kNow);
  EXPECT_EQ(table.size(), StrangerTable::kStrangersMax);
  EXPECT_EQ(table.Find(second), nullptr);
  EXPECT_EQ(table.Find(kept.number), &kept);
}

TEST(StrangerTable, ItIsFullWhenSomethingIsDoneForEveryOne) {
  StrangerTable table;
  for (size_t number = 0; number < StrangerTable::kStrangersMax; ++number) {
    EXPECT_FALSE(table.full());
    Stranger& stranger = table.Enter(Name(number), kNow);
    stranger.state = State::kSearching;
    table.Settle(stranger);
  }
  EXPECT_TRUE(table.full());
  Stranger& found = *table.Find(7);
  found.state = State::kNobody;
  table.Settle(found);
  EXPECT_FALSE(table.full());
  table.ForgetIdle();
  EXPECT_EQ(table.size(), StrangerTable::kStrangersMax - 1);
}

}  // namespace
}  // namespace backstay
