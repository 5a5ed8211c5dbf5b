// tests/core/shard/route_queue_test.cc -- what is handed out is owed.
#include "core/shard/route_queue.h"

#include "tests/spool/spool_harness.h"

namespace backstay {
namespace {

class RouteQueueTest : public testing::Test {
 protected:
  RouteQueueTest() {
    harness_.Start();
    queue_.emplace(*harness_.spool);
  }
  MessageRef Send() {
    const MessageRef message = harness_.SendAndWait(TestContent(++sent_, 500)).message;
    queue_->AddDomain(harness_.spool->Intern("a.example"));
    return message;
  }
  std::optional<Attempt> Take() { return queue_->Take(harness_.spool->Clock()); }

  SpoolHarness harness_;
  std::optional<RouteQueue> queue_;
  uint64_t sent_ = 0;
};

TEST_F(RouteQueueTest, InOrderAndNeverTwice) {
  const MessageRef first = Send();
  const MessageRef second = Send();
  EXPECT_EQ(Take()->message, first);
  EXPECT_EQ(Take()->message, second);
  EXPECT_FALSE(Take().has_value());
}

TEST_F(RouteQueueTest, WhatIsGivenBackComesFirst) {
  const MessageRef first = Send();
  Send();
  queue_->GiveBack(*Take());
  EXPECT_EQ(Take()->message, first);
}

// A pass has met it since, and it went out: there may be no file any more to read it from.
TEST_F(RouteQueueTest, WhatIsGivenBackAndOverIsNotHandedOut) {
  const MessageRef first = Send();
  const MessageRef second = Send();
  queue_->GiveBack(*Take());
  harness_.Settle(first, 0);
  EXPECT_EQ(Take()->message, second);
  EXPECT_FALSE(Take().has_value());
}

// The lane that had the domain before has it in hand.
TEST_F(RouteQueueTest, WhatIsGivenBackAndUnderWayElsewhereWaits) {
  const MessageRef first = Send();
  const MessageRef second = Send();
  queue_->GiveBack(*Take());
  queue_->Claim(first);
  EXPECT_EQ(Take()->message, second);
  EXPECT_FALSE(queue_->HasWork(harness_.spool->Clock()));
  queue_->Release(first);
  EXPECT_EQ(Take()->message, first);
}

TEST_F(RouteQueueTest, WhatWasFoundAndIsOverIsNotHandedOut) {
  const MessageRef first = Send();
  EXPECT_TRUE(queue_->HasWork(harness_.spool->Clock()));
  harness_.Settle(first, 0);
  EXPECT_FALSE(Take().has_value());
}

}  // namespace
}  // namespace backstay
