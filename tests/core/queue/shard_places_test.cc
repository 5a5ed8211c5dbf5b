// tests/core/queue/shard_places_test.cc -- shards that share the connections to one primary.
#include "core/queue/shard_places.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <numeric>
#include <vector>

#include "core/base/random.h"

namespace backstay {
namespace {

// What a Route does with its places, without the connections: they are free at the end of each
// message, and one that ends is gone a little later.
class Shards {
 public:
  Shards(size_t shards, size_t max) : max_(max), all_(shards) {
    for (size_t index = 0; index < shards; ++index) {
      shards_.push_back(std::make_unique<One>(all_, index));
    }
  }

  struct One {
    One(SharedPlaces& all, size_t index) : places(all, index) {}
    ShardPlaces places;
    bool has_mail = false;
    size_t held = 0;
    size_t yielding = 0;  // of those
    size_t messages = 0;  // sent
  };
  One& operator[](size_t index) { return *shards_[index]; }

  // Every shard has its turn once, in an order of chance; each has had its messages meanwhile.
  void Step() {
    now_ = now_ + absl::Milliseconds(100);
    std::vector<size_t> order(shards_.size());
    std::iota(order.begin(), order.end(), size_t{0});
    for (size_t i = order.size(); i > 1; --i) {
      std::swap(order[i - 1], order[random_.Below(i)]);
    }
    left_ = max_;
    for (const size_t index : order) {
      Turn(*shards_[index]);
      EXPECT_LE(Held(), connections_max_);
    }
  }
  void Steps(size_t steps) {
    for (size_t i = 0; i < steps; ++i) {
      Step();
    }
  }
  size_t Held() const {
    return std::accumulate(shards_.begin(), shards_.end(), size_t{0},
                           [](size_t sum, const auto& shard) { return sum + shard->held; });
  }
  SharedPlaces& all() { return all_; }
  void set_window(size_t window) { max_ = window; }
  void GiveEverythingBack() { shards_.clear(); }

 private:
  void Turn(One& shard) {
    shard.held -= shard.yielding;
    shard.yielding = 0;
    shard.places.Keep({.held = shard.held});
    shard.places.SetWorking(shard.has_mail);
    size_t busy = 0;
    while (shard.has_mail && left_ > 0 && shard.places.MayUse(busy, max_, now_) &&
           (busy < shard.held || shard.places.Take(max_, max_, now_))) {
      shard.held = std::max(shard.held, ++busy);
      ++shard.messages;
      --left_;
    }
    shard.places.SetWaiting(shard.has_mail && busy < shard.places.Share(max_) && busy < max_, now_);
    while (busy + shard.yielding < shard.held && shard.places.Yield(max_, now_)) {
      ++shard.yielding;
    }
  }

  size_t max_;       // of now
  size_t left_ = 0;  // messages that may be begun in this step
  const size_t connections_max_ = max_;
  SharedPlaces all_;
  std::vector<std::unique_ptr<One>> shards_;
  Random random_{1};
  Instant now_ = Instant::FromNanoseconds(1'000'000'000);
};

TEST(ShardPlaces, AShardAloneHasThemAll) {
  Shards shards(8, 20);
  shards[3].has_mail = true;
  shards.Steps(3);
  EXPECT_EQ(shards[3].held, 20u);
}

TEST(ShardPlaces, OneThatComesLateHasItsPartSoon) {
  Shards shards(8, 20);
  shards[0].has_mail = true;
  shards.Steps(3);
  shards[5].has_mail = true;
  shards.Steps(60);
  EXPECT_EQ(shards[0].held, 10u);
  EXPECT_EQ(shards[5].held, 10u);
  const size_t before = shards[0].messages + shards[5].messages;
  shards.Steps(10);
  EXPECT_EQ(shards[0].messages + shards[5].messages - before, 200u);  // none is unused
}

TEST(ShardPlaces, WhatDoesNotDivideIsNotFoughtFor) {
  Shards shards(3, 20);
  for (size_t index = 0; index < 3; ++index) {
    shards[index].has_mail = true;
  }
  shards.Steps(100);
  EXPECT_EQ(shards.Held(), 20u);
  for (size_t index = 0; index < 3; ++index) {
    EXPECT_GE(shards[index].held, 6u);
    EXPECT_FALSE(shards[index].places.is_waiting());
  }
}

// Kept open for mail that may come; others have some now.
TEST(ShardPlaces, ConnectionsWithoutMailAreGivenUp) {
  Shards shards(2, 20);
  shards[0].has_mail = true;
  shards.Steps(3);
  shards[0].has_mail = false;
  shards.Steps(3);
  EXPECT_EQ(shards[0].held, 20u);  // nobody wants them
  shards[1].has_mail = true;
  shards.Steps(100);
  EXPECT_EQ(shards[0].held, 0u);
  EXPECT_EQ(shards[1].held, 20u);
}

TEST(ShardPlaces, MoreShardsThanConnectionsTakeTurns) {
  for (const size_t max : {1, 3, 20}) {
    Shards shards(64, max);
    for (size_t index = 0; index < 64; ++index) {
      shards[index].has_mail = true;
    }
    std::vector<size_t> before(64);
    // Each for a second; and each that follows takes its place a little later.
    const size_t round = (64 + max - 1) / max * 15;
    for (int rounds = 0; rounds < 4; ++rounds) {
      shards.Steps(round);
      for (size_t index = 0; index < 64; ++index) {
        EXPECT_GT(shards[index].messages, before[index]) << max << " " << index << " " << rounds;
        before[index] = shards[index].messages;
      }
    }
    EXPECT_GE(std::accumulate(before.begin(), before.end(), size_t{0}), 4 * round * max * 7 / 10);
  }
}

TEST(ShardPlaces, AWindowThatIsHalvedLeavesEachAPart) {
  Shards shards(4, 20);
  for (size_t index = 0; index < 4; ++index) {
    shards[index].has_mail = true;
  }
  shards.Steps(60);
  ASSERT_EQ(shards.Held(), 20u);
  shards.set_window(2);  // two of them wait now
  std::vector<size_t> before(4);
  shards.Steps(60);
  for (size_t index = 0; index < 4; ++index) {
    before[index] = shards[index].messages;
  }
  EXPECT_LE(shards.Held(), 3u);
  shards.Steps(40);
  for (size_t index = 0; index < 4; ++index) {
    EXPECT_GT(shards[index].messages, before[index]) << index;
  }
}

TEST(ShardPlaces, EverythingComesBackAtTheEnd) {
  Shards shards(8, 5);
  for (size_t index = 0; index < 8; ++index) {
    shards[index].has_mail = true;
  }
  shards.Steps(25);
  EXPECT_GT(shards.all().counts().waiting, 0u);
  shards.GiveEverythingBack();
  const SharedPlaces::Counts counts = shards.all().counts();
  EXPECT_EQ(counts.taken, 0u);
  EXPECT_EQ(counts.waiting, 0u);
  EXPECT_EQ(counts.working, 0u);
  EXPECT_EQ(counts.yielding, 0u);
}

// An outage: what is under way may hang, and its places are free at once.
TEST(ShardPlaces, ThoseLeftBehindHoldNoPlace) {
  SharedPlaces all(2);
  ShardPlaces places(all, 0);
  const Instant now = Instant::FromNanoseconds(1);
  places.SetWorking(true);
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(places.Take(20, 20, now));
  }
  EXPECT_FALSE(places.Take(20, 20, now));
  EXPECT_FALSE(places.Keep({.held = 0, .left_behind = 20}));
  EXPECT_EQ(all.counts().left_behind, 20u);
  EXPECT_TRUE(places.Take(20, 20, now));
  EXPECT_FALSE(places.Keep({.held = 1, .left_behind = 0}));
  EXPECT_EQ(all.counts().left_behind, 0u);
}

}  // namespace
}  // namespace backstay
