// tests/spool/rules_test.cc -- rules in one shard's log: counted, in force, durable, carried out.
#include "core/base/log.h"
#include "spool/rule_book.h"
#include "spool/spool_impl.h"
#include "tests/spool/spool_harness.h"

namespace backstay {
namespace {

class RulesTest : public testing::Test {
 protected:
  RulesTest() {
    SetLogSink([](LogLevel, std::string_view) {});
    SpoolOptions options = SpoolHarness::SmallOptions();
    options.segment_bytes = 64_KiB;
    harness = std::make_unique<SpoolHarness>(1, options);
    harness->Start();
  }
  ~RulesTest() override { SetLogSink(nullptr); }

  Spool& spool() { return *harness->spool; }
  DomainId Id(std::string_view domain) { return spool().Intern(domain); }

  // Over several segments: even ones to a, odd ones to b, every tenth to both.
  void Fill(uint32_t messages) {
    for (uint32_t i = 0; i < messages; ++i) {
      std::vector<std::string> recipients = {i % 2 == 0 ? "a.example" : "b.example"};
      if (i % 10 == 0) {
        recipients = {"b.example", "a.example", "a.example"};
      }
      Sent& sent = harness->SendAndWait(TestContent(i, 2000), recipients);
      ASSERT_EQ(sent.result, CommitResult::kStored);
    }
  }

  Rule RuleFor(RuleVerb verb, std::vector<std::string> domains = {}) {
    Rule rule;
    rule.verb = verb;
    rule.epoch = ++epoch_;
    rule.domains = std::move(domains);
    return rule;
  }
  uint64_t Apply(const Rule& rule) { return spool().ApplyRule(rule); }
  bool Sync() {
    const uint64_t wanted = spool().SettlesQueued();
    return harness->TurnUntil([&] { return spool().OutcomesSynced() >= wanted; });
  }
  MessageRef First(std::string_view domain) { return *spool().NextLive(Id(domain), std::nullopt); }

  std::unique_ptr<SpoolHarness> harness;

 private:
  uint64_t epoch_ = 0;
};

TEST_F(RulesTest, DeletesADomainAndNothingElse) {
  Fill(100);
  const uint64_t of_a = spool().LiveRecipients(Id("a.example"));
  const uint64_t of_b = spool().LiveRecipients(Id("b.example"));
  EXPECT_EQ(of_a, 60U);
  harness->Settle(First("a.example"), 1, SettleKind::kFailed, "550");
  const Rule rule = RuleFor(RuleVerb::kDelete, {"a.example"});
  Rule hold = rule;
  hold.verb = RuleVerb::kHold;
  EXPECT_EQ(spool().CountRule(hold), of_a - 1);
  EXPECT_EQ(spool().CountRule(rule), of_a);  // with the report that it ends
  EXPECT_EQ(Apply(rule), of_a);
  EXPECT_FALSE(spool().NextDeliverable(Id("a.example"), std::nullopt).has_value());
  harness->Idle(absl::Seconds(2));
  EXPECT_EQ(spool().LiveRecipients(Id("a.example")), 0U);
  EXPECT_EQ(spool().LiveRecipients(Id("b.example")), of_b);
  EXPECT_EQ(spool().Stats().recipients_dsn_pending, 0U);
  EXPECT_EQ(spool().Stats().messages_live, 60U);
  Sent& later = harness->SendAndWait("later", {"a.example"});
  EXPECT_EQ(spool().NextDeliverable(Id("a.example"), std::nullopt), later.message);
}

// Counted for each domain, also of those that a start finds.
TEST_F(RulesTest, ADeleteCountsTheReportsThatItEnds) {
  Fill(30);
  const Rule of_a = RuleFor(RuleVerb::kDelete, {"a.example"});
  const Rule of_all = RuleFor(RuleVerb::kDelete);
  const MessageRef both = First("a.example");
  for (uint32_t recipient = 0; recipient < 3; ++recipient) {
    harness->Settle(both, recipient, SettleKind::kFailed, "550");
  }
  harness->Settle(First("b.example"), 0, SettleKind::kFailed, "550");
  harness->Settle(both, 2, SettleKind::kDelivered);  // its report is made
  ASSERT_TRUE(Sync());
  for (const bool is_restarted : {false, true}) {
    if (is_restarted) {
      harness->Restart(CrashMode::kNothingUnsynced);
    }
    EXPECT_EQ(spool().Stats().recipients_dsn_pending, 3U);
    EXPECT_EQ(spool().CountRule(of_a), spool().LiveRecipients(Id("a.example")) + 1);
    EXPECT_EQ(spool().CountRule(of_all), spool().Stats().recipients_live + 3);
    EXPECT_EQ(spool().CountInMessage(of_a, both), 2U);
    Rule bounce = of_a;
    bounce.verb = RuleVerb::kExpire;
    EXPECT_EQ(spool().CountInMessage(bounce, both), 0U);
  }
  Apply(of_all);
  harness->Idle(absl::Seconds(2));
  EXPECT_EQ(spool().CountRule(of_all), 0U);
}

TEST_F(RulesTest, DeletingAllGivesTheSegmentsBack) {
  Fill(100);
  EXPECT_GT(harness->SegmentFiles().size(), 4U);
  Apply(RuleFor(RuleVerb::kDelete));
  harness->Idle(absl::Seconds(5));
  EXPECT_EQ(spool().Stats().messages_live, 0U);
  EXPECT_LE(harness->SegmentFiles().size(), 3U);
}

TEST_F(RulesTest, AreInForceAfterACrashOnceTheyAreOnDisk) {
  Fill(60);
  const MessageRef first = First("a.example");
  Apply(RuleFor(RuleVerb::kHold, {"a.example"}));
  Apply(RuleFor(RuleVerb::kReset, {"b.example"}));
  Apply(RuleFor(RuleVerb::kDelete, {"b.example"}));
  ASSERT_TRUE(Sync());
  harness->Restart(CrashMode::kNothingUnsynced);
  EXPECT_TRUE(spool().StandingOf(first, Id("a.example")).is_held);
  EXPECT_GT(spool().StandingOf(first, Id("b.example")).age_from, SpoolTime());
  EXPECT_FALSE(spool().NextDeliverable(Id("a.example"), std::nullopt).has_value());
  EXPECT_FALSE(spool().NextDeliverable(Id("b.example"), std::nullopt).has_value());
  harness->Idle(absl::Seconds(2));
  EXPECT_EQ(spool().LiveRecipients(Id("b.example")), 0U);
  EXPECT_EQ(spool().LastRule().epoch, 3U);
}

TEST_F(RulesTest, AreGoneWhenTheyNeverReachedTheDisk) {
  Fill(20);
  harness->Idle(absl::Seconds(1));
  Apply(RuleFor(RuleVerb::kDelete));
  harness->Restart(CrashMode::kNothingUnsynced);
  EXPECT_EQ(spool().LiveRecipients(Id("b.example")), 12U);
  EXPECT_EQ(spool().LastRule().epoch, 0U);
}

// The checkpoint has the rules of segments that are not read again.
TEST_F(RulesTest, AreKnownFromACheckpointAndFromAScanAlike) {
  Fill(30);
  const MessageRef first = First("a.example");
  Apply(RuleFor(RuleVerb::kHold, {"a.example"}));
  Apply(RuleFor(RuleVerb::kReset));
  Fill(60);
  harness->Idle(absl::Seconds(2));
  const Standing before = spool().StandingOf(first, Id("a.example"));
  for (const bool with_checkpoint : {true, false}) {
    harness->Crash(CrashMode::kNothingUnsynced);
    if (!with_checkpoint) {
      harness->DeleteCheckpoints();
    }
    harness->Start();
    const Standing after = spool().StandingOf(first, Id("a.example"));
    EXPECT_TRUE(after.is_held);
    EXPECT_EQ(after.schedule_from, before.schedule_from);
    EXPECT_EQ(spool().LastRule().epoch, 2U);
    EXPECT_GT(*spool().NextDeliverable(Id("a.example"), std::nullopt), first);
  }
}

TEST_F(RulesTest, ARuleOnAFailingDiskWaitsAndSpeaksForNothingNewer) {
  Fill(10);
  harness->Idle(absl::Seconds(1));
  FaultPlan faults = FaultPlan::None();
  faults.sync_error = 1'000'000;
  harness->world.SetPlan(faults);
  Apply(RuleFor(RuleVerb::kDelete, {"a.example"}));
  EXPECT_FALSE(Sync());
  harness->world.SetPlan(FaultPlan::None());
  harness->TurnUntil([&] { return spool().IntakeState() == CommitResult::kStored; });
  const MessageRef later = harness->SendAndWait("later", {"a.example"}).message;
  ASSERT_TRUE(Sync());
  harness->Restart(CrashMode::kNothingUnsynced);
  harness->Idle(absl::Seconds(1));
  EXPECT_EQ(harness->Live("a.example"), std::vector<MessageRef>{later});
}

// It lies before the cut, and the index learns of it when its batch is stored.
TEST_F(RulesTest, DeletesWhatIsOnItsWayToTheDisk) {
  Fill(10);
  harness->Idle(absl::Seconds(1));
  Sent& sent = harness->Send("on its way", {"a.example"});
  spool().CommitTurn();
  Apply(RuleFor(RuleVerb::kDelete));
  EXPECT_EQ(sent.committed, 0);
  ASSERT_TRUE(harness->TurnUntil([&] { return sent.committed == 1; }));
  EXPECT_EQ(sent.result, CommitResult::kStored);
  const MessageRef later = harness->SendAndWait("later", {"a.example"}).message;
  harness->Idle(absl::Seconds(1));
  EXPECT_EQ(harness->Live("a.example"), std::vector<MessageRef>{later});
  EXPECT_TRUE(harness->Live("b.example").empty());
  EXPECT_EQ(spool().Stats().deletions_open, 0U);
}

// A rule that this shard missed speaks for all that earlier runs stored, and for nothing else.
TEST_F(RulesTest, ALateRuleIsForEarlierRuns) {
  Fill(10);
  harness->Idle(absl::Seconds(1));
  harness->Restart(CrashMode::kNothingUnsynced);
  Sent& later = harness->SendAndWait("later", {"a.example"});
  const uint64_t of_a = spool().LiveRecipients(Id("a.example"));
  EXPECT_EQ(spool().ApplyRule(RuleFor(RuleVerb::kHold, {"a.example"}), spool().RunStart()),
            of_a - 1);
  EXPECT_EQ(spool().NextDeliverable(Id("a.example"), std::nullopt), later.message);
  EXPECT_EQ(spool().HeldBefore(Id("a.example")), spool().RunStart());
}

// By a checkpoint, by a scan, and in a log that was written since.
TEST_F(RulesTest, AStopHoldsWhatComesUntilItIsStarted) {
  Fill(20);
  EXPECT_EQ(Apply(RuleFor(RuleVerb::kTrip, {"a.example"})), 12U);
  for (const bool with_checkpoint : {true, false}) {
    Fill(60);
    harness->Idle(absl::Seconds(2));
    ASSERT_TRUE(Sync());
    harness->Crash(CrashMode::kNothingUnsynced);
    if (!with_checkpoint) {
      harness->DeleteCheckpoints();
    }
    harness->Start();
    EXPECT_EQ(spool().StopOf(Id("a.example")), DomainStop::kByBreaker);
    EXPECT_EQ(spool().StopOf(Id("b.example")), DomainStop::kNone);
    EXPECT_FALSE(spool().NextDeliverable(Id("a.example"), std::nullopt).has_value());
    EXPECT_TRUE(spool().NextDeliverable(Id("b.example"), std::nullopt).has_value());
  }
  const uint64_t waiting = spool().LiveRecipients(Id("a.example"));
  EXPECT_EQ(Apply(RuleFor(RuleVerb::kStart, {"a.example"})), waiting);
  ASSERT_TRUE(Sync());
  harness->Restart(CrashMode::kNothingUnsynced);
  EXPECT_EQ(spool().StopOf(Id("a.example")), DomainStop::kNone);
  EXPECT_EQ(spool().NextDeliverable(Id("a.example"), std::nullopt), First("a.example"));
}

// From the log after the crash, and from a checkpoint with the next one.
TEST_F(RulesTest, WhatIsParkedIsParkedAfterACrash) {
  Fill(100);
  const MessageRef own = First("b.example");
  ASSERT_TRUE(spool().ApplyToMessage(RuleFor(RuleVerb::kReset), own).has_value());
  std::optional<MessageRef> last;
  for (int i = 0; i < 40; ++i) {
    last = spool().NextLive(Id("b.example"), last);
  }
  spool().Park(Id("b.example"), *last);
  spool().MarkTold(Id("a.example"), *last);
  ASSERT_TRUE(Sync());
  for (int run = 0; run < 3; ++run) {
    EXPECT_FALSE(spool().StandingOf(own, Id("b.example")).is_held);  // has an age of its own
    EXPECT_TRUE(spool().StandingOf(*last, Id("b.example")).is_parked);
    EXPECT_FALSE(spool().StandingOf(*last, Id("a.example")).is_held);
    const auto next = spool().NextDeliverable(Id("b.example"), own);
    ASSERT_TRUE(next.has_value());
    EXPECT_GT(*next, *last);
    EXPECT_EQ(spool().CountRule(RuleFor(RuleVerb::kRelease, {"b.example"})), 39U);
    EXPECT_EQ(spool().ToldBefore(Id("a.example")), (MessageRef{last->segment, last->block + 1}));
    EXPECT_EQ(spool().ToldBefore(Id("b.example")), MessageRef());
    if (run == 1) {
      ASSERT_TRUE(harness->CloseAndWait());
    }
    harness->Restart(CrashMode::kNothingUnsynced);
  }
  EXPECT_EQ(Apply(RuleFor(RuleVerb::kRelease, {"b.example"})), 39U);
  EXPECT_FALSE(spool().StandingOf(*last, Id("b.example")).is_held);
}

TEST_F(RulesTest, ReleaseCountsWhatIsHeld) {
  Fill(20);
  Apply(RuleFor(RuleVerb::kHold, {"a.example"}));
  const uint64_t held = spool().LiveRecipients(Id("a.example"));
  Fill(20);
  EXPECT_EQ(spool().CountRule(RuleFor(RuleVerb::kRelease, {"a.example"})), held);
  EXPECT_EQ(spool().CountRule(RuleFor(RuleVerb::kRelease)), held);
  EXPECT_EQ(spool().CountRule(RuleFor(RuleVerb::kRelease, {"b.example"})), 0U);
}

// ---- for one message ----

TEST_F(RulesTest, AMessageIsHeldAndReleasedByItself) {
  Fill(60);
  const std::vector<MessageRef> live = harness->Live("a.example");
  ASSERT_EQ(spool().ApplyToMessage(RuleFor(RuleVerb::kHold), live[0]), 3U);  // with both domains
  ASSERT_EQ(spool().ApplyToMessage(RuleFor(RuleVerb::kHold), live[2]), 1U);
  EXPECT_EQ(spool().NextDeliverable(Id("a.example"), std::nullopt), live[1]);
  EXPECT_EQ(spool().NextDeliverable(Id("a.example"), live[1]), live[3]);
  ASSERT_TRUE(Sync());
  harness->Restart(CrashMode::kNothingUnsynced);
  EXPECT_TRUE(spool().StandingOf(live[0], Id("b.example")).is_held);
  EXPECT_EQ(spool().NextDeliverable(Id("a.example"), live[1]), live[3]);
  EXPECT_EQ(spool().ApplyToMessage(RuleFor(RuleVerb::kRelease), live[2]), 1U);
  EXPECT_EQ(spool().ApplyToMessage(RuleFor(RuleVerb::kRelease), live[2]), 0U);  // not held
  EXPECT_EQ(spool().NextDeliverable(Id("a.example"), live[1]), live[2]);
}

TEST_F(RulesTest, AMessageIsTakenOutOfAHold) {
  Fill(60);
  const std::vector<MessageRef> live = harness->Live("a.example");
  const uint64_t of_a = Apply(RuleFor(RuleVerb::kHold, {"a.example"}));
  EXPECT_FALSE(spool().NextDeliverable(Id("a.example"), std::nullopt).has_value());
  EXPECT_EQ(spool().ApplyToMessage(RuleFor(RuleVerb::kRelease), live[7]), 1U);
  ASSERT_TRUE(Sync());
  for (int run = 0; run < 2; ++run) {
    EXPECT_EQ(spool().NextDeliverable(Id("a.example"), std::nullopt), live[7]);
    EXPECT_FALSE(spool().NextDeliverable(Id("a.example"), live[7]).has_value());
    EXPECT_EQ(spool().CountRule(RuleFor(RuleVerb::kRelease, {"a.example"})), of_a - 1);
    harness->Restart(CrashMode::kNothingUnsynced);
  }
}

// Whoever held it.
TEST_F(RulesTest, ReleasingADomainReleasesMessagesHeldByThemselves) {
  Fill(20);
  const std::vector<MessageRef> live = harness->Live("a.example");
  spool().ApplyToMessage(RuleFor(RuleVerb::kHold), live[1]);
  const MessageRef of_b = harness->Live("b.example")[1];
  spool().ApplyToMessage(RuleFor(RuleVerb::kHold), of_b);
  const Rule release = RuleFor(RuleVerb::kRelease, {"a.example"});
  EXPECT_EQ(spool().CountRule(release), 1U);
  EXPECT_EQ(Apply(release), 1U);
  ASSERT_TRUE(Sync());
  harness->Restart(CrashMode::kNothingUnsynced);
  EXPECT_FALSE(spool().StandingOf(live[1], Id("a.example")).is_held);
  EXPECT_TRUE(spool().StandingOf(of_b, Id("b.example")).is_held);
}

// A report asks it of each of thousands of domains, the delivery for each message.
TEST_F(RulesTest, AQuestionForOneDomainReadsNothingOfWhatOthersHaveOfTheirOwn) {
  Fill(200);
  const MessageRef of_c = harness->SendAndWait("other", {"c.example"}).message;
  Apply(RuleFor(RuleVerb::kHold, {"c.example"}));
  spool().ApplyToMessage(RuleFor(RuleVerb::kHold), of_c);
  for (const MessageRef message : harness->Live("b.example")) {
    ASSERT_TRUE(spool().ApplyToMessage(RuleFor(RuleVerb::kHold), message).has_value());
  }
  const Rule release = RuleFor(RuleVerb::kRelease, {"c.example"});
  ASSERT_TRUE(Sync());
  for (const bool is_restarted : {false, true}) {
    if (is_restarted) {
      harness->Restart(CrashMode::kNothingUnsynced);
    }
    EXPECT_EQ(spool().CountRule(release), 1U);  // the first one finds whose they are
    const Index& index = spool().impl().index();
    const uint64_t read = index.entries_read();
    for (int i = 0; i < 50; ++i) {
      EXPECT_EQ(spool().CountRule(release), 1U);
      EXPECT_FALSE(spool().NextDeliverable(Id("c.example"), std::nullopt).has_value());
    }
    EXPECT_LT(index.entries_read() - read, 50U * 100);
    EXPECT_EQ(spool().CountRule(RuleFor(RuleVerb::kRelease)), 161U);
  }
  EXPECT_EQ(Apply(RuleFor(RuleVerb::kRelease, {"a.example", "b.example"})), 160U);
  EXPECT_EQ(spool().CountRule(RuleFor(RuleVerb::kRelease)), 1U);
  EXPECT_FALSE(spool().NextDeliverable(Id("c.example"), std::nullopt).has_value());
  const uint64_t read = spool().impl().index().entries_read();
  for (int i = 0; i < 50; ++i) {
    // What was released by its own is no reason to look at it for another domain.
    EXPECT_FALSE(spool().NextDeliverable(Id("c.example"), std::nullopt).has_value());
  }
  EXPECT_LT(spool().impl().index().entries_read() - read, 50U * 100);
}

TEST_F(RulesTest, AMessageIsDeletedOrGivenUpByItself) {
  Fill(20);
  const std::vector<MessageRef> live = harness->Live("a.example");
  const uint64_t before = spool().Stats().messages_live;
  EXPECT_EQ(spool().ApplyToMessage(RuleFor(RuleVerb::kDelete), live[0]), 3U);
  EXPECT_EQ(spool().Stats().messages_live, before - 1);
  EXPECT_EQ(spool().ApplyToMessage(RuleFor(RuleVerb::kExpire), live[3]), 1U);
  EXPECT_EQ(spool().NextExpired(std::nullopt), live[3]);
  EXPECT_FALSE(spool().NextExpired(live[3]).has_value());
  EXPECT_EQ(spool().ApplyToMessage(RuleFor(RuleVerb::kHold), live[4]), 1U);
  ASSERT_TRUE(Sync());
  harness->Restart(CrashMode::kNothingUnsynced);
  EXPECT_FALSE(spool().IsOwed(live[0]));
  EXPECT_EQ(spool().NextExpired(std::nullopt), live[3]);
}

TEST_F(RulesTest, ManyMessagesHaveAWordAndNoneIsLost) {
  Fill(3);
  const std::vector<MessageRef> live = harness->Live("b.example");
  for (size_t i = 0; i < 3 * RuleBook::kMessagesMax; ++i) {
    ASSERT_TRUE(spool().ApplyToMessage(RuleFor(RuleVerb::kReset), live[i % live.size()]));
    if (i % 1000 == 0) {
      ASSERT_TRUE(Sync());
    }
  }
}

}  // namespace
}  // namespace backstay
