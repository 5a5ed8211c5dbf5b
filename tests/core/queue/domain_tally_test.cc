// tests/core/queue/domain_tally_test.cc -- the last word of each shard counts.
#include "core/queue/domain_tally.h"

#include <gtest/gtest.h>

namespace backstay {
namespace {

TEST(DomainTally, IsTheSumOfWhatWasSaidLast) {
  DomainTally tally(64);
  EXPECT_EQ(tally.Sum(), DomainTally::Load());
  for (size_t shard = 0; shard < 64; ++shard) {
    tally.Tell(shard, {.messages = shard, .bytes = 1000 * shard}, true);
  }
  EXPECT_EQ(tally.Sum(), (DomainTally::Load{.messages = 2016, .bytes = 2'016'000}));
  tally.Tell(63, {.messages = 3, .bytes = 5'000'000'000}, true);
  EXPECT_EQ(tally.Sum(), (DomainTally::Load{.messages = 1956, .bytes = 5'001'953'000}));
}

TEST(DomainTally, IsWholeWhenEveryShardHasSaidAll) {
  DomainTally tally(2);
  EXPECT_EQ(tally.WholeSum(), std::nullopt);
  tally.Tell(0, {.messages = 3, .bytes = 30}, true);
  EXPECT_EQ(tally.WholeSum(), std::nullopt) << "nobody knows what the other one has";
  tally.Tell(1, {.messages = 1, .bytes = 10}, false);
  EXPECT_EQ(tally.WholeSum(), std::nullopt) << "it looks for more";
  tally.Tell(1, {.messages = 2, .bytes = 20}, true);
  EXPECT_EQ(tally.WholeSum(), (DomainTally::Load{.messages = 5, .bytes = 50}));
  tally.StopTelling(0);
  EXPECT_EQ(tally.WholeSum(), std::nullopt);
  EXPECT_EQ(tally.Sum(), (DomainTally::Load{.messages = 5, .bytes = 50}));
}

}  // namespace
}  // namespace backstay
