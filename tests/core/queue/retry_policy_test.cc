// tests/core/queue/retry_policy_test.cc -- due times to the minute, and the end.
#include "core/queue/retry_policy.h"

#include <gtest/gtest.h>

#include "core/base/random.h"

namespace backstay {
namespace {

constexpr int64_t kOriginMinutes = 777;
const SpoolTime kOrigin = SpoolTime::FromNanoseconds(kOriginMinutes * 60'000'000'000);

const RetryOrigin kBoth{kOrigin, kOrigin};

SpoolTime Minute(int64_t minutes) {
  return kOrigin + absl::Minutes(minutes);
}

// As retry.profile = "smartermail" sets it.
RetryPolicy SmarterMail() {
  RetryPolicy policy;
  policy.schedule = {absl::Minutes(10), absl::Minutes(10), absl::Minutes(10), absl::Minutes(1440)};
  policy.expire_after = absl::Hours(5 * 24);
  policy.max_retries = 4;
  return policy;
}

TEST(RetryPolicy, DueIsOriginAndTheFirstWaits) {
  const RetryPolicy policy = RetryPolicy::Default();
  const int64_t minutes[] = {0, 10, 20, 30, 1470, 2910, 4350, 5790};
  for (uint32_t retry = 0; retry < 8; ++retry) {
    EXPECT_EQ(policy.Due(kOrigin, retry), Minute(minutes[retry])) << retry;
  }
}

TEST(RetryPolicy, SmarterMailEndsWithItsFourthRetry) {
  const RetryPolicy policy = SmarterMail();
  EXPECT_EQ(policy.End(kBoth), Minute(1470));
  SpoolTime now = kOrigin;
  std::vector<SpoolTime> tries;
  while (!policy.GiveUp(kBoth, now, now, kOrigin)) {
    now = policy.NextTry(kBoth, now, /*scheduled=*/true);
    tries.push_back(now);
    ASSERT_LE(tries.size(), 4u);
  }
  EXPECT_EQ(tries, (std::vector<SpoolTime>{Minute(10), Minute(20), Minute(30), Minute(1470)}));
}

TEST(RetryPolicy, RetriesAreChargedByTheClockAlone) {
  struct Case {
    absl::Duration age;
    uint32_t charged;
    int64_t next;
  };
  const Case cases[] = {
      {-absl::Minutes(5), 0, 10},
      {absl::ZeroDuration(), 0, 10},
      {absl::Minutes(10) - absl::Nanoseconds(1), 0, 10},
      {absl::Minutes(10), 1, 20},
      {absl::Minutes(29), 2, 30},
      {absl::Minutes(30), 3, 1470},
      {absl::Minutes(1470) - absl::Nanoseconds(1), 3, 1470},
      {absl::Minutes(1470), 4, 2910},
      {absl::Minutes(2909), 4, 2910},
      {absl::Minutes(2910), 5, 4350},
  };
  const RetryPolicy policy = RetryPolicy::Default();
  for (const Case& c : cases) {
    EXPECT_EQ(policy.RetriesCharged(kOrigin, kOrigin + c.age), c.charged) << c.age;
    EXPECT_EQ(policy.NextDueAfter(kOrigin, kOrigin + c.age), Minute(c.next)) << c.age;
  }
  EXPECT_EQ(SmarterMail().RetriesCharged(kOrigin, Minute(100'000)), 4u);
}

// The arithmetic against adding one wait after another.
TEST(RetryPolicy, CountAndNextDueFollowTheSumOfWaits) {
  Random random(3);
  for (int round = 0; round < 300; ++round) {
    RetryPolicy policy;
    policy.expire_after = absl::InfiniteDuration();
    const uint64_t waits = random.Between(1, 5);
    for (uint64_t wait = 0; wait < waits; ++wait) {
      policy.schedule.push_back(absl::Seconds(random.Between(1, 100)));
    }
    const SpoolTime now = kOrigin + absl::Seconds(random.Below(2000));
    uint32_t count = 0;
    SpoolTime due = kOrigin + policy.schedule[0];
    while (due <= now) {
      ++count;
      due = due + policy.schedule[std::min<size_t>(count, policy.schedule.size() - 1)];
    }
    ASSERT_EQ(policy.RetriesCharged(kOrigin, now), count);
    ASSERT_EQ(policy.NextDueAfter(kOrigin, now), due);
    ASSERT_EQ(policy.Due(kOrigin, count + 1), due);
  }
}

TEST(RetryPolicy, TheEndIsTheEarlierOfBoth) {
  RetryPolicy policy = SmarterMail();
  EXPECT_EQ(policy.End(kBoth), Minute(1470));
  policy.expire_after = absl::Minutes(25);
  EXPECT_EQ(policy.End(kBoth), Minute(25));
  policy.max_retries = 0;
  EXPECT_EQ(policy.End(kBoth), Minute(25));
  policy.expire_after = absl::InfiniteDuration();
  EXPECT_EQ(policy.End(kBoth), SpoolTime::Max());
}

TEST(RetryPolicy, HugeNumbersSaturate) {
  RetryPolicy policy;
  policy.schedule = {absl::Hours(24 * 365)};
  policy.expire_after = absl::InfiniteDuration();
  EXPECT_EQ(policy.Due(kOrigin, 4'000'000'000u), SpoolTime::Max());
  policy.schedule = {absl::Nanoseconds(1)};
  EXPECT_GT(policy.RetriesCharged(kOrigin, Minute(5'000'000)), 2'000'000'000u);
}

TEST(RetryPolicy, AnUnscheduledDeferralWaitsTenMinutesOrLess) {
  const RetryPolicy policy = RetryPolicy::Default();
  EXPECT_EQ(policy.NextTry(kBoth, Minute(100), false), Minute(110));
  EXPECT_EQ(policy.NextTry(kBoth, Minute(1465), false), Minute(1470));
  EXPECT_EQ(policy.NextTry(kBoth, Minute(3), false), Minute(10));
  EXPECT_EQ(policy.NextTry(kBoth, Minute(100), true), Minute(1470));
  EXPECT_EQ(policy.NextTry(kBoth, Minute(1470), true), Minute(2910));
}

// A wait that reaches beyond the end would keep the mail for so much longer.
TEST(RetryPolicy, TheLastTryIsAtTheEnd) {
  RetryPolicy policy = RetryPolicy::Default();
  EXPECT_EQ(policy.NextTry(kBoth, Minute(5790), true), Minute(7200));
  EXPECT_EQ(policy.NextTry(kBoth, Minute(7195), false), Minute(7200));
  EXPECT_EQ(policy.NextTry(kBoth, Minute(7200), false), Minute(7210));
  EXPECT_EQ(policy.NextTry(kBoth, Minute(7200), true), Minute(7230));
  policy.expire_after = absl::InfiniteDuration();
  EXPECT_EQ(policy.NextTry(kBoth, Minute(5790), true), Minute(7230));
}

TEST(RetryPolicy, GivingUpNeedsTheEndAndAFailureBehindIt) {
  const RetryPolicy policy = RetryPolicy::Default();
  const SpoolTime end = policy.End(kBoth);
  const SpoolTime before = end - absl::Nanoseconds(1);
  EXPECT_FALSE(policy.GiveUp(kBoth, before, before, std::nullopt));
  EXPECT_FALSE(policy.GiveUp(kBoth, end, before, std::nullopt));
  EXPECT_FALSE(policy.GiveUp(kBoth, end + absl::Hours(99), before, std::nullopt));
  EXPECT_TRUE(policy.GiveUp(kBoth, end, end, std::nullopt));
}

TEST(RetryPolicy, ALateFirstDeferralGrantsHalfAnHour) {
  const RetryPolicy policy = RetryPolicy::Default();
  const SpoolTime end = policy.End(kBoth);
  const SpoolTime first_own = end + absl::Minutes(5);  // the primary came back after five days
  const SpoolTime granted = first_own + absl::Minutes(30);
  EXPECT_FALSE(policy.GiveUp(kBoth, first_own, first_own, first_own));
  EXPECT_FALSE(policy.GiveUp(kBoth, granted - absl::Nanoseconds(1), granted, first_own));
  EXPECT_TRUE(policy.GiveUp(kBoth, granted, granted, first_own));
  EXPECT_TRUE(policy.GiveUp(kBoth, end, end, kOrigin));  // an early one grants nothing
}

TEST(RetryPolicy, AResetThatKeepsTheAgeMovesTheScheduleOnly) {
  RetryPolicy policy = SmarterMail();
  const RetryOrigin origin{Minute(100), kOrigin};
  EXPECT_EQ(policy.NextTry(origin, Minute(100), /*scheduled=*/true), Minute(110));
  EXPECT_EQ(policy.End(origin), Minute(1570));
  policy.expire_after = absl::Minutes(200);
  EXPECT_EQ(policy.End(origin), Minute(200));
  EXPECT_EQ(policy.NextTry(origin, Minute(131), /*scheduled=*/true), Minute(200));
}

}  // namespace
}  // namespace backstay
