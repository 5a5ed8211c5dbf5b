// tests/spool/writer_test.cc -- content under way: budgets, waiting for room, abandoning.
#include "spool/message_writer.h"

#include "core/base/mark.h"
#include "tests/spool/spool_harness.h"

namespace backstay {
namespace {

class Told : public CongestionWaiter {
 public:
  void OnUncongested() override { ++times; }
  int times = 0;
};

TEST(MessageWriter, AbandonedContentIsNeverDelivered) {
  SpoolHarness harness;
  harness.Start();
  Sent& small = harness.Begin(TestContent(1, 100));
  small.writer.Append(AsBytes(small.content));
  small.writer.Abandon();
  EXPECT_EQ(small.writer.content_bytes(), 0u);
  Sent& large = harness.Begin(TestContent(2, 100_KiB));
  large.writer.Append(AsBytes(large.content));
  harness.Idle(absl::Seconds(1));
  large.writer.Abandon();
  harness.Idle(absl::Seconds(1));
  harness.Restart(CrashMode::kNothingUnsynced);
  EXPECT_EQ(harness.spool->Stats().messages_live, 0u);
}

TEST(MessageWriter, AbandonAfterFinishOnlySilencesTheSource) {
  SpoolHarness harness;
  harness.Start();
  Sent& sent = harness.Send(TestContent(1, 100));
  EXPECT_EQ(sent.described, 1);
  sent.writer.Abandon();
  harness.Idle(absl::Seconds(1));
  EXPECT_EQ(sent.committed, 0);
  EXPECT_EQ(harness.Live().size(), 1u);
}

TEST(MessageWriter, IsReusableAfterEither) {
  SpoolHarness harness;
  harness.Start();
  Sent& sent = harness.Begin(TestContent(1, 40_KiB));
  for (int round = 1; round <= 3; ++round) {
    sent.writer.Append(AsBytes("to be dropped"));
    sent.writer.Abandon();
    sent.writer.Append(AsBytes(sent.content));
    sent.writer.Finish(sent);
    ASSERT_TRUE(harness.TurnUntil([&] { return sent.committed == round; }));
    harness.ExpectWhole(sent);
  }
  EXPECT_EQ(harness.Live().size(), 3u);
}

TEST(MessageWriter, FinishBeforeRecoveryWaits) {
  SpoolHarness harness;
  harness.Start();
  harness.SendAndWait(TestContent(1, 100));
  harness.Restart(CrashMode::kNothingUnsynced);
  EXPECT_EQ(harness.spool->IntakeState(), CommitResult::kStored);
  EXPECT_FALSE(harness.spool->Congested());
}

TEST(MessageWriter, TwoHundredLargeMessagesAtOnceStayWithinTheBudget) {
  SpoolOptions options = SpoolHarness::SmallOptions();
  options.segment_bytes = 1_MiB;
  options.staging_bytes_max = 512_KiB;
  options.pending_bytes_max = 512_KiB;
  SpoolHarness harness(1, options);
  harness.Start();
  constexpr size_t kWriters = 200;
  constexpr size_t kBytes = 60_KiB;
  std::vector<Sent*> sent;
  std::vector<size_t> fed(kWriters, 0);
  for (size_t i = 0; i < kWriters; ++i) {
    sent.push_back(&harness.Begin(TestContent(i, kBytes)));
  }
  size_t open = kWriters;
  while (open > 0) {
    for (size_t i = 0; i < kWriters && !harness.spool->Congested(); ++i) {
      if (fed[i] == kBytes) {
        continue;
      }
      const size_t piece = std::min<size_t>(3000, kBytes - fed[i]);
      sent[i]->writer.Append(AsBytes(std::string_view(sent[i]->content).substr(fed[i], piece)));
      fed[i] += piece;
      if (fed[i] == kBytes) {
        sent[i]->writer.Finish(*sent[i]);
        --open;
      }
    }
    harness.Turn();
    // One piece of each writer may come on top of the budget.
    EXPECT_LE(harness.spool->Stats().staged_bytes, options.staging_bytes_max + 16_KiB);
  }
  ASSERT_TRUE(harness.TurnUntil([&] {
    return std::all_of(sent.begin(), sent.end(), [](const Sent* s) { return s->committed == 1; });
  }));
  for (const Sent* message : sent) {
    EXPECT_EQ(message->result, CommitResult::kStored);
    harness.ExpectWhole(*message);
  }
}

TEST(MessageWriter, ManySmallStagingsCannotBlockEachOther) {
  const uint64_t flushed = MarkCount("staging flushed over budget");
  SpoolHarness harness;
  harness.Start();
  // 100 x 4 KiB is above the budget of 128 KiB, and no single one is due.
  std::vector<Sent*> sent;
  for (uint64_t i = 0; i < 100; ++i) {
    sent.push_back(&harness.Begin(TestContent(i, 3000)));
    sent.back()->writer.Append(AsBytes(sent.back()->content));
  }
  EXPECT_TRUE(harness.spool->Congested());
  Told told;
  harness.spool->WaitUncongested(&told);
  ASSERT_TRUE(harness.TurnUntil([&] { return told.times == 1; }));
  EXPECT_FALSE(told.linked());
  EXPECT_GT(MarkCount("staging flushed over budget"), flushed);
  for (Sent* message : sent) {
    message->writer.Finish(*message);
  }
  ASSERT_TRUE(harness.TurnUntil([&] { return sent.back()->committed == 1; }));
  for (const Sent* message : sent) {
    harness.ExpectWhole(*message);
  }
}

// More than the budget for what is staged.
Sent& BeginLarge(SpoolHarness& harness) {
  Sent& sent = harness.Begin(TestContent(1, 200_KiB));
  sent.writer.Append(AsBytes(sent.content));
  return sent;
}

// A few a turn; there are turns for them although nothing else happens.
TEST(MessageWriter, AllThatWaitAreToldAtOnce) {
  SpoolHarness harness;
  harness.Start();
  Sent& sent = BeginLarge(harness);
  ASSERT_TRUE(harness.spool->Congested());
  std::vector<Told> all(400);
  for (Told& told : all) {
    harness.spool->WaitUncongested(&told);
  }
  sent.writer.Finish(sent);
  ASSERT_TRUE(harness.TurnUntil([&] { return sent.committed == 1; }));
  const auto is_told = [](const Told& told) { return told.times == 1; };
  EXPECT_TRUE(std::all_of(all.begin(), all.end(), is_told));
}

TEST(MessageWriter, AnEnvelopeThatFitsNowhereIsRefusedWithoutHarm) {
  SpoolHarness harness;
  harness.Start();
  Sent& huge = harness.Begin(TestContent(1, 100));
  const_cast<std::string&>(huge.envelope).assign(300_KiB, 'x');
  huge.writer.Append(AsBytes(huge.content));
  huge.writer.Finish(huge);
  ASSERT_TRUE(harness.TurnUntil([&] { return huge.committed == 1; }));
  EXPECT_EQ(huge.result, CommitResult::kFailed);
  Sent& next = harness.SendAndWait(TestContent(2, 100));
  EXPECT_EQ(next.result, CommitResult::kStored);
  harness.ExpectWhole(next);
}

TEST(MessageWriter, ACongestionWaiterMayDie) {
  SpoolHarness harness;
  harness.Start();
  Sent& sent = BeginLarge(harness);
  EXPECT_TRUE(harness.spool->Congested());
  {
    Told told;
    harness.spool->WaitUncongested(&told);
  }
  sent.writer.Finish(sent);
  ASSERT_TRUE(harness.TurnUntil([&] { return sent.committed == 1; }));
  harness.ExpectWhole(sent);
}

}  // namespace
}  // namespace backstay
