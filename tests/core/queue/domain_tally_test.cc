// tests/core/queue/domain_tally_test.cc -- the last word of each shard counts.
#include "core/queue/domain_tally.h"

#include <gtest/gtest.h>

namespace backstay {
namespace {

TEST(DomainTally, IsTheSumOfWhatWasSaidLast) {
  DomainTally tally(64);
  EXPECT_EQ(tally.Sum(), DomainTally::Load());
  for (size_t shard = 0; shard < 64; ++shard) {
    tally.Tell(shard, {.messages = shard, .bytes = 1000 * shard});
  }
  EXPECT_EQ(tally.Sum(), (DomainTally::Load{.messages = 2016, .bytes = 2'016'000}));
  tally.Tell(63, {.messages = 3, .bytes = 5'000'000'000});
  EXPECT_EQ(tally.Sum(), (DomainTally::Load{.messages = 1956, .bytes = 5'001'953'000}));
}

}  // namespace
}  // namespace backstay
