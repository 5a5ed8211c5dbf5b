// tests/spool/every_crash_test.cc -- a power cut after every operation of a long workload, in every
// manner; what was promised is there each time.
//
// The workload runs once. After each of its events the disk is copied, cut off, and a spool is
// started on what is left. SPOOL_CRASH_ROUNDS=n repeats it with n other workloads (dev soak).
#include <cstdlib>

#include "core/base/log.h"
#include "core/base/mark.h"
#include "core/base/random.h"
#include "fmt/format.h"
#include "tests/spool/spool_harness.h"

namespace backstay {
namespace {

constexpr uint64_t kMessages = 600;
constexpr uint64_t kStatesMin = 20'000;
constexpr size_t kLiveMax = 30;      // so that a check reads no more
constexpr uint64_t kRandomCuts = 8;  // besides "nothing un-synced survives" and "all survives"
constexpr uint64_t kNestedEvery = 97;

// What the start of the state at hand said.
std::string& Log() {
  static std::string log;
  return log;
}

class Workload {
 public:
  explicit Workload(uint64_t seed) : random_(seed), harness_(seed, Options(seed)) {}

  void Run() {
    harness_.Start();
    for (uint64_t i = 0; i < kMessages && !testing::Test::HasFailure(); ++i) {
      Act(i);
      const uint64_t turns = 3 + random_.Below(7);
      for (uint64_t turn = 0; turn < turns; ++turn) {
        Advance();
      }
    }
    for (int turn = 0; turn < 200 && !testing::Test::HasFailure(); ++turn) {
      Advance();
    }
  }

  uint64_t states() const { return states_; }
  uint64_t moved() const { return harness_.spool->Stats().messages_moved; }

 private:
  struct Settled {
    MessageRef message;
    uint32_t recipient;
    uint64_t queued;  // SettlesQueued() behind it
    bool is_note;
  };

  static SpoolOptions Options(uint64_t seed) {
    SpoolOptions options = SpoolHarness::SmallOptions();
    options.segment_bytes = seed % 2 == 0 ? 64_KiB : 96_KiB;
    options.part_bytes = 4_KiB;
    options.evacuation_calm = absl::Milliseconds(50);
    return options;
  }

  void Act(uint64_t i) {
    const size_t bytes = i % 13 == 5 ? 9000 + random_.Below(9000) : 200 + random_.Below(1500);
    std::vector<std::string> recipients = {"a.example"};
    if (i % 3 == 0) {
      recipients.push_back("b.example");
    }
    const std::string content = TestContent(i, bytes);
    begun_.insert(content);
    if (i % 29 == 7) {  // begun and never ended
      Sent& open = harness_.Begin(content, recipients);
      open.writer.Append(AsBytes(open.content));
      unended_.insert(&open);
      return;
    }
    if (i % 23 == 11) {
      Order(static_cast<RuleVerb>(1 + random_.Below(5)));
    }
    harness_.Send(content, recipients);
    Sort();
    while (live_.size() > kLiveMax || (!live_.empty() && random_.Chance(1, 4))) {
      SettleOldest();
    }
    if (!live_.empty() && random_.Chance(1, 5)) {
      const MessageRef message = live_.back();
      harness_.spool->Defer(message, 0, harness_.spool->Intern("a.example"),
                            AsBytes(std::string_view("451 later")));
      settled_.push_back({message, 0, harness_.spool->SettlesQueued(), true});
    }
  }

  // Expiry is the owner's business, so an expire rule settles nothing here.
  void Order(RuleVerb verb) {
    Rule rule;
    rule.verb = verb;
    rule.epoch = harness_.spool->LastRule().epoch + 1;
    rule.domains = {verb == RuleVerb::kDelete ? "b.example" : "a.example"};
    harness_.spool->ApplyRule(rule);
    epochs_.push_back({rule.epoch, harness_.spool->SettlesQueued()});
    if (verb != RuleVerb::kDelete) {
      return;
    }
    for (const std::unique_ptr<Sent>& sent : harness_.sent) {
      const bool is_known = sent->committed == 1;
      if (sent->recipient_domains.size() == 2 && sent->described == 1) {
        // What is on its way may lie before the cut or behind it.
        settled_.push_back({MessageRef{sent->id.segment, sent->id.block}, 1,
                            is_known ? harness_.spool->SettlesQueued() : UINT64_MAX, false});
      }
    }
    std::erase_if(debts_, [](const auto& debt) { return debt.second == 1; });
  }

  // What was told since the last look.
  void Sort() {
    for (; told_ < harness_.sent.size(); ++told_) {
      const Sent& sent = *harness_.sent[told_];
      if (unended_.contains(&sent)) {
        continue;
      }
      if (sent.committed == 0) {
        break;
      }
      EXPECT_EQ(sent.result, CommitResult::kStored);
      // A small one and a large one are never settled: what is younger goes before them, and they
      // are moved. Some are settled when they have been moved.
      if (told_ % 25 == 15) {
        late_.push_back(sent.message);
      } else if (told_ != 0 && told_ != 5) {
        live_.push_back(sent.message);
      }
    }
    if (late_.size() > 4) {
      live_.insert(live_.begin(), late_.front());
      late_.erase(late_.begin());
    }
  }

  void SettleOldest() {
    const size_t at = random_.Below(std::min<size_t>(live_.size(), 5));
    const MessageRef message = live_[at];
    live_.erase(live_.begin() + static_cast<ptrdiff_t>(at));
    const uint32_t recipients = harness_.spool->Recipients(message);
    for (uint32_t recipient = 0; recipient < recipients; ++recipient) {
      if (!harness_.spool->IsLive(message, recipient)) {
        continue;  // deleted
      }
      // A debt made while a deletion is carried out may be deleted with it.
      const bool fails = random_.Chance(1, 9) && harness_.spool->Stats().deletions_open == 0;
      harness_.Settle(message, recipient, fails ? SettleKind::kFailed : SettleKind::kDelivered,
                      fails ? "550 no" : "");
      settled_.push_back({message, recipient, harness_.spool->SettlesQueued(), false});
      if (fails) {
        debts_.push_back({message, recipient});
      }
    }
    while (debts_.size() > 5) {
      harness_.Settle(debts_.front().first, debts_.front().second);
      debts_.erase(debts_.begin());
    }
  }

  // One event of the disk, then every cut.
  void Advance() {
    harness_.world.CrashAfterEvent(1);
    const uint64_t before = harness_.world.disk_operations() + harness_.world.events();
    harness_.Turn();
    if (harness_.world.disk_operations() + harness_.world.events() == before) {
      return;
    }
    for (const CrashMode mode : {CrashMode::kNothingUnsynced, CrashMode::kAllUnsynced}) {
      CutAndCheck(mode, 1);
    }
    for (uint64_t cut = 0; cut < kRandomCuts; ++cut) {
      CutAndCheck(CrashMode::kRandom, random_.Next());
    }
  }

  void CutAndCheck(CrashMode mode, uint64_t seed) {
    if (testing::Test::HasFailure()) {
      return;
    }
    ++states_;
    Log().clear();
    SpoolHarness left(seed, harness_.options);
    left.disk().CopyFrom(harness_.disk());
    Random random(seed);
    left.disk().Crash(mode, left.world.plan(), random);
    if (states_ % kNestedEvery == 0) {
      for (uint64_t event = 1; event < 80; event += 1 + random.Below(15)) {
        left.world.CrashAfterEvent(event);
        left.Start();
        left.Crash(CrashMode::kRandom);
      }
    }
    left.Start();
    Check(left);
    EXPECT_FALSE(testing::Test::HasFailure())
        << "state " << states_ << " mode " << static_cast<int>(mode) << " seed " << seed << "\n"
        << Log();
  }

  void Check(SpoolHarness& left) {
    ASSERT_TRUE(left.is_ready);
    ASSERT_TRUE(left.ready_status.ok());
    ASSERT_TRUE(left.TurnUntil([&] { return left.spool->Stats().deletions_open == 0; }));
    CheckRules(left);
    EXPECT_EQ(left.spool->Stats().damaged_records, 0u);
    CheckAccounts(left);
    std::set<std::pair<MessageRef, uint32_t>> may_be_settled;
    const uint64_t decided = harness_.spool->SettlesDecided();
    for (const Settled& settled : settled_) {
      if (settled.is_note) {
        continue;
      }
      may_be_settled.insert({settled.message, settled.recipient});
      if (settled.queued <= decided) {
        EXPECT_FALSE(left.spool->IsLive(settled.message, settled.recipient));
      }
    }
    for (const std::unique_ptr<Sent>& sent : harness_.sent) {
      for (uint32_t i = 0; sent->committed == 1 && i < sent->recipient_domains.size(); ++i) {
        EXPECT_TRUE(left.spool->IsLive(sent->message, i) ||
                    may_be_settled.contains({sent->message, i}));
      }
    }
    for (const Settled& note : settled_) {
      if (note.is_note && note.queued <= decided && left.spool->IsLive(note.message, 0)) {
        EXPECT_EQ(left.deferrals.count({note.message, 0}), 1u);
      }
    }
    for (const MessageRef message : left.Live()) {
      const ReadBack back = left.Read(message);
      EXPECT_EQ(back.outcome, ReadOutcome::kOk);
      // Also of messages that were not acknowledged: whole, as sent, under one Received line.
      EXPECT_TRUE(begun_.contains(back.content.substr(back.content.find("\r\n") + 2)));
    }
  }

  // Of what was acknowledged nothing is missing, and nothing is counted twice, although segments
  // are gone and what is left of them lies in checkpoints.
  void CheckAccounts(SpoolHarness& left) {
    EXPECT_EQ(left.spool->Stats().recipients_unaccounted, 0u);
    const DomainAccount account = left.spool->AccountOfAll();
    uint64_t acknowledged = 0;
    uint64_t begun = 0;
    for (const std::unique_ptr<Sent>& sent : harness_.sent) {
      begun += sent->recipient_domains.size();
      acknowledged += sent->committed == 1 ? sent->recipient_domains.size() : 0;
    }
    EXPECT_GE(account.taken(), acknowledged);
    EXPECT_LE(account.taken(), begun);
    const SpoolStats stats = left.spool->Stats();
    EXPECT_EQ(account.owed(), stats.recipients_live + stats.recipients_dsn_pending);
    EXPECT_EQ(account.quarantined, 0u);
  }

  void CheckRules(SpoolHarness& left) {
    const uint64_t epoch = left.spool->LastRule().epoch;
    for (const auto& [ordered, queued] : epochs_) {
      EXPECT_TRUE(ordered <= epoch || queued > harness_.spool->OutcomesSynced());
    }
    if (epoch == harness_.spool->LastRule().epoch) {
      const DomainId domain = left.spool->Intern("a.example");
      const DomainId same = harness_.spool->Intern("a.example");
      for (const MessageRef message : left.Live()) {
        const Standing found = left.spool->StandingOf(message, domain);
        const Standing known = harness_.spool->StandingOf(message, same);
        EXPECT_EQ(found.is_held, known.is_held);
        EXPECT_EQ(found.is_expired, known.is_expired);
        EXPECT_EQ(found.schedule_from, known.schedule_from);
      }
    }
  }

  Random random_;
  SpoolHarness harness_;
  std::set<std::string> begun_;
  std::set<const Sent*> unended_;
  std::vector<MessageRef> live_;
  std::vector<MessageRef> late_;
  std::vector<Settled> settled_;
  std::vector<std::pair<MessageRef, uint32_t>> debts_;
  std::vector<std::pair<uint64_t, uint64_t>> epochs_;  // and the outcomes queued behind each
  size_t told_ = 0;                                    // of harness_.sent
  uint64_t states_ = 0;
};

TEST(EveryCrash, LeavesWhatWasPromised) {
  SetLogSink([](LogLevel, std::string_view line) { Log().append(line).append("\n"); });
  const char* rounds = std::getenv("SPOOL_CRASH_ROUNDS");
  const uint64_t last = rounds == nullptr ? 1 : std::strtoull(rounds, nullptr, 10);
  for (uint64_t round = 1; round <= last; ++round) {
    Workload workload(round);
    workload.Run();
    std::printf("%lu states, %lu segments known by their footers\n",
                static_cast<unsigned long>(workload.states()),
                static_cast<unsigned long>(MarkCount("segment known by its footer")));
    if (!testing::Test::HasFailure()) {
      EXPECT_GE(workload.states(), kStatesMin);
      EXPECT_GT(MarkCount("segment made of a spare"), 0u);
      EXPECT_GT(MarkCount("segment given back before older ones"), 0u);
      EXPECT_GT(workload.moved(), 10u);
      EXPECT_GT(MarkCount("segment gone before its messages"), 0u);
      EXPECT_GT(MarkCount("moved message known by its new record"), 0u);
    }
  }
  SetLogSink(nullptr);
}

}  // namespace
}  // namespace backstay
