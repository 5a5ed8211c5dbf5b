// tests/spool/crash_test.cc -- the machine stops after any event, and what was acknowledged is
// there.
#include "core/base/log.h"
#include "core/base/mark.h"
#include "tests/spool/spool_harness.h"

namespace backstay {
namespace {

class CrashTest : public testing::Test {
 protected:
  CrashTest() {
    if (std::getenv("SPOOL_LOG") == nullptr) {
      SetLogSink([](LogLevel, std::string_view) {});
    }
    options.segment_bytes = 128_KiB;
  }
  ~CrashTest() override { SetLogSink(nullptr); }

  // What clients and the queue know when the crash comes.
  struct Known {
    std::map<MessageRef, std::string> acknowledged;
    std::set<std::string> begun;       // contents that a client began to send
    std::set<std::string> unfinished;  // and never ended
    std::set<MessageRef> settled;
  };

  void SendSome(SpoolHarness& harness) {
    Sent& open = harness.Begin(TestContent(1000, 70_KiB));
    open.writer.Append(AsBytes(std::string_view(open.content).substr(0, 40_KiB)));
    known.unfinished.insert(open.content);
    for (uint64_t i = 0; i < 24; ++i) {
      if (harness.world.crash_due()) {
        return;
      }
      harness.Send(TestContent(i, i % 8 == 3 ? 45_KiB : 1500 + i * 10));
      if (i % 2 == 1) {
        Sent& last = *harness.sent.back();
        harness.TurnUntil([&] { return last.committed == 1; });
      }
      Sent& early = *harness.sent[1];
      if (i == 5 && early.committed == 1) {
        harness.Settle(early.message, 0);
        known.settled.insert(early.message);
      }
    }
    harness.Idle(absl::Milliseconds(100));
  }

  void Remember(SpoolHarness& harness) {
    for (const std::unique_ptr<Sent>& sent : harness.sent) {
      known.begun.insert(sent->content);
      if (sent->committed == 1 && sent->result == CommitResult::kStored) {
        known.acknowledged[sent->message] = sent->prefix + sent->content;
      }
    }
  }

  void ExpectKept(SpoolHarness& harness, uint64_t event) {
    ASSERT_TRUE(harness.is_ready);
    const std::vector<MessageRef> live = harness.Live();
    for (const auto& [message, content] : known.acknowledged) {
      const bool is_live = std::binary_search(live.begin(), live.end(), message);
      EXPECT_TRUE(is_live || known.settled.contains(message)) << event;
    }
    for (const MessageRef message : live) {
      const ReadBack back = harness.Read(message);
      EXPECT_EQ(back.outcome, ReadOutcome::kOk) << event;
      const auto known_content = known.acknowledged.find(message);
      if (known_content != known.acknowledged.end()) {
        EXPECT_TRUE(back.content == known_content->second) << event;
      }
      // Un-acknowledged: whole, as sent, under one Received line.
      const std::string body = back.content.substr(back.content.find("\r\n") + 2);
      EXPECT_TRUE(known.begun.contains(body)) << event;
      EXPECT_FALSE(known.unfinished.contains(body)) << event;
    }
    EXPECT_EQ(harness.spool->Stats().damaged_records, 0u) << event;
  }

  uint64_t CountEvents() {
    SpoolHarness harness(1, options);
    harness.Start();
    const uint64_t before = harness.world.events();
    SendSome(harness);
    return harness.world.events() - before;
  }

  SpoolOptions options = SpoolHarness::SmallOptions();
  Known known;
};

TEST_F(CrashTest, AfterAnyEventWhatWasAcknowledgedIsThere) {
  const uint64_t torn = MarkCount("batch with a hole");
  const uint64_t events = CountEvents();
  ASSERT_GT(events, 40u);
  for (const CrashMode mode :
       {CrashMode::kNothingUnsynced, CrashMode::kAllUnsynced, CrashMode::kRandom}) {
    for (uint64_t event = 1; event <= events + 1; ++event) {
      known = Known();
      SpoolHarness harness(mode == CrashMode::kRandom ? event : 1, options);
      harness.Start();
      harness.world.CrashAfterEvent(event);
      SendSome(harness);
      Remember(harness);
      harness.Restart(mode);
      ExpectKept(harness, event);
      const std::vector<MessageRef> first = harness.Live();
      const ReadBack sample = first.empty() ? ReadBack() : harness.Read(first.back());
      // The second recovery finds the same, and knows the torn tail already.
      harness.Idle(absl::Milliseconds(200));
      harness.Restart(CrashMode::kNothingUnsynced);
      EXPECT_EQ(harness.Live(), first) << event;
      EXPECT_TRUE(first.empty() || harness.Read(first.back()) == sample);
      EXPECT_EQ(harness.spool->Stats().torn_tails, 0u) << event;
      ExpectKept(harness, event);
    }
  }
  EXPECT_GT(MarkCount("batch with a hole"), torn);
}

TEST_F(CrashTest, ACrashDuringRecoveryCostsNothing) {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    known = Known();
    SpoolHarness harness(seed, options);
    harness.Start();
    harness.world.CrashAfterEvent(30 + seed);
    SendSome(harness);
    Remember(harness);
    harness.Crash(CrashMode::kRandom);
    for (uint64_t event = 1; event < 60; event += 7) {
      harness.world.CrashAfterEvent(event);
      harness.Start();
      harness.Crash(CrashMode::kRandom);
    }
    harness.Start();
    ExpectKept(harness, seed);
  }
}

TEST_F(CrashTest, ANewSegmentWhoseEntryIsLostHeldNothingAcknowledged) {
  // Directory entries of every prepared segment are lost in this mode unless they were synced.
  SpoolHarness harness(1, options);
  harness.Start();
  std::map<MessageRef, std::string> acknowledged;
  for (uint64_t i = 0; i < 30; ++i) {
    Sent& sent = harness.SendAndWait(TestContent(i, 15_KiB));
    acknowledged[sent.message] = sent.prefix + sent.content;
  }
  harness.Restart(CrashMode::kNothingUnsynced);
  EXPECT_EQ(harness.Live().size(), acknowledged.size());
}

TEST_F(CrashTest, ATornTailIsCopiedReportedOnceAndNeverWrittenOver) {
  bool found = false;
  for (uint64_t seed = 1; seed <= 30 && !found; ++seed) {
    SpoolHarness harness(seed, options);
    harness.Start();
    harness.Idle(absl::Seconds(1));
    for (uint64_t i = 0; i < 8; ++i) {
      harness.Send(TestContent(i, 5000));
    }
    harness.world.CrashAfterEvent(1);  // the write is done, the sync is not
    harness.Idle(absl::Seconds(1));
    harness.Crash(CrashMode::kRandom);
    const std::string path = SpoolHarness::SegmentPath(1);
    const std::string before = *harness.disk().Contents(path);
    harness.Start();
    if (harness.spool->Stats().torn_tails == 0) {
      continue;
    }
    found = true;
    EXPECT_EQ(harness.spool->Stats().damaged_records, 0u);
    EXPECT_EQ(harness.QuarantineFiles().size(), 1u);
    const MessageRef next = harness.SendAndWait(TestContent(50, 100)).message;
    EXPECT_GT(next.segment, 1u);
    // It may be gone, if nothing in the torn batch was whole.
    EXPECT_EQ(harness.disk().Contents(path).value_or(before), before);
  }
  EXPECT_TRUE(found);
}

TEST_F(CrashTest, AMessageOfATornBatchIsDroppedIfAPartIsMissing) {
  const uint64_t dropped = MarkCount("torn message dropped");
  SpoolHarness harness(1, options);
  harness.Start();
  const MessageRef good = harness.SendAndWait(TestContent(1, 3000)).message;
  harness.Idle(absl::Seconds(1));
  // Parts and last record in one batch, the last of the log: what a crash before the sync leaves of
  // it may be the record without a part.
  const Sent& torn = harness.SendAndWait(TestContent(2, 45_KiB));
  const std::string path = SpoolHarness::SegmentPath(torn.message.segment);
  const std::string first_part = torn.content.substr(0, 1000);
  harness.Crash(CrashMode::kNothingUnsynced);
  const size_t at = harness.disk().Contents(path)->find(first_part);
  ASSERT_NE(at, std::string::npos);
  ASSERT_TRUE(harness.disk().FlipBit(path, at * 8));
  harness.Start();
  EXPECT_EQ(harness.spool->Stats().torn_tails, 1u);
  EXPECT_EQ(harness.Live(), std::vector{good});
  // Nor does it come back when it is no longer the tail.
  const MessageRef next = harness.SendAndWait(TestContent(3, 3000)).message;
  harness.Restart(CrashMode::kNothingUnsynced);
  EXPECT_EQ(harness.Live(), (std::vector{good, next}));
  EXPECT_EQ(harness.spool->Stats().damaged_records, 0u);
  EXPECT_GE(MarkCount("torn message dropped"), dropped + 1);
}

}  // namespace
}  // namespace backstay
