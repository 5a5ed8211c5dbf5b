// tests/core/queue/shared_places_test.cc -- never one too many, and who has waited longest is next.
#include "core/queue/shared_places.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace backstay {
namespace {

Instant AtMillisecond(int64_t milliseconds) {
  return Instant::FromNanoseconds(milliseconds * 1'000'000);
}

TEST(SharedPlaces, NeverMoreThanTheWindowWhoeverTakesThem) {
  SharedPlaces places(4);
  std::vector<std::thread> threads;
  std::vector<size_t> taken(4);
  for (size_t& mine : taken) {
    threads.emplace_back([&] {
      for (int i = 0; i < 10'000; ++i) {
        mine += places.Take(/*window=*/1000, /*max=*/1000) ? 1 : 0;
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(taken[0] + taken[1] + taken[2] + taken[3], 1000u);
  EXPECT_EQ(places.counts().taken, 1000u);
}

// They hang from before; with every outage there may be more of them.
TEST(SharedPlaces, ThoseLeftBehindAreBounded) {
  SharedPlaces places(1);
  places.Change([](SharedPlaces::Counts& counts) {
    counts.left_behind = 38;
    return true;
  });
  EXPECT_TRUE(places.Take(20, 20));
  EXPECT_TRUE(places.Take(20, 20));
  EXPECT_FALSE(places.Take(20, 20));
}

TEST(SharedPlaces, WhoHasWaitedLongestIsNext) {
  SharedPlaces places(8);
  EXPECT_FALSE(places.Next().has_value());
  places.Wait(5, AtMillisecond(30));
  places.Wait(2, AtMillisecond(10));
  places.Wait(7, AtMillisecond(10));
  EXPECT_EQ(places.counts().waiting, 3u);
  EXPECT_EQ(places.Next(), 2u);
  places.EndWait(2);
  EXPECT_EQ(places.Next(), 7u);
  places.EndWait(7);
  places.Wait(2, AtMillisecond(40));
  EXPECT_EQ(places.Next(), 5u);
}

}  // namespace
}  // namespace backstay
