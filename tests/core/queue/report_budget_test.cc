// tests/core/queue/report_budget_test.cc -- bursts, rates, shares, and a bound for senders.
#include "core/queue/report_budget.h"

#include <gtest/gtest.h>

namespace backstay {
namespace {

constexpr uint64_t kSender = 7;

Instant At(absl::Duration after) {
  return Instant() + absl::Hours(1000) + after;
}

TEST(ReportBudget, ASenderHasABurstAndThenARate) {
  ReportBudget budget(1);
  const Instant now = At(absl::ZeroDuration());
  for (int i = 0; i < ReportBudget::kSenderBurst; ++i) {
    EXPECT_EQ(budget.NextFor(kSender, now), now);
    EXPECT_EQ(budget.Book(kSender, now), now) << i;
  }
  // Each further one has a place of its own.
  EXPECT_EQ(budget.NextFor(kSender, now), now + absl::Seconds(6));
  EXPECT_EQ(budget.Book(kSender, now), now + absl::Seconds(6));
  EXPECT_EQ(budget.Book(kSender, now), now + absl::Seconds(12));
  EXPECT_EQ(budget.Book(kSender + 1, now), now);
  // Two are still booked; after that and a hundred intervals all is as new.
  const Instant later = now + absl::Minutes(10) + absl::Seconds(12);
  for (int i = 0; i < ReportBudget::kSenderBurst; ++i) {
    EXPECT_EQ(budget.Book(kSender, later), later) << i;
  }
  EXPECT_GT(budget.Book(kSender, later), later);
}

TEST(ReportBudget, AllHaveABurstAndThenARate) {
  ReportBudget budget(1);
  const Instant now = At(absl::ZeroDuration());
  for (int i = 0; i < ReportBudget::kBurst; ++i) {
    ASSERT_LE(budget.NextAt(), now) << i;
    budget.Charge(now);
  }
  EXPECT_EQ(budget.NextAt(), now + absl::Milliseconds(50));
  budget.Charge(now + absl::Milliseconds(50));
  EXPECT_EQ(budget.NextAt(), now + absl::Milliseconds(100));
}

TEST(ReportBudget, ShardsShareIt) {
  ReportBudget budget(10);
  const Instant now = At(absl::ZeroDuration());
  for (int i = 0; i < ReportBudget::kSenderBurst / 10; ++i) {
    EXPECT_EQ(budget.Book(kSender, now), now);
  }
  EXPECT_EQ(budget.Book(kSender, now), now + absl::Minutes(1));
  // More shards than a burst has reports: one each.
  ReportBudget small(2000);
  EXPECT_EQ(small.Book(kSender, now), now);
  EXPECT_GT(small.Book(kSender, now), now);
}

TEST(ReportBudget, SendersAreBoundedAndForgottenWhenTheyAreAsNew) {
  ReportBudget budget(1);
  Instant now = At(absl::ZeroDuration());
  for (uint64_t sender = 0; sender < ReportBudget::kSendersMax + 10; ++sender) {
    EXPECT_EQ(budget.Book(sender, now), now);
  }
  EXPECT_EQ(budget.senders(), ReportBudget::kSendersMax);
  now = now + absl::Seconds(6);
  EXPECT_EQ(budget.Book(ReportBudget::kSendersMax, now), now);
  EXPECT_EQ(budget.senders(), 1U);
}

}  // namespace
}  // namespace backstay
