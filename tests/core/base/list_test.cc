// tests/core/base/list_test.cc -- order, removal from anywhere, and elements that die in the list.
#include "core/base/list.h"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

namespace backstay {
namespace {

struct Item : ListNode {
  explicit Item(int value) : number(value) {}
  const int number;
};

std::vector<int> Numbers(List<Item>& list) {
  std::vector<int> numbers;
  for (Item* item = list.front(); item != nullptr; item = list.Next(item)) {
    numbers.push_back(item->number);
  }
  return numbers;
}

TEST(List, KeepsTheOrderOfArrival) {
  Item one(1);
  Item two(2);
  List<Item> list;
  EXPECT_TRUE(list.empty());
  EXPECT_EQ(list.front(), nullptr);
  EXPECT_EQ(list.PopFront(), nullptr);
  list.PushBack(&one);
  list.PushBack(&two);
  EXPECT_EQ(Numbers(list), (std::vector<int>{1, 2}));
  EXPECT_EQ(list.PopFront(), &one);
  EXPECT_FALSE(one.linked());
  EXPECT_TRUE(two.linked());
}

TEST(List, AnElementUnlinksItselfFromAnywhereAndTwice) {
  Item one(1);
  Item two(2);
  Item three(3);
  List<Item> list;
  for (Item* item : {&one, &two, &three}) {
    list.PushBack(item);
  }
  two.Unlink();
  two.Unlink();
  EXPECT_EQ(Numbers(list), (std::vector<int>{1, 3}));
  list.PushBack(&two);
  EXPECT_EQ(Numbers(list), (std::vector<int>{1, 3, 2}));
}

TEST(List, AnElementThatDiesLeaves) {
  List<Item> list;
  Item one(1);
  list.PushBack(&one);
  auto two = std::make_unique<Item>(2);
  list.PushBack(two.get());
  two.reset();
  EXPECT_EQ(Numbers(list), (std::vector<int>{1}));
}

TEST(List, AListThatDiesLetsGoOfItsElements) {
  Item one(1);
  {
    List<Item> list;
    list.PushBack(&one);
  }
  EXPECT_FALSE(one.linked());
}

TEST(List, TakeAllAppendsInOrder) {
  Item one(1);
  Item two(2);
  Item three(3);
  List<Item> list;
  List<Item> other;
  list.PushBack(&one);
  other.PushBack(&two);
  other.PushBack(&three);
  list.TakeAll(other);
  EXPECT_EQ(Numbers(list), (std::vector<int>{1, 2, 3}));
  EXPECT_TRUE(other.empty());
}

TEST(ListDeathTest, AnElementIsInOneListOnly) {
  Item one(1);
  List<Item> list;
  list.PushBack(&one);
  EXPECT_DEATH(list.PushBack(&one), "assertion failed: !node->linked");
}

}  // namespace
}  // namespace backstay
