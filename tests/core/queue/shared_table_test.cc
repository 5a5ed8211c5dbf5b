// tests/core/queue/shared_table_test.cc -- one thing for each key, whoever asks.
#include "core/queue/shared_table.h"

#include <gtest/gtest.h>

#include <set>
#include <thread>
#include <vector>

namespace backstay {
namespace {

struct Thing {
  explicit Thing(size_t shards) : made_for(shards) {}
  const size_t made_for;
};

TEST(SharedTable, AKeyHasItsThingForGood) {
  SharedTable<Thing> table(8);
  std::set<Thing*> things;
  std::vector<Thing*> in_order;
  EXPECT_EQ(table.Find(7), nullptr);
  for (uint64_t key = 0; key < 5000; ++key) {  // several in each place
    in_order.push_back(&table.At(key));
    things.insert(in_order.back());
    EXPECT_EQ(in_order.back()->made_for, 8u);
  }
  EXPECT_EQ(things.size(), 5000u);
  for (uint64_t key = 0; key < 5000; ++key) {
    ASSERT_EQ(&table.At(key), in_order[key]);
    ASSERT_EQ(table.Find(key), in_order[key]);
  }
  EXPECT_EQ(table.Find(5000), nullptr);
}

TEST(SharedTable, ThoseWhoComeTogetherFindTheSame) {
  constexpr size_t kThreads = 4;
  constexpr uint64_t kKeys = 4000;
  SharedTable<Thing> table(kThreads);
  std::vector<std::vector<Thing*>> seen(kThreads);
  std::vector<std::thread> threads;
  for (std::vector<Thing*>& mine : seen) {
    threads.emplace_back([&] {
      for (uint64_t key = 0; key < kKeys; ++key) {
        mine.push_back(&table.At(key * 1024));  // all in one place
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  for (const std::vector<Thing*>& mine : seen) {
    EXPECT_EQ(mine, seen[0]);
  }
}

}  // namespace
}  // namespace backstay
