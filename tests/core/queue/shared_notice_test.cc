// tests/core/queue/shared_notice_test.cc -- one of all says it, and not every time.
#include "core/queue/shared_notice.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace backstay {
namespace {

TEST(SharedNotice, IsSaidOnceADay) {
  const Instant start = Instant() + absl::Hours(1);
  SharedNotice notice(2);
  EXPECT_TRUE(notice.Take(start));
  EXPECT_FALSE(notice.Take(start));
  EXPECT_FALSE(notice.Take(start + absl::Hours(23))) << "and that does not put it off";
  EXPECT_TRUE(notice.Take(start + absl::Hours(24)));
  EXPECT_FALSE(notice.Take(start + absl::Hours(25)));
}

TEST(SharedNotice, IsSaidByOneThread) {
  SharedNotice notice(4);
  std::atomic<int> said = 0;
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&] { said += notice.Take(Instant() + absl::Hours(1)) ? 1 : 0; });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(said, 1);
}

}  // namespace
}  // namespace backstay
