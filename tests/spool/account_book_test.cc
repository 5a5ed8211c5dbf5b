// tests/spool/account_book_test.cc -- sums, what a checkpoint covers, and accounts over restarts.
#include "spool/account_book.h"

#include "core/base/log.h"
#include "core/base/mark.h"
#include "tests/spool/spool_harness.h"

namespace backstay {
namespace {

constexpr auto kA = static_cast<DomainId>(0);
constexpr auto kB = static_cast<DomainId>(1);
constexpr std::array kBoth{kA, kB};

DomainAccount Counts(uint64_t accepted, uint64_t generated = 0, uint64_t delivered = 0,
                     uint64_t bounced = 0, uint64_t discarded = 0, uint64_t quarantined = 0) {
  return {accepted, generated, delivered, bounced, discarded, quarantined};
}

TEST(AccountBook, CountsByDomainAndByHow) {
  AccountBook book;
  book.Take(1, kBoth, /*is_ours=*/false);
  book.Take(2, {&kA, 1}, /*is_ours=*/false);
  book.Take(2, {&kB, 1}, /*is_ours=*/true);
  book.End(1, kA, Ending::kDelivered);
  book.End(1, kB, Ending::kBounced);
  book.End(2, kA, Ending::kQuarantined);
  book.End(2, kB, Ending::kDiscarded);
  EXPECT_EQ(book.Of(kA), Counts(2, 0, 1, 0, 0, 1));
  EXPECT_EQ(book.Of(kB), Counts(1, 1, 0, 1, 1, 0));
  EXPECT_EQ(book.OfAll(), Counts(3, 1, 1, 1, 1, 1));
  EXPECT_EQ(book.OfAll().owed(), 0u);
}

TEST(AccountBook, WhatIsCoveredIsOfTheSegmentsThatAre) {
  AccountBook book;
  book.Take(1, {&kA, 1}, false);
  book.Take(2, {&kA, 1}, false);
  book.Take(3, {&kA, 1}, false);
  book.Cover(2);
  book.End(3, kA, Ending::kDelivered);  // not covered
  ASSERT_EQ(book.covered().size(), 1u);
  EXPECT_EQ(book.covered().at(kA), Counts(2));
  book.End(1, kA, Ending::kDelivered);
  EXPECT_EQ(book.covered().at(kA), Counts(2, 0, 1));
  EXPECT_EQ(book.Of(kA), Counts(3, 0, 2));
}

TEST(AccountBook, ARecoveryThatBeginsAgainKeepsOnlyNewMail) {
  AccountBook book;
  const WallTime since = WallTime::FromNanoseconds(5);
  book.Restart(7, 4, since);
  book.Load(kA, Counts(100));
  book.Take(6, {&kA, 1}, false);  // read
  book.Take(8, {&kA, 1}, false);  // taken meanwhile
  book.Restart(7, 2, since);
  book.Load(kA, Counts(50));
  EXPECT_EQ(book.Of(kA), Counts(51));
  EXPECT_EQ(book.since(), since);
  book.End(3, kA, Ending::kDelivered);
  EXPECT_EQ(book.covered().at(kA), Counts(50));
}

TEST(AccountBook, IsBalancedByWhatAStartFinds) {
  AccountBook book;
  book.Restart(7, 7, WallTime());
  book.Load(kA, Counts(10, 0, 4));
  EXPECT_EQ(book.Balance(kA, 6, Ending::kQuarantined), 0);
  EXPECT_EQ(book.Balance(kA, 4, Ending::kQuarantined), 2);
  EXPECT_EQ(book.Of(kA), Counts(10, 0, 4, 0, 0, 2));
  EXPECT_EQ(book.Balance(kA, 5, Ending::kDelivered), -1);
  EXPECT_EQ(book.Of(kA), Counts(11, 0, 4, 0, 0, 2));
}

// ---- of a spool ----

class AccountsTest : public testing::Test {
 protected:
  AccountsTest() {
    SetLogSink([](LogLevel, std::string_view) {});
    SpoolOptions options = SpoolHarness::SmallOptions();
    options.segment_bytes = 64_KiB;
    options.part_bytes = 4_KiB;
    harness_ = std::make_unique<SpoolHarness>(1, options);
    harness_->Start();
  }
  ~AccountsTest() override { SetLogSink(nullptr); }

  DomainAccount Of(std::string_view domain) {
    return harness_->spool->AccountOf(harness_->spool->Intern(domain));
  }
  // Some segments of mail, of which the first ones go back.
  void Work(uint64_t messages) {
    for (uint64_t i = 0; i < messages; ++i) {
      Sent& sent = harness_->SendAndWait(TestContent(i, 2000), {"a.example", "b.example"});
      ASSERT_EQ(sent.result, CommitResult::kStored);
      harness_->Settle(sent.message, 0);
      if (i % 10 == 0) {
        harness_->Settle(sent.message, 1, SettleKind::kFailed, "550 no");
        Report(sent.message);
      } else if (i % 10 == 1) {
        harness_->Settle(sent.message, 1, SettleKind::kDiscarded);
      } else if (i % 10 != 2) {
        harness_->Settle(sent.message, 1);
      }
    }
    harness_->Idle(absl::Seconds(3));
  }
  void Report(MessageRef about) {
    Sent& report = harness_->Begin(TestContent(9, 300), {"@"});
    report.Report(about, {Debt(1)});
    report.writer.Append(AsBytes(report.content));
    report.writer.Finish(report);
    ASSERT_TRUE(harness_->TurnUntil([&] { return report.committed == 1; }));
    harness_->Settle(report.message, 0);
  }

  std::unique_ptr<SpoolHarness> harness_;
};

TEST_F(AccountsTest, OutliveTheSegmentsAndEveryCrash) {
  Work(100);
  ASSERT_GT(harness_->SegmentFiles().front(), SpoolHarness::PathOf("segment-00000001"));
  for (int start = 0; start < 4; ++start) {
    EXPECT_EQ(Of("a.example"), Counts(100, 0, 100));
    EXPECT_EQ(Of("b.example"), Counts(100, 0, 70, 10, 10));
    EXPECT_EQ(Of("b.example").owed(), harness_->Live("b.example").size());
    EXPECT_EQ(Of("@"), Counts(0, 10, 10));
    EXPECT_EQ(harness_->spool->Stats().recipients_unaccounted, 0u);
    harness_->Restart(start % 2 == 0 ? CrashMode::kNothingUnsynced : CrashMode::kAllUnsynced);
  }
  Work(50);
  harness_->Restart(CrashMode::kNothingUnsynced);
  EXPECT_EQ(Of("a.example"), Counts(150, 0, 150));
  EXPECT_EQ(Of("@"), Counts(0, 15, 15));
}

TEST_F(AccountsTest, BeginWithTheOldestSegment) {
  const WallTime began = harness_->io->WallNow();
  Work(60);
  harness_->Restart(CrashMode::kNothingUnsynced);
  EXPECT_LE(harness_->spool->AccountsSince(), began);
}

TEST_F(AccountsTest, ADeletionIsCountedOnce) {
  Work(30);
  const DomainAccount before = Of("b.example");
  Rule rule;
  rule.verb = RuleVerb::kDelete;
  rule.epoch = 1;
  EXPECT_EQ(harness_->spool->ApplyRule(rule), before.owed());
  harness_->Idle(absl::Seconds(1));
  for (int start = 0; start < 3; ++start) {
    EXPECT_EQ(Of("b.example").discarded, before.discarded + before.owed());
    EXPECT_EQ(Of("b.example").owed(), 0u);
    harness_->Restart(CrashMode::kNothingUnsynced);
    harness_->Idle(absl::Seconds(1));
  }
}

// As the checkpoint says that it was covered.
TEST_F(AccountsTest, AMissingSegmentIsQuarantined) {
  Work(100);
  const uint64_t owed = Of("b.example").owed();
  const std::string lost = SpoolHarness::SegmentPath(harness_->Live("b.example").front().segment);
  harness_->Crash(CrashMode::kNothingUnsynced);
  harness_->disk().Delete(lost);
  for (int start = 0; start < 3; ++start) {
    harness_->Start();
    const DomainAccount account = Of("b.example");
    EXPECT_GT(account.quarantined, 0u);
    EXPECT_EQ(account.owed() + account.quarantined, owed);
    EXPECT_EQ(account.owed(), harness_->Live("b.example").size());
    EXPECT_EQ(harness_->spool->Stats().recipients_unaccounted,
              start == 0 ? account.quarantined : 0);
    harness_->Idle(absl::Seconds(1));
    harness_->Crash(CrashMode::kNothingUnsynced);
  }
}

}  // namespace
}  // namespace backstay
