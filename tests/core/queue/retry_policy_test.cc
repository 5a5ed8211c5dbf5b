// tests/core/queue/retry_policy_test.cc -- the schedule, the count, the end.
#include "core/queue/retry_policy.h"

#include <gtest/gtest.h>

namespace backstay {
namespace {

const SpoolTime kArrival = SpoolTime::FromNanoseconds(5'000'000'000);

SpoolTime After(int64_t minutes) {
  return kArrival + absl::Minutes(minutes);
}

RetryPolicy SmarterMail() {
  RetryPolicy policy;
  policy.schedule = {absl::Minutes(10), absl::Minutes(10), absl::Minutes(10), absl::Minutes(1440)};
  policy.expire_after = absl::Hours(24 * 30);
  policy.max_retries = 4;
  return policy;
}

TEST(RetryPolicy, RetriesOfTheSeedAreDueAt10And20And30And1470Minutes) {
  const RetryPolicy policy = SmarterMail();
  EXPECT_EQ(policy.Due(kArrival, 0), kArrival);
  EXPECT_EQ(policy.Due(kArrival, 1), After(10));
  EXPECT_EQ(policy.Due(kArrival, 2), After(20));
  EXPECT_EQ(policy.Due(kArrival, 3), After(30));
  EXPECT_EQ(policy.Due(kArrival, 4), After(1470));
  EXPECT_EQ(policy.End(kArrival), After(1470));
}

TEST(RetryPolicy, TheLastWaitRepeats) {
  const RetryPolicy policy = RetryPolicy::Default();
  EXPECT_EQ(policy.Due(kArrival, 5), After(30 + 2 * 1440));
  EXPECT_EQ(policy.NextDueAfter(kArrival, After(1470)), After(30 + 2 * 1440));
  EXPECT_EQ(policy.NextDueAfter(kArrival, After(1470) - absl::Nanoseconds(1)), After(1470));
}

TEST(RetryPolicy, RetriesAreChargedByTheClockAlone) {
  const RetryPolicy policy = SmarterMail();
  EXPECT_EQ(policy.RetriesCharged(kArrival, kArrival), 0U);
  EXPECT_EQ(policy.RetriesCharged(kArrival, After(10) - absl::Nanoseconds(1)), 0U);
  EXPECT_EQ(policy.RetriesCharged(kArrival, After(10)), 1U);
  EXPECT_EQ(policy.RetriesCharged(kArrival, After(35)), 3U);
  EXPECT_EQ(policy.RetriesCharged(kArrival, After(1470)), 4U);
  EXPECT_EQ(policy.RetriesCharged(kArrival, After(100000)), 4U);
  EXPECT_EQ(policy.RetriesCharged(kArrival, kArrival - absl::Seconds(1)), 0U);
}

TEST(RetryPolicy, TheEarlierOfCountAndAgeEnds) {
  RetryPolicy policy = SmarterMail();
  policy.expire_after = absl::Minutes(25);
  EXPECT_EQ(policy.End(kArrival), After(25));
  policy.max_retries = 1;
  EXPECT_EQ(policy.End(kArrival), After(10));
}

TEST(RetryPolicy, AnUnscheduledDeferralIsRepeatedInTenMinutesAtTheLatest) {
  const RetryPolicy policy = RetryPolicy::Default();
  EXPECT_EQ(policy.NextTry(kArrival, After(3), /*scheduled=*/true), After(10));
  EXPECT_EQ(policy.NextTry(kArrival, After(3), /*scheduled=*/false), After(10));
  EXPECT_EQ(policy.NextTry(kArrival, After(40), /*scheduled=*/true), After(1470));
  EXPECT_EQ(policy.NextTry(kArrival, After(40), /*scheduled=*/false), After(50));
}

TEST(RetryPolicy, GivingUpNeedsARealFailureAtOrAfterTheEnd) {
  const RetryPolicy policy = SmarterMail();
  EXPECT_FALSE(policy.GiveUp(kArrival, After(1469), After(1469), std::nullopt));
  EXPECT_FALSE(policy.GiveUp(kArrival, After(1480), After(1469), std::nullopt));
  EXPECT_TRUE(policy.GiveUp(kArrival, After(1480), After(1470), std::nullopt));
}

TEST(RetryPolicy, ALateFirstDeferralGrantsHalfAnHour) {
  const RetryPolicy policy = SmarterMail();
  EXPECT_FALSE(policy.GiveUp(kArrival, After(1480), After(1480), After(1460)));
  EXPECT_TRUE(policy.GiveUp(kArrival, After(1490), After(1490), After(1460)));
}

TEST(RetryPolicy, FarTimesSaturate) {
  RetryPolicy policy = RetryPolicy::Default();
  policy.expire_after = absl::InfiniteDuration();
  EXPECT_EQ(policy.End(kArrival), SpoolTime::Max());
}

}  // namespace
}  // namespace backstay
