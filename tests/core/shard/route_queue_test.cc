// tests/core/shard/route_queue_test.cc -- what is handed out is owed.
#include "core/shard/route_queue.h"

#include <algorithm>

#include "tests/spool/spool_harness.h"

namespace backstay {
namespace {

class RouteQueueTest : public testing::Test {
 protected:
  RouteQueueTest() {
    harness_.Start();
    queue_.emplace(*harness_.spool, room_);
  }
  MessageRef Send() {
    const MessageRef message = harness_.SendAndWait(TestContent(++sent_, 500)).message;
    queue_->AddDomain(harness_.spool->Intern("a.example"));
    return message;
  }
  std::optional<Attempt> Take() { return queue_->Take(harness_.spool->Clock()); }

  SpoolHarness harness_;
  DeferralRoom room_{2};
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
  queue_->Wait(first);
  EXPECT_EQ(Take()->message, second);
  EXPECT_FALSE(queue_->HasWork(harness_.spool->Clock()));
  queue_->EndWait(first);
  EXPECT_EQ(Take()->message, first);
}

// The one that has it in hand here is done with it; the other is not.
TEST_F(RouteQueueTest, WhatIsUnderWayHereAndElsewhereWaitsForBoth) {
  const MessageRef first = Send();
  queue_->Wait(first);
  queue_->Wait(first);
  EXPECT_TRUE(queue_->in_flight(first));
  EXPECT_TRUE(queue_->under_way().empty());
  EXPECT_FALSE(Take().has_value());
  queue_->EndWait(first);
  EXPECT_FALSE(Take().has_value());
  queue_->EndWait(first);
  EXPECT_EQ(Take()->message, first);
  queue_->Wait(first);
  queue_->Release(first);
  EXPECT_TRUE(queue_->in_flight(first));
}

// Of two domains, of which the other comes here with a backlog while it is under way elsewhere.
TEST_F(RouteQueueTest, WhatWasFoundAndWentUnderWayIsMetAgain) {
  const MessageRef older = harness_.SendAndWait(TestContent(1, 500)).message;
  const MessageRef both =
      harness_.SendAndWait(TestContent(2, 500), {"a.example", "b.example"}).message;
  queue_->AddDomain(harness_.spool->Intern("b.example"));
  EXPECT_TRUE(queue_->HasWork(harness_.spool->Clock()));
  queue_->Wait(both);
  queue_->AddDomain(harness_.spool->Intern("a.example"));
  EXPECT_TRUE(queue_->HasWork(harness_.spool->Clock()));
  harness_.Settle(both, 0);
  queue_->EndWait(both);
  std::vector<MessageRef> taken;
  while (const auto attempt = Take()) {
    taken.push_back(attempt->message);
  }
  std::sort(taken.begin(), taken.end());
  EXPECT_EQ(taken, (std::vector{older, both}));
}

// Also where no outage was: a start in the middle of a drain, an order of the operator.
TEST_F(RouteQueueTest, NewMailTakesTurnsWithWhateverWasThereBefore) {
  for (int count = 0; count < 6; ++count) {
    Send();
  }
  Take();
  const MessageRef fresh = Send();
  queue_->OnLive(harness_.spool->Intern("a.example"), fresh);
  const MessageRef next = Take()->message;
  EXPECT_TRUE(next == fresh || Take()->message == fresh);
}

// The cursor of what arrived meanwhile has passed it while it was held.
TEST_F(RouteQueueTest, WhatIsReleasedBesideABacklogIsMet) {
  for (int old = 0; old < 8; ++old) {  // not done when the new ones are
    Send();
  }
  queue_->Restart();
  Take();
  std::vector<MessageRef> fresh;
  for (int count = 0; count < 3; ++count) {
    fresh.push_back(Send());
    queue_->OnLive(harness_.spool->Intern("a.example"), fresh.back());
  }
  Rule rule;
  rule.verb = RuleVerb::kHold;
  ASSERT_TRUE(harness_.spool->ApplyToMessage(rule, fresh[1]).has_value());
  std::vector<MessageRef> taken;
  while (std::find(taken.begin(), taken.end(), fresh[2]) == taken.end()) {
    const auto attempt = Take();
    ASSERT_TRUE(attempt.has_value());
    taken.push_back(attempt->message);
    queue_->Release(attempt->message);
  }
  rule.verb = RuleVerb::kRelease;
  ASSERT_TRUE(harness_.spool->ApplyToMessage(rule, fresh[1]).has_value());
  queue_->RestartDomain(harness_.spool->Intern("a.example"));
  while (const auto attempt = Take()) {
    taken.push_back(attempt->message);
    queue_->Release(attempt->message);
  }
  EXPECT_NE(std::find(taken.begin(), taken.end(), fresh[1]), taken.end());
}

TEST_F(RouteQueueTest, WhatWasFoundAndIsOverIsNotHandedOut) {
  const MessageRef first = Send();
  EXPECT_TRUE(queue_->HasWork(harness_.spool->Clock()));
  harness_.Settle(first, 0);
  EXPECT_FALSE(Take().has_value());
}

// After a breaker: those that made it trip may be refused again.
TEST_F(RouteQueueTest, WhatWasRefusedComesLastAfterARelease) {
  const MessageRef refused = Send();
  const MessageRef deferred = Send();
  const MessageRef other = Send();
  const DomainId domain = harness_.spool->Intern("a.example");
  Deferral deferral;
  deferral.next_try = harness_.spool->Clock() + absl::Hours(1);
  ASSERT_TRUE(queue_->deferrals().Insert({deferred.segment, deferred.block, 0}, deferral));
  deferral.refused_since = harness_.spool->Clock();
  ASSERT_TRUE(queue_->deferrals().Insert({refused.segment, refused.block, 0}, deferral));
  for (const bool is_released : {false, true}) {
    queue_->RestartDomain(domain);
    if (is_released) {
      queue_->PutRefusedLast(domain);
    }
    std::vector<MessageRef> taken;
    while (const std::optional<Attempt> attempt = Take()) {
      taken.push_back(attempt->message);
      queue_->Release(attempt->message);
    }
    EXPECT_EQ(taken, is_released ? (std::vector{deferred, other, refused})
                                 : (std::vector{refused, deferred, other}));
  }
  const MessageRef more = Send();
  EXPECT_EQ(Take()->message, more);
  EXPECT_FALSE(Take().has_value());
}

// ---- who found no room ----

TEST_F(RouteQueueTest, WhoFoundNoRoomIsMetByAPassTenMinutesLater) {
  const MessageRef message = Send();
  EXPECT_EQ(Take()->message, message);
  queue_->Release(message);
  const SpoolTime then = harness_.spool->Clock();
  queue_->NoteUnlisted(/*is_refused=*/false, then);
  EXPECT_EQ(queue_->NextDue(), then + absl::Minutes(10));
  EXPECT_FALSE(queue_->Take(then + absl::Minutes(9)).has_value());
  const std::optional<Attempt> again = queue_->Take(then + absl::Minutes(10));
  ASSERT_TRUE(again.has_value());
  EXPECT_EQ(again->message, message);
  EXPECT_FALSE(again->recovery) << "others keep to their times";
}

// Each attempt of a pass may find no room, ten minutes long: what lies behind has its turn all the
// same.
TEST_F(RouteQueueTest, APassThatLastsIsNotBegunAnew) {
  const MessageRef first = Send();
  const MessageRef second = Send();
  const MessageRef third = Send();
  SpoolTime now = harness_.spool->Clock();
  while (const std::optional<Attempt> attempt = queue_->Take(now)) {
    queue_->Release(attempt->message);
  }
  queue_->NoteUnlisted(/*is_refused=*/false, now);
  for (const MessageRef message : {first, second, third}) {
    now = now + absl::Minutes(11);
    const std::optional<Attempt> attempt = queue_->Take(now);
    ASSERT_TRUE(attempt.has_value());
    EXPECT_EQ(attempt->message, message);
    queue_->Release(attempt->message);
    queue_->NoteUnlisted(/*is_refused=*/false, now);
  }
  now = now + absl::Minutes(11);
  EXPECT_FALSE(queue_->Take(now).has_value()) << "its end";
  EXPECT_LE(queue_->NextDue(), now);
  EXPECT_EQ(queue_->Take(now)->message, first);
}

}  // namespace
}  // namespace backstay
