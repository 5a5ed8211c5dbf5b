// tests/spool/every_failure_test.cc -- each operation of a spool's life fails in each manner, once
// and from then on: nothing acknowledged is lost, and the log goes on when the fault is over.
//
// A life: a start on a disk with a past, mail large and small, settles, rolls, segments that go
// back, then a restart. Interrupted calls (EINTR, EAGAIN) end below Io, see
// tests/io/uring/error_map_test.cc.
#include <array>

#include "core/base/log.h"
#include "fmt/format.h"
#include "spool/record.h"
#include "tests/spool/spool_harness.h"

namespace backstay {
namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr uint64_t kStep = 7;
#else
constexpr uint64_t kStep = 1;
#endif
constexpr uint32_t kAlways = 1'000'000;

struct Manner {
  const char* name;
  IoError error;     // kNone: a transfer that is cut short
  size_t count_max;  // of that
};
constexpr std::array kManners = {
    Manner{"device", IoError::kDevice, 0},      Manner{"no space", IoError::kNoSpace, 0},
    Manner{"read-only", IoError::kReadOnly, 0}, Manner{"canceled", IoError::kCanceled, 0},
    Manner{"short", IoError::kNone, 700},       Manner{"zero", IoError::kNone, 0}};

struct Circumstances {
  bool from_then_on;
  bool leaves_traces;  // what a failed write or sync covered reaches the device all the same
  bool heals;          // before the crash
  CrashMode mode;
};
constexpr std::array kCircumstances = {
    Circumstances{false, false, true, CrashMode::kNothingUnsynced},
    Circumstances{false, false, false, CrashMode::kNothingUnsynced},
    Circumstances{false, true, true, CrashMode::kRandom},
    Circumstances{false, true, false, CrashMode::kAllUnsynced},
    Circumstances{true, false, true, CrashMode::kNothingUnsynced},
    Circumstances{true, false, false, CrashMode::kRandom},
    Circumstances{true, true, true, CrashMode::kRandom},
    Circumstances{true, true, false, CrashMode::kNothingUnsynced}};

SpoolOptions Options() {
  SpoolOptions options = SpoolHarness::SmallOptions();
  options.segment_bytes = 64_KiB;
  options.part_bytes = 4_KiB;
  options.evacuation_calm = absl::Milliseconds(300);
  return options;
}

constexpr uint64_t kHoles = 1;  // in the past

// What every life starts on: sealed segments and an abandoned one, a message whose parts alone hold
// the oldest segment, checkpoints, a batch with a hole.
class Past {
 public:
  Past() : harness(1, Options()) {
    harness.Start();
    Sent& spread = harness.Begin(TestContent(++number_, 20_KiB));
    spread.writer.Append(AsBytes(spread.content));
    std::vector<MessageRef> first;
    while (harness.SegmentFiles().size() < 4) {
      first.push_back(Store(harness.SendAndWait(TestContent(++number_, 3000))));
    }
    for (const MessageRef message : first) {
      Settle(message);
    }
    spread.writer.Finish(spread);
    harness.TurnUntil([&] { return spread.committed == 1; });
    Store(spread);
    harness.Idle(absl::Seconds(1));
    harness.Send(TestContent(++number_, 3000));
    harness.world.FailDiskOperation(2, IoError::kDevice, false);  // the sync
    harness.Idle(absl::Seconds(2));
    EXPECT_EQ(harness.spool->Stats().segments_abandoned, 1u);
    const MessageRef harmed = Store(harness.SendAndWait(TestContent(++number_, 3000)));
    harness.Idle(absl::Seconds(1));
    Store(harness.SendAndWait(TestContent(++number_, 9000)));
    harness.Idle(absl::Seconds(1));
    harness.Crash(CrashMode::kNothingUnsynced);
    stored.erase(harmed);
    harness.disk().FlipBit(SpoolHarness::SegmentPath(harmed.segment),
                           (harmed.block * kRecordAlignment + 200) * 8);
  }

  SpoolHarness harness;
  std::map<MessageRef, std::string> stored;  // acknowledged, owed and whole
  std::set<std::string> begun;

 private:
  MessageRef Store(const Sent& sent) {
    EXPECT_EQ(sent.result, CommitResult::kStored);
    stored[sent.message] = sent.prefix + sent.content;
    begun.insert(sent.content);
    return sent.message;
  }
  void Settle(MessageRef message) {
    harness.Settle(message, 0);
    stored.erase(message);
  }

  uint64_t number_ = 0;
};

class Life {
 public:
  Life(Past& past, uint64_t seed, const Circumstances& how)
      : how_(how), harness_(seed, Options()), stored_(past.stored), begun_(past.begun) {
    FaultPlan plan = FaultPlan::None();
    plan.failed_sync_keeps = how.leaves_traces ? kAlways : 0;
    plan.failed_write_applies = how.leaves_traces ? kAlways : 0;
    harness_.world.SetPlan(plan);
    harness_.disk().CopyFrom(past.harness.disk());
  }

  World& world() { return harness_.world; }
  // Before the fault was over.
  uint64_t operations() const { return operations_; }
  uint64_t questions() const { return questions_; }
  void Expect(IoError error) { lasting_ = error; }  // of every operation from some point on

  void Run() {
    harness_.Start();
    ASSERT_TRUE(harness_.is_ready);
    const bool is_open = harness_.ready_status.ok();
    const SpoolStats stats = harness_.spool->Stats();
    is_blind_ = stats.segments_unreadable > 0 || stats.damaged_records > kHoles;
    if (is_open) {
      Work();
    }
    operations_ = harness_.world.disk_operations();
    questions_ = harness_.world.questions();
    harness_.world.StopFaults();
    if (is_open && how_.heals) {
      GoOn();
    }
    Remember();
    harness_.Restart(how_.mode);
    Judge();
  }

 private:
  void Work() {
    ReadAll(false);
    Send(800);
    Send(2500);
    Send(30_KiB);
    Wait();
    const std::vector<MessageRef> live = harness_.Live();
    SettleAllBut(2, 3);  // the oldest segments go back
    if (!live.empty()) {
      harness_.spool->Defer(live.back(), 0, harness_.spool->Intern("a.example"), AsBytes("note"));
    }
    harness_.Idle(absl::Seconds(2));
    Send(30_KiB);
    Send(14_KiB);
    Wait();
    harness_.Idle(absl::Seconds(2));
    Send(500);
    Wait();
    // A segment of this run dies: a spare, and the next one is made of it.
    for (int round = 0; round < 4; ++round) {
      SettleAllBut(1, 0);
      harness_.Idle(absl::Seconds(1));
      Send(30_KiB);
      Send(30_KiB);
      Wait();
    }
    harness_.Idle(absl::Seconds(1));
  }

  // Every so many-th fails; 0: none.
  void SettleAllBut(size_t left, size_t failing) {
    const std::vector<MessageRef> live = harness_.Live();
    for (size_t i = 0; i + left < live.size(); ++i) {
      const bool fails = failing > 0 && i % failing == failing - 1;
      harness_.Settle(live[i], 0, fails ? SettleKind::kFailed : SettleKind::kDelivered);
      settled_.insert(live[i]);
    }
  }

  void Send(size_t bytes) {
    const bool fails = lasting_ != IoError::kNone && harness_.world.faults_injected() > 0;
    Sent& sent = harness_.Send(TestContent(++number_ + 1000, bytes));
    begun_.insert(sent.content);
    if (fails) {
      refused_.insert(&sent);
    }
  }

  // Everybody is told, and soon: a client waits.
  void Wait() {
    EXPECT_TRUE(harness_.TurnUntil(
        [this] {
          return std::all_of(harness_.sent.begin(), harness_.sent.end(),
                             [](const auto& sent) { return sent->committed == 1; });
        },
        absl::Seconds(60)));
    for (const Sent* sent : refused_) {
      EXPECT_NE(sent->result, CommitResult::kStored) << "stored on a device that fails";
      if (lasting_ == IoError::kNoSpace) {
        EXPECT_EQ(sent->result, CommitResult::kNoSpace);
      }
    }
  }

  void GoOn() {
    harness_.Idle(absl::Minutes(1));
    EXPECT_EQ(harness_.spool->IntakeState(), CommitResult::kStored);
    EXPECT_EQ(harness_.SendAndWait(TestContent(77, 3000)).result, CommitResult::kStored);
    begun_.insert(TestContent(77, 3000));
    ReadAll(false);
  }

  void Remember() {
    for (const auto& sent : harness_.sent) {
      if (sent->committed == 1 && sent->result == CommitResult::kStored) {
        stored_[sent->message] = sent->prefix + sent->content;
      }
    }
  }

  void Judge() {
    ASSERT_TRUE(harness_.is_ready);
    ASSERT_TRUE(harness_.ready_status.ok());
    // A log that went on without its end being read has a gap in its chain there; a file whose
    // header was written in part, and which could not be removed, cannot be told from rot.
    EXPECT_LE(harness_.spool->Stats().damaged_records,
              kHoles + (is_blind_ ? 1 : 0) + (how_.leaves_traces ? 1 : 0));
    EXPECT_EQ(harness_.spool->Stats().segments_unreadable, 0u);
    for (const auto& [message, content] : stored_) {
      const bool is_live = harness_.spool->IsLive(message, 0);
      EXPECT_TRUE(is_live || settled_.contains(message))
          << message.segment << "/" << message.block << " is lost";
      if (is_live) {
        const ReadBack back = harness_.Read(message);
        EXPECT_EQ(back.outcome, ReadOutcome::kOk) << message.segment << "/" << message.block;
        EXPECT_TRUE(back.content == content);
      }
    }
    ReadAll(true);
  }

  // Nothing is altered, acknowledged or not.
  void ReadAll(bool is_healthy) {
    for (const MessageRef message : harness_.Live()) {
      const ReadBack back = harness_.Read(message);
      if (back.outcome == ReadOutcome::kOk) {
        EXPECT_TRUE(begun_.contains(back.content.substr(back.content.find("\r\n") + 2)));
      } else {
        EXPECT_FALSE(is_healthy);
      }
    }
  }

  const Circumstances how_;
  SpoolHarness harness_;
  std::map<MessageRef, std::string> stored_;
  std::set<std::string> begun_;
  std::set<MessageRef> settled_;
  std::set<const Sent*> refused_;  // sent while every operation failed
  bool is_blind_ = false;          // the device did not give all there is
  IoError lasting_ = IoError::kNone;
  uint64_t number_ = 0;
  uint64_t operations_ = 0;
  uint64_t questions_ = 0;
};

class EveryFailureTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    if (std::getenv("SPOOL_LOG") == nullptr) {
      SetLogSink([](LogLevel, std::string_view) {});
    }
  }
  static void TearDownTestSuite() { SetLogSink(nullptr); }

  void Fail(const Manner& manner, uint64_t n, const Circumstances& how) {
    SCOPED_TRACE(fmt::format("operation {} fails: {}{}, traces {}, heals {}, mode {}", n,
                             manner.name, how.from_then_on ? " from then on" : "",
                             how.leaves_traces, how.heals, static_cast<int>(how.mode)));
    Life life(past_, n, how);
    if (manner.error == IoError::kNone) {
      life.world().ShortenDiskOperation(n, manner.count_max, how.from_then_on);
    } else {
      life.world().FailDiskOperation(n, manner.error, how.from_then_on);
      life.Expect(how.from_then_on ? manner.error : IoError::kNone);
    }
    life.Run();
    for (size_t verb = 0; verb < kVerbs; ++verb) {
      met_[verb] += life.world().faults_injected(static_cast<IoVerb>(verb));
    }
  }

  Past past_;
  std::array<uint64_t, kVerbs> met_{};  // faults, of the manner at hand
};

TEST_F(EveryFailureTest, OfADiskOperationLosesNothingAndIsOvercome) {
  Life healthy(past_, 1, kCircumstances.front());
  healthy.Run();
  ASSERT_FALSE(HasFailure());
  const uint64_t operations = healthy.operations();
  ASSERT_GT(operations, 100u);
  uint64_t lives = 0;
  for (const Manner& manner : kManners) {
    met_ = {};
    for (uint64_t n = 1; n <= operations && !HasFailure(); n += kStep) {
      for (const Circumstances& how : kCircumstances) {
        Fail(manner, n, how);
        ++lives;
      }
    }
    if (HasFailure() || kStep > 1) {
      continue;
    }
    const bool is_transfer = manner.error == IoError::kNone;
    for (const IoVerb verb :
         {IoVerb::kOpen, IoVerb::kRead, IoVerb::kWrite, IoVerb::kSyncData, IoVerb::kSyncDirectory,
          IoVerb::kAllocate, IoVerb::kUnlink, IoVerb::kRename}) {
      const bool is_meant = !is_transfer || verb == IoVerb::kRead || verb == IoVerb::kWrite;
      EXPECT_EQ(met_[static_cast<size_t>(verb)] > 0, is_meant)
          << manner.name << " " << Describe(verb);
    }
  }
  std::printf("%lu lives\n", static_cast<unsigned long>(lives));
}

// Everything else works: what is acknowledged must not depend on what failed.
TEST_F(EveryFailureTest, OfOneVerbAloneLosesNothing) {
  Life healthy(past_, 1, kCircumstances.front());
  healthy.Run();
  for (const IoVerb verb :
       {IoVerb::kOpen, IoVerb::kRead, IoVerb::kWrite, IoVerb::kSyncData, IoVerb::kSyncDirectory,
        IoVerb::kAllocate, IoVerb::kUnlink, IoVerb::kRename}) {
    for (uint64_t n = 1; n <= healthy.operations() && !HasFailure(); n += kStep) {
      for (const bool heals : {false, true}) {
        const IoError error = n % 3 == 0 ? IoError::kNoSpace : IoError::kDevice;
        SCOPED_TRACE(
            fmt::format("{} fails from operation {} on, heals {}", Describe(verb), n, heals));
        Life life(past_, n, {true, n % 2 == 0, heals, CrashMode::kNothingUnsynced});
        life.world().FailDiskOperation(n, error, true, verb);
        if (verb == IoVerb::kWrite || verb == IoVerb::kSyncData) {
          life.Expect(error);
        }
        life.Run();
      }
    }
  }
}

TEST_F(EveryFailureTest, OfAQuestionAboutFilesLosesNothingAndIsOvercome) {
  Life healthy(past_, 1, kCircumstances.front());
  healthy.Run();
  const uint64_t questions = healthy.questions();
  ASSERT_GT(questions, 5u);
  for (uint64_t n = 1; n <= questions && !HasFailure(); ++n) {
    for (const bool from_then_on : {false, true}) {
      SCOPED_TRACE(fmt::format("question {} has no answer", n));
      Life life(past_, n, kCircumstances[n % kCircumstances.size()]);
      life.world().FailQuestion(n, from_then_on);
      life.Run();
    }
  }
}

}  // namespace
}  // namespace backstay
