// tests/core/shard/inbox_test.cc -- nothing is lost or overtaken between shards.
#include "core/shard/inbox.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "core/base/spsc_ring.h"

namespace backstay {
namespace {

ShardMessage Numbered(uint64_t number) {
  return {.kind = ShardMessage::Kind::kDestinationUp, .destination = number};
}

std::vector<uint64_t> DrainAll(PostOffice& post, size_t to) {
  std::vector<uint64_t> numbers;
  post.Drain(to, [&](const ShardMessage& message) { numbers.push_back(message.destination); });
  return numbers;
}

TEST(PostOffice, DeliversInOrderOfPosting) {
  PostOffice post(2);
  post.Post(0, 1, Numbered(1));
  post.Post(0, 1, Numbered(2));
  EXPECT_EQ(DrainAll(post, 1), (std::vector<uint64_t>{1, 2}));
  EXPECT_TRUE(DrainAll(post, 1).empty());
  EXPECT_TRUE(DrainAll(post, 0).empty());
}

TEST(PostOffice, TheEngineIsASenderOfItsOwn) {
  PostOffice post(1);
  post.Post(post.engine(), 0, Numbered(7));
  EXPECT_EQ(DrainAll(post, 0), std::vector<uint64_t>{7});
}

TEST(PostOffice, KeepsWhatFindsAFullRingInOrder) {
  PostOffice post(2);
  constexpr uint64_t kMany = 5000;
  for (uint64_t number = 0; number < kMany; ++number) {
    post.Post(0, 1, Numbered(number));
  }
  EXPECT_TRUE(post.waiting(0));
  std::vector<uint64_t> all;
  for (int round = 0; round < 100 && all.size() < kMany; ++round) {
    for (const uint64_t number : DrainAll(post, 1)) {
      all.push_back(number);
    }
    post.Flush(0);
  }
  ASSERT_EQ(all.size(), kMany);
  for (uint64_t number = 0; number < kMany; ++number) {
    ASSERT_EQ(all[number], number);
  }
  EXPECT_FALSE(post.waiting(0));
}

TEST(SpscRing, RefusesWhenFullAndGoesOnAfterAPop) {
  SpscRing<int> ring(2);
  EXPECT_TRUE(ring.Push(1));
  EXPECT_TRUE(ring.Push(2));
  EXPECT_FALSE(ring.Push(3));
  int value = 0;
  EXPECT_TRUE(ring.Pop(value));
  EXPECT_EQ(value, 1);
  EXPECT_TRUE(ring.Push(3));
  EXPECT_TRUE(ring.Pop(value));
  EXPECT_TRUE(ring.Pop(value));
  EXPECT_EQ(value, 3);
  EXPECT_FALSE(ring.Pop(value));
}

TEST(SpscRing, CarriesAMillionValuesBetweenThreads) {
  SpscRing<uint64_t> ring(64);
  constexpr uint64_t kCount = 1'000'000;
  std::thread producer([&] {
    for (uint64_t value = 0; value < kCount;) {
      value += ring.Push(value) ? 1 : 0;
    }
  });
  uint64_t expected = 0;
  while (expected < kCount) {
    uint64_t value = 0;
    if (ring.Pop(value)) {
      ASSERT_EQ(value, expected);
      ++expected;
    }
  }
  producer.join();
}

}  // namespace
}  // namespace backstay
