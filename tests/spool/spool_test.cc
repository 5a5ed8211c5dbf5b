// tests/spool/spool_test.cc -- the spool as its shard uses it, on a disk where nothing goes wrong.
#include "spool/spool.h"

#include "core/base/mark.h"
#include "spool/checkpoint.h"
#include "tests/spool/spool_harness.h"

namespace backstay {
namespace {

TEST(Spool, SmallMessageComesBackByteForByte) {
  SpoolHarness harness;
  harness.Start();
  Sent& sent = harness.SendAndWait(TestContent(1, 3000), {"a.example", "b.example", "a.example"});
  EXPECT_EQ(sent.committed, 1);
  EXPECT_EQ(sent.result, CommitResult::kStored);
  harness.ExpectWhole(sent);
  EXPECT_EQ(harness.spool->Id(sent.message), sent.id);
  EXPECT_EQ(harness.Live("a.example"), std::vector{sent.message});
  EXPECT_EQ(harness.Live("b.example"), std::vector{sent.message});
  EXPECT_EQ(harness.spool->LiveRecipients(harness.spool->Intern("a.example")), 2u);
  EXPECT_EQ(harness.spool->Recipients(sent.message), 3u);
  EXPECT_EQ(harness.live_events.size(), 2u);
}

TEST(Spool, EmptyContentIsAMessageToo) {
  SpoolHarness harness;
  harness.Start();
  Sent& sent = harness.SendAndWait("", {""});
  EXPECT_EQ(sent.result, CommitResult::kStored);
  harness.ExpectWhole(sent);
}

TEST(Spool, LargeMessageComesBackByteForByte) {
  for (const size_t bytes : {16_KiB - 1, 16_KiB, 16_KiB + 1, 100_KiB, 700_KiB}) {
    SpoolHarness harness;
    harness.Start();
    Sent& sent = harness.Begin(TestContent(bytes, bytes));
    for (size_t at = 0; at < bytes; at += 10'000) {
      sent.writer.Append(AsBytes(std::string_view(sent.content).substr(at, 10'000)));
      harness.Turn();
    }
    EXPECT_EQ(sent.writer.content_bytes(), bytes);
    sent.writer.Finish(sent);
    ASSERT_TRUE(harness.TurnUntil([&] { return sent.committed == 1; }));
    EXPECT_EQ(sent.result, CommitResult::kStored);
    harness.ExpectWhole(sent);
  }
}

TEST(Spool, OneSyncServesAllThatGatheredMeanwhile) {
  SpoolHarness harness;
  harness.Start();
  harness.Idle(absl::Seconds(1));
  const uint64_t syncs_before = harness.spool->Stats().syncs;
  Sent& first = harness.Send(TestContent(0, 500));
  harness.spool->CommitTurn();  // takes the first alone
  std::vector<Sent*> others;
  for (uint64_t i = 1; i <= 50; ++i) {
    others.push_back(&harness.Send(TestContent(i, 500)));
    harness.spool->CommitTurn();
  }
  ASSERT_TRUE(harness.TurnUntil([&] { return others.back()->committed == 1; }));
  EXPECT_EQ(first.result, CommitResult::kStored);
  EXPECT_EQ(harness.spool->Stats().syncs, syncs_before + 2);
  for (const Sent* sent : others) {
    EXPECT_EQ(sent->committed, 1);
  }
}

TEST(Spool, NothingIsToldBeforeItIsDurable) {
  SpoolHarness harness;
  harness.Start();
  for (uint64_t i = 0; i < 20; ++i) {
    Sent& sent = harness.Send(TestContent(i, 2000));
    ASSERT_TRUE(harness.TurnUntil([&] { return sent.committed == 1; }));
    const std::string durable =
        *harness.disk().DurableContents(SpoolHarness::SegmentPath(sent.message.segment));
    EXPECT_NE(durable.find(sent.content), std::string::npos);
  }
}

TEST(Spool, WaitersRunInTheOrderOfTheLog) {
  SpoolHarness harness;
  harness.Start();
  std::vector<Sent*> sent;
  for (uint64_t i = 0; i < 30; ++i) {
    sent.push_back(&harness.Send(TestContent(i, 100)));
  }
  ASSERT_TRUE(harness.TurnUntil([&] { return sent.back()->committed == 1; }));
  for (size_t i = 0; i < sent.size(); ++i) {
    EXPECT_EQ(harness.live_events[i].second, sent[i]->message);
    EXPECT_TRUE(i == 0 || sent[i - 1]->message < sent[i]->message);
  }
}

TEST(Spool, SettledRecipientsStaySettledOverARestart) {
  SpoolHarness harness;
  harness.Start();
  const std::vector<std::string> recipients = {"a.example", "a.example", "b.example", "a.example"};
  const MessageRef message = harness.SendAndWait(TestContent(1, 100), recipients).message;
  harness.Settle(message, 0);
  harness.Settle(message, 1, SettleKind::kFailed, "550 no such user");
  harness.Settle(message, 3, SettleKind::kQuarantined);
  harness.Idle(absl::Seconds(1));
  for (int run = 0; run < 3; ++run) {
    EXPECT_EQ(harness.Live("a.example"), std::vector<MessageRef>());
    EXPECT_EQ(harness.Live("b.example"), std::vector{message});
    const SpoolStats stats = harness.spool->Stats();
    EXPECT_EQ(stats.messages_live, 1u);
    EXPECT_EQ(stats.recipients_live, 1u);
    EXPECT_EQ(stats.recipients_dsn_pending, 1u);
    EXPECT_EQ(stats.recipients_quarantined, 1u);
    harness.Restart(CrashMode::kNothingUnsynced);
  }
}

TEST(Spool, ADebtKeepsTheMessageUntilItIsPaid) {
  SpoolHarness harness;
  harness.Start();
  const MessageRef message = harness.SendAndWait(TestContent(1, 100)).message;
  harness.Settle(message, 0, SettleKind::kFailed, "550");
  EXPECT_EQ(harness.spool->Stats().messages_live, 1u);
  harness.Settle(message, 0, SettleKind::kDiscarded);
  harness.Idle(absl::Seconds(1));
  harness.Restart(CrashMode::kNothingUnsynced);
  EXPECT_EQ(harness.spool->Stats().messages_live, 0u);
  EXPECT_EQ(harness.spool->Stats().recipients_dsn_pending, 0u);
}

TEST(Spool, TheLastNoteOfALiveRecipientIsFoundAgain) {
  SpoolHarness harness;
  harness.Start();
  const MessageRef message =
      harness.SendAndWait(TestContent(1, 100), {"a.example", "b.example"}).message;
  const DomainId a = harness.spool->Intern("a.example");
  const DomainId b = harness.spool->Intern("b.example");
  harness.spool->Defer(message, 0, a, AsBytes("first"));
  harness.spool->Defer(message, 1, b, AsBytes("settled later"));
  harness.Idle(absl::Seconds(1));
  harness.spool->Defer(message, 0, a, AsBytes("second"));
  harness.Settle(message, 1);
  harness.Idle(absl::Seconds(1));
  for (int run = 0; run < 2; ++run) {
    harness.Restart(CrashMode::kNothingUnsynced);
    ASSERT_EQ(harness.deferrals.size(), 1u);
    EXPECT_EQ((harness.deferrals[{message, 0}]), "second");
  }
}

// Each is in memory and in every checkpoint. A debt is none of those that may be forgotten.
TEST(Spool, NotesOfDeferralsAreBoundedAndThoseOfFailuresAreNot) {
  constexpr uint32_t kRecipients = 1000;
  SpoolOptions options = SpoolHarness::SmallOptions();
  options.segment_bytes = 16_MiB;
  SpoolHarness harness(1, options);
  harness.Start();
  const DomainId domain = harness.spool->Intern("a.example");
  const std::vector<std::string> recipients(kRecipients, "a.example");
  std::vector<MessageRef> messages;
  for (uint64_t i = 0; i <= kNotesMax / kRecipients; ++i) {
    messages.push_back(harness.SendAndWait(TestContent(i, 100), recipients).message);
  }
  const MessageRef first = messages.front();
  const MessageRef last = messages.back();
  for (uint32_t i = 0; i < kNotesMax + 10; ++i) {
    harness.spool->Defer(messages[i / kRecipients], i % kRecipients, domain, AsBytes("450"));
  }
  for (uint32_t i = 500; i < 503; ++i) {
    harness.Settle(last, i, SettleKind::kFailed, "550 no such user");
  }
  harness.spool->Defer(first, 0, domain, AsBytes("451"));
  const auto restart = [&] {
    const uint64_t wanted = harness.spool->SettlesQueued();
    EXPECT_TRUE(harness.TurnUntil([&] { return harness.spool->OutcomesSynced() >= wanted; }));
    harness.Restart(CrashMode::kNothingUnsynced);
  };
  restart();
  EXPECT_EQ(harness.deferrals.size(), kNotesMax - 3) << "failures have their places";
  EXPECT_EQ((harness.deferrals[{first, 0}]), "451");
  EXPECT_FALSE(harness.deferrals.contains({last, 5}));
  EXPECT_EQ(AsText(harness.spool->FailureOf(last, 500)), "550 no such user");
  const uint64_t queued = harness.spool->SettlesQueued();
  harness.spool->Defer(last, 7, domain, AsBytes("452 and no room"));
  EXPECT_EQ(harness.spool->SettlesQueued(), queued) << "nor in the log";
  for (uint32_t i = 1; i <= 10; ++i) {
    harness.Settle(first, i);
  }
  harness.spool->Defer(last, 8, domain, AsBytes("452"));
  restart();
  EXPECT_LE(harness.deferrals.size(), kNotesMax - 3);
  EXPECT_FALSE(harness.deferrals.contains({last, 7}));
  EXPECT_EQ((harness.deferrals[{last, 8}]), "452");
  EXPECT_EQ(AsText(harness.spool->FailureOf(last, 502)), "550 no such user");
}

TEST(Spool, TheClockRunsOnlyWhileTheDaemonRuns) {
  SpoolHarness harness;
  harness.Start();
  const SpoolTime start = harness.spool->Clock();
  const MessageRef message = harness.SendAndWait(TestContent(1, 100)).message;
  harness.Idle(absl::Minutes(10));
  const SpoolTime before = harness.spool->Clock();
  EXPECT_GE(before - start, absl::Minutes(10));
  harness.Crash(CrashMode::kNothingUnsynced);
  harness.world.RunFor(absl::Hours(24 * 30));
  harness.world.StepWallClock(absl::Hours(-24 * 365));
  harness.Start();
  const absl::Duration lost = before - harness.spool->Clock();
  EXPECT_LE(lost, absl::Seconds(61));  // what was not saved yet
  EXPECT_GE(lost, absl::Seconds(-5));
  EXPECT_EQ(harness.spool->Arrival(message), SpoolTime() + absl::Seconds(0));
}

TEST(Spool, ManySegmentsAndARestartKeepOrderAndContent) {
  SpoolHarness harness;
  harness.Start();
  std::map<MessageRef, std::pair<std::string, std::string>> expected;
  for (uint64_t i = 0; i < 60; ++i) {
    Sent& sent = harness.SendAndWait(TestContent(i, 100 + i * 700));
    ASSERT_EQ(sent.result, CommitResult::kStored);
    expected[sent.message] = {sent.envelope, sent.prefix + sent.content};
  }
  EXPECT_GE(harness.SegmentFiles().size(), 4u);
  harness.Restart(CrashMode::kNothingUnsynced);
  const std::vector<MessageRef> live = harness.Live();
  ASSERT_EQ(live.size(), expected.size());
  EXPECT_TRUE(std::is_sorted(live.begin(), live.end()));
  ASSERT_EQ(harness.live_events.size(), 1U);  // the oldest speaks for its domain
  EXPECT_EQ(harness.live_events[0].second, live[0]);
  for (const auto& [message, wanted] : expected) {
    const ReadBack back = harness.Read(message);
    EXPECT_EQ(back.envelope, wanted.first);
    EXPECT_TRUE(back.content == wanted.second);
  }
  EXPECT_EQ(harness.spool->Stats().damaged_records, 0u);
  EXPECT_EQ(harness.spool->Stats().torn_tails, 0u);
}

TEST(Spool, NothingGoesWrongUnderTheMannersOfTheKernel) {
  const uint64_t short_writes = MarkCount("short write continued");
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    SpoolHarness harness(seed, SpoolHarness::SmallOptions(), FaultPlan::Manners());
    harness.Start();
    std::map<MessageRef, std::string> expected;
    for (uint64_t i = 0; i < 30; ++i) {
      Sent& sent = harness.SendAndWait(TestContent(i, 100 + i * 1500));
      ASSERT_EQ(sent.result, CommitResult::kStored);
      harness.ExpectWhole(sent);
      expected[sent.message] = sent.prefix + sent.content;
    }
    harness.Restart(CrashMode::kNothingUnsynced);
    for (const auto& [message, content] : expected) {
      EXPECT_TRUE(harness.Read(message).content == content);
    }
    EXPECT_EQ(harness.spool->Stats().damaged_records, 0u);
  }
  EXPECT_GT(MarkCount("short write continued"), short_writes);
}

TEST(Spool, CloseLeavesNothingBehind) {
  SpoolHarness harness;
  harness.Start();
  const MessageRef message =
      harness.SendAndWait(TestContent(1, 100), {"a.example", "b.example"}).message;
  Sent& late = harness.Send(TestContent(2, 100));
  harness.Settle(message, 0);
  ASSERT_TRUE(harness.CloseAndWait());
  EXPECT_EQ(late.result, CommitResult::kStored);
  harness.Restart(CrashMode::kNothingUnsynced);
  EXPECT_EQ(harness.Live("a.example").size(), 1u);
  EXPECT_EQ(harness.Live("b.example"), std::vector{message});
}

TEST(Spool, CloseDuringRecoveryEndsToo) {
  SpoolHarness harness;
  harness.Start();
  harness.SendAndWait(TestContent(1, 100));
  harness.Crash(CrashMode::kNothingUnsynced);
  harness.Start();
  ASSERT_TRUE(harness.CloseAndWait());
}

TEST(Spool, AnIdleShardWritesASuccessorAndThenOnlyTheClock) {
  SpoolHarness harness;
  harness.Start();
  harness.Idle(absl::Seconds(1));
  const uint64_t before = harness.spool->Stats().batches;
  harness.SendAndWait(TestContent(1, 100));
  harness.Idle(absl::Seconds(30));
  EXPECT_EQ(harness.spool->Stats().batches, before + 2);
  harness.Idle(absl::Minutes(10));
  EXPECT_LE(harness.spool->Stats().batches, before + 2 + 11);
}

TEST(Spool, OutcomesGatherBehindASyncAndDoNotHoldUpMail) {
  SpoolHarness harness;
  harness.Start();
  std::vector<MessageRef> messages;
  for (uint64_t i = 0; i < 100; ++i) {
    messages.push_back(harness.SendAndWait(TestContent(i, 100)).message);
  }
  harness.Idle(absl::Seconds(1));
  const uint64_t before = harness.spool->Stats().syncs;
  const Instant begin = harness.io->Now();
  for (const MessageRef message : messages) {
    harness.Settle(message, 0);
    harness.Turn(absl::Microseconds(50));
  }
  const auto is_decided = [&] {
    return harness.spool->SettlesDecided() == harness.spool->SettlesQueued();
  };
  ASSERT_TRUE(harness.TurnUntil(is_decided, absl::Milliseconds(20)));
  const absl::Duration took = harness.io->Now() - begin;
  EXPECT_LE(harness.spool->Stats().syncs - before,
            2 + static_cast<uint64_t>(took / absl::Milliseconds(1)));
  // One that is alone goes at once, and mail takes along what has gathered.
  harness.Idle(absl::Seconds(1));
  const MessageRef message = harness.SendAndWait(TestContent(100, 100)).message;
  harness.Settle(message, 0);
  const Sent& mail = harness.Send(TestContent(101, 100));
  const uint64_t syncs = harness.spool->Stats().syncs;
  ASSERT_TRUE(harness.TurnUntil([&] { return mail.committed == 1; }));
  EXPECT_TRUE(is_decided());
  EXPECT_EQ(harness.spool->Stats().syncs, syncs + 1);
}

TEST(Spool, NumbersOfSegmentsAreNeverUsedAgain) {
  SpoolHarness harness;
  harness.Start();
  std::set<MessageRef> places;
  for (uint64_t run = 0; run < 5; ++run) {
    Sent& sent = harness.SendAndWait(TestContent(run, 100));
    EXPECT_TRUE(places.insert(sent.message).second);
    harness.Settle(sent.message, 0);
    harness.Idle(absl::Seconds(1));
    harness.Restart(CrashMode::kNothingUnsynced);
  }
}

}  // namespace
}  // namespace backstay
