// tests/spool/report_test.cc -- a debt ends in the record of its report: never twice, never lost.
#include "tests/spool/spool_harness.h"

namespace backstay {
namespace {

class ReportTest : public testing::Test {
 protected:
  ReportTest() {
    harness_.Start();
    failed_ = harness_.SendAndWait(TestContent(1, 900), {"a.example", "b.example"}).message;
    harness_.Settle(failed_, 0);
    harness_.Settle(failed_, 1, SettleKind::kFailed, "550 no such user");
    harness_.Idle(absl::Seconds(1));
  }

  Sent& SendReport(size_t bytes = 500) {
    Sent& sent = harness_.Begin(TestContent(2, bytes), {"@sender.example"});
    sent.Report(failed_, {Debt(1)});
    sent.writer.Append(AsBytes(sent.content));
    sent.writer.Finish(sent);
    return sent;
  }
  // The debt, or its report.
  void ExpectOne() {
    const bool is_owed = harness_.spool->IsPending(failed_, 1);
    const size_t reports = harness_.Live("@sender.example").size();
    EXPECT_EQ(reports + (is_owed ? 1 : 0), 1U);
    EXPECT_EQ(harness_.failures.size(), is_owed ? 1U : 0U);
  }

  SpoolHarness harness_;
  MessageRef failed_;
};

TEST_F(ReportTest, TheReasonOfAFailureIsKept) {
  for (int run = 0; run < 3; ++run) {
    EXPECT_TRUE(harness_.spool->IsPending(failed_, 1));
    EXPECT_EQ(AsText(harness_.spool->FailureOf(failed_, 1)), "550 no such user");
    harness_.Restart(CrashMode::kNothingUnsynced);
    EXPECT_EQ(harness_.failures, std::set<MessageRef>{failed_});
  }
}

TEST_F(ReportTest, WithTheReportTheDebtEnds) {
  Sent& sent = SendReport();
  EXPECT_TRUE(harness_.spool->IsPending(failed_, 1));  // not on disk yet
  ASSERT_TRUE(harness_.TurnUntil([&] { return sent.committed == 1; }));
  for (int run = 0; run < 3; ++run) {
    EXPECT_FALSE(harness_.spool->IsOwed(failed_));
    EXPECT_EQ(harness_.spool->Stats().recipients_dsn_pending, 0U);
    ExpectOne();
    harness_.Restart(CrashMode::kNothingUnsynced);
  }
}

// Both in one batch: the report's record comes first in the log.
TEST_F(ReportTest, AReportInFrontOfItsFailureEndsTheDebt) {
  failed_ = harness_.SendAndWait(TestContent(3, 900), {"a.example", "b.example"}).message;
  harness_.Settle(failed_, 0);
  harness_.Idle(absl::Seconds(1));
  harness_.Settle(failed_, 1, SettleKind::kFailed, "550 no such user");
  Sent& sent = SendReport();
  ASSERT_TRUE(harness_.TurnUntil([&] { return sent.committed == 1; }));
  for (int run = 0; run < 3; ++run) {
    harness_.Restart(CrashMode::kNothingUnsynced);
    EXPECT_FALSE(harness_.spool->IsOwed(failed_)) << run;
    EXPECT_EQ(harness_.Live("@sender.example").size(), 1U);
  }
}

TEST_F(ReportTest, AReportThatWasNotStoredEndsNothing) {
  harness_.world.FailDiskOperation(2, IoError::kDevice, false);  // the sync
  Sent& sent = SendReport();
  ASSERT_TRUE(harness_.TurnUntil([&] { return sent.committed == 1; }));
  EXPECT_EQ(sent.result, CommitResult::kFailed);
  EXPECT_TRUE(harness_.spool->IsPending(failed_, 1));
  EXPECT_EQ(AsText(harness_.spool->FailureOf(failed_, 1)), "550 no such user");
}

// The last batch was torn: its record is whole, a part is not, and so the report is dropped.
TEST_F(ReportTest, AReportThatLacksAPartEndsNothing) {
  Sent& sent = SendReport(20_KiB);
  ASSERT_TRUE(harness_.TurnUntil([&] { return sent.committed == 1; }));
  const std::string path = SpoolHarness::SegmentPath(sent.message.segment);
  const std::string in_part = sent.content.substr(0, 1000);
  harness_.Crash(CrashMode::kNothingUnsynced);
  const size_t at = harness_.disk().Contents(path)->find(in_part);
  ASSERT_NE(at, std::string::npos);
  ASSERT_TRUE(harness_.disk().FlipBit(path, at * 8));
  harness_.Start();
  for (int run = 0; run < 3; ++run) {
    EXPECT_TRUE(harness_.spool->IsPending(failed_, 1)) << run;
    EXPECT_EQ(AsText(harness_.spool->FailureOf(failed_, 1)), "550 no such user");
    ExpectOne();
    harness_.Idle(absl::Milliseconds(500));  // a checkpoint comes to cover it
    harness_.Restart(CrashMode::kNothingUnsynced);
  }
}

// Acknowledged: that a part of it was damaged since does not bring the debt back.
TEST_F(ReportTest, AReportThatWasDamagedLaterEndsTheDebt) {
  Sent& sent = SendReport(20_KiB);
  ASSERT_TRUE(harness_.TurnUntil([&] { return sent.committed == 1; }));
  const std::string path = SpoolHarness::SegmentPath(sent.message.segment);
  const std::string in_part = sent.content.substr(0, 1000);
  harness_.Idle(absl::Seconds(1));  // its batch has a successor
  harness_.Crash(CrashMode::kNothingUnsynced);
  harness_.DeleteCheckpoints();
  ASSERT_TRUE(harness_.disk().FlipBit(path, harness_.disk().Contents(path)->find(in_part) * 8));
  harness_.Start();
  EXPECT_FALSE(harness_.spool->IsPending(failed_, 1));
  ExpectOne();
}

TEST_F(ReportTest, ACrashAtAnyMomentLeavesTheDebtOrTheReport) {
  int reports = 0;
  for (uint64_t event = 1; event < 40; ++event) {
    for (const CrashMode mode :
         {CrashMode::kNothingUnsynced, CrashMode::kAllUnsynced, CrashMode::kRandom}) {
      SpoolHarness harness(event);
      harness.disk().CopyFrom(harness_.disk());
      harness.Start();
      Sent& sent = harness.Begin(TestContent(2, 500), {"@sender.example"});
      sent.Report(failed_, {Debt(1)});
      sent.writer.Append(AsBytes(sent.content));
      sent.writer.Finish(sent);
      harness.world.CrashAfterEvent(event);
      harness.Idle(absl::Seconds(1));
      harness.Restart(mode);
      const bool is_owed = harness.spool->IsPending(failed_, 1);
      const size_t found = harness.Live("@sender.example").size();
      EXPECT_EQ(found + (is_owed ? 1 : 0), 1U) << event;
      reports += static_cast<int>(found);
    }
  }
  EXPECT_GT(reports, 30);
}

}  // namespace
}  // namespace backstay
