// tests/core/shard/host_watch_test.cc -- when a host is passed over, for how long, and for whom.
#include "core/shard/host_watch.h"

#include <gtest/gtest.h>

namespace backstay {
namespace {

class HostWatchTest : public ::testing::Test {
 protected:
  const SocketAddress& Host(size_t index) const { return hosts_[index].address; }
  bool Trouble(size_t host, uint32_t times = HostWatch::kRunMax) {
    bool is_over = false;
    for (uint32_t i = 0; i < times; ++i) {
      is_over = watch_.OnTrouble(Host(host), /*is_silence=*/false, now_);
    }
    return is_over;
  }

  const std::vector<PrimaryHost> hosts_ = {{*SocketAddress::Parse("192.0.2.1:25"), "a.example"},
                                           {*SocketAddress::Parse("192.0.2.2:25"), "b.example"},
                                           {*SocketAddress::Parse("192.0.2.3:25"), "c.example"}};
  HostWatch watch_;
  Instant now_ = Instant() + absl::Hours(1);
};

TEST_F(HostWatchTest, ThreeTroublesInARowAreEnough) {
  EXPECT_FALSE(Trouble(0, 2));
  EXPECT_FALSE(watch_.IsPassedOver(Host(0), now_));
  EXPECT_TRUE(Trouble(0, 1));
  EXPECT_TRUE(watch_.IsPassedOver(Host(0), now_));
  EXPECT_FALSE(watch_.IsPassedOver(Host(1), now_));
  EXPECT_EQ(watch_.FirstGood(hosts_, now_), 1u);
}

TEST_F(HostWatchTest, OneTakenBetweenBeginsTheRunAnew) {
  for (int message = 0; message < 20; ++message) {
    EXPECT_FALSE(Trouble(0, 2));
    watch_.OnTaken(Host(0));
  }
  EXPECT_EQ(watch_.FirstGood(hosts_, now_), 0u);
}

// One of many connections may hang; the others show that it takes mail.
TEST_F(HostWatchTest, SilenceCountsForTwo) {
  EXPECT_FALSE(watch_.OnTrouble(Host(0), /*is_silence=*/true, now_));
  watch_.OnTaken(Host(0));
  EXPECT_FALSE(watch_.OnTrouble(Host(0), /*is_silence=*/true, now_));
  EXPECT_TRUE(watch_.OnTrouble(Host(0), /*is_silence=*/true, now_));
  EXPECT_TRUE(watch_.IsPassedOver(Host(0), now_));
}

TEST_F(HostWatchTest, LongerEachTimeUntilOneIsTaken) {
  for (const int minutes : {5, 10, 20, 40, 40}) {
    Trouble(0);
    Trouble(0);  // what was on its way there already
    EXPECT_EQ(watch_.PassedOverUntil(Host(0)), now_ + absl::Minutes(minutes));
    now_ = now_ + absl::Minutes(minutes);
    EXPECT_FALSE(watch_.IsPassedOver(Host(0), now_));
  }
  watch_.OnTaken(Host(0));
  Trouble(0);
  EXPECT_EQ(watch_.PassedOverUntil(Host(0)), now_ + HostWatch::kPassedOverFor);
}

TEST_F(HostWatchTest, WhoDoesNotGreetIsNotTheNext) {
  watch_.OnNotGreeted(Host(1), now_);
  EXPECT_FALSE(watch_.IsPassedOver(Host(1), now_));  // what is open to it may work
  Trouble(0);
  EXPECT_EQ(watch_.FirstGood(hosts_, now_), 2u);
  Trouble(2);
  EXPECT_EQ(watch_.FirstGood(hosts_, now_), std::nullopt);
  watch_.OnGreeted(Host(1));
  EXPECT_EQ(watch_.FirstGood(hosts_, now_), 1u);
}

TEST_F(HostWatchTest, AGreetingAloneIsNoMailTaken) {
  Trouble(0);
  watch_.OnGreeted(Host(0));
  EXPECT_TRUE(watch_.IsPassedOver(Host(0), now_));
}

TEST_F(HostWatchTest, WhoIsNotInTheListIsForgotten) {
  Trouble(0);
  Trouble(1);
  watch_.Keep({hosts_[1]});
  EXPECT_FALSE(watch_.IsPassedOver(Host(0), now_));
  EXPECT_TRUE(watch_.IsPassedOver(Host(1), now_));
}

}  // namespace
}  // namespace backstay
