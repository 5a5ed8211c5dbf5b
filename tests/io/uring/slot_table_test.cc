// tests/io/uring/slot_table_test.cc -- a completion finds its own op or none.
#include "io/uring/slot_table.h"

#include <gtest/gtest.h>

#include <set>
#include <vector>

namespace backstay {
namespace {

uint32_t TakeAs(SlotTable& table, OpKind kind) {
  const uint32_t index = table.Take();
  table.At(index).kind = kind;
  return index;
}

TEST(SlotTable, ATakenSlotIsFoundByItsUserData) {
  SlotTable table;
  const uint32_t index = TakeAs(table, OpKind::kSend);
  const uint64_t user_data = table.UserData(index);
  EXPECT_EQ(table.Find(user_data), &table.At(index));
  EXPECT_EQ(SlotTable::KindOf(user_data), OpKind::kSend);
  EXPECT_EQ(SlotTable::IndexOf(user_data), index);
}

TEST(SlotTable, ACompletionOfAFreedSlotFindsNothing) {
  SlotTable table;
  const uint32_t index = TakeAs(table, OpKind::kSend);
  const uint64_t user_data = table.UserData(index);
  table.Free(index);
  EXPECT_EQ(table.Find(user_data), nullptr);
}

TEST(SlotTable, ACompletionOfTheFormerOpDoesNotReachTheNextOne) {
  SlotTable table;
  const uint32_t first = TakeAs(table, OpKind::kSend);
  const uint64_t stale = table.UserData(first);
  table.Free(first);
  const uint32_t second = TakeAs(table, OpKind::kSend);
  ASSERT_EQ(first, second) << "a freed slot is the next one taken";
  EXPECT_EQ(table.Find(stale), nullptr);
  EXPECT_NE(table.Find(table.UserData(second)), nullptr);
}

TEST(SlotTable, InternalAndForeignUserDataFindNothing) {
  SlotTable table;
  TakeAs(table, OpKind::kSend);
  EXPECT_EQ(table.Find(SlotTable::WithoutSlot(OpKind::kWake)), nullptr);
  EXPECT_EQ(table.Find(0), nullptr);
  EXPECT_EQ(table.Find(~uint64_t{0}), nullptr);
  EXPECT_EQ(table.Find(123'456), nullptr);
}

TEST(SlotTable, SlotsAreDistinctAndDoNotMoveWhenTheTableGrows) {
  SlotTable table;
  const uint32_t first = TakeAs(table, OpKind::kRead);
  Slot* const place = &table.At(first);
  std::set<uint32_t> taken = {first};
  for (int count = 0; count < 5000; ++count) {
    EXPECT_TRUE(taken.insert(TakeAs(table, OpKind::kWrite)).second);
  }
  EXPECT_FALSE(taken.contains(SlotTable::kNoSlot));
  EXPECT_EQ(&table.At(first), place);
  EXPECT_EQ(place->kind, OpKind::kRead);
  EXPECT_EQ(table.in_use(), 5001u);
  for (const uint32_t index : taken) {
    table.Free(index);
  }
  EXPECT_EQ(table.in_use(), 0u);
}

TEST(SlotTable, TheGenerationWrapsWithoutTouchingTheKind) {
  SlotTable table;
  const uint32_t index = TakeAs(table, OpKind::kUnlink);
  table.At(index).generation = (1u << 24) - 1;
  const uint64_t before = table.UserData(index);
  EXPECT_EQ(SlotTable::KindOf(before), OpKind::kUnlink);
  EXPECT_NE(table.Find(before), nullptr);
  table.Free(index);
  TakeAs(table, OpKind::kUnlink);
  EXPECT_EQ(table.At(index).generation, 0u);
  EXPECT_EQ(table.Find(before), nullptr);
}

}  // namespace
}  // namespace backstay
