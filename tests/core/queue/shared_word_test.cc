// tests/core/queue/shared_word_test.cc -- changes are whole, and none is lost.
#include "core/queue/shared_word.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace backstay {
namespace {

struct Pair {
  uint32_t up;
  uint32_t down;
};

TEST(SharedWord, IsWhatWasStored) {
  SharedWord<Pair> word({1, 2});
  EXPECT_EQ(word.Load().down, 2u);
  word.Store({3, 4});
  EXPECT_EQ(word.Load().up, 3u);
}

TEST(SharedWord, AChangeThatDoesNotCountChangesNothing) {
  SharedWord<uint64_t> word(7);
  EXPECT_FALSE(word.Change([](uint64_t& value) {
    value = 8;
    return false;
  }));
  EXPECT_EQ(word.Load(), 7u);
  EXPECT_TRUE(word.Change([](uint64_t& value) {
    value = 8;
    return true;
  }));
  EXPECT_EQ(word.Load(), 8u);
}

// Both halves in step, up to a limit that holds exactly.
TEST(SharedWord, ManyThreadsLoseNothing) {
  constexpr uint32_t kLimit = 100'000;
  SharedWord<Pair> word({0, kLimit});
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&] {
      while (word.Change([](Pair& pair) {
        ++pair.up;
        --pair.down;
        return pair.up <= kLimit;
      })) {
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(word.Load().up, kLimit);
  EXPECT_EQ(word.Load().down, 0u);
}

}  // namespace
}  // namespace backstay
