// tests/spool/soak_test.cc -- random work under drawn faults and crashes; the ledger must balance.
#include <cstdlib>

#include "core/base/log.h"
#include "fmt/format.h"
#include "tests/spool/spool_harness.h"

namespace backstay {
namespace {

class Soak {
 public:
  explicit Soak(uint64_t seed) : random_(seed), harness_(seed, Options(seed), Plan(seed)) {}

  void Run() {
    for (int life = 0; life < 4; ++life) {
      harness_.Start();
      if (!harness_.is_ready || !harness_.ready_status.ok()) {
        harness_.Crash(CrashMode::kRandom);
        continue;
      }
      CheckLive(false);
      Live();
      Remember();
      harness_.Crash(static_cast<CrashMode>(random_.Below(3)));
    }
    // What faults hid must be there once they are over.
    harness_.world.StopFaults();
    harness_.world.SetPlan(harness_.world.plan().WithoutFailures());
    harness_.Start();
    ASSERT_TRUE(harness_.is_ready);
    ASSERT_TRUE(harness_.ready_status.ok());
    CheckLive(true);
  }

 private:
  static SpoolOptions Options(uint64_t seed) {
    SpoolOptions options = SpoolHarness::SmallOptions();
    options.segment_bytes = seed % 3 == 0 ? 64_KiB : 192_KiB;
    options.part_bytes = seed % 2 == 0 ? 4_KiB : 16_KiB;
    return options;
  }
  static FaultPlan Plan(uint64_t seed) {
    return seed % 4 == 0 ? FaultPlan::Manners() : FaultPlan::Draw(seed);
  }

  void Live() {
    const uint64_t steps = random_.Between(20, 120);
    for (uint64_t step = 0; step < steps; ++step) {
      switch (random_.Below(6)) {
        case 0:
        case 1:
          SendOne();
          break;
        case 2:
          SettleOne();
          break;
        case 3:
          DeferOne();
          break;
        case 4:
          AbandonOne();
          break;
        default:
          harness_.Idle(absl::Milliseconds(static_cast<int64_t>(random_.Below(400))));
          break;
      }
      harness_.Turn();
    }
    if (random_.Chance(1, 3)) {
      harness_.Idle(absl::Seconds(20));
    }
  }

  void SendOne() {
    const size_t bytes =
        random_.Chance(1, 5) ? random_.Between(1, 60'000) : random_.Between(1, 4000);
    std::vector<std::string> recipients;
    for (uint64_t count = random_.Between(1, 4); count > 0; --count) {
      recipients.push_back(fmt::format("d{}.example", random_.Below(5)));
    }
    Sent& sent = harness_.Begin(TestContent(++number_, bytes), recipients);
    begun_.insert(sent.content);
    sent.writer.Append(AsBytes(sent.content));
    if (random_.Chance(19, 20)) {
      sent.writer.Finish(sent);
    } else {
      unfinished_.insert(sent.content);
    }
  }

  // A live recipient of any message, or nothing.
  std::optional<std::pair<MessageRef, uint32_t>> AnyLive() {
    const DomainId domain = harness_.spool->Intern(fmt::format("d{}.example", random_.Below(5)));
    const MessageRef after{static_cast<uint32_t>(random_.Below(12)), 0};
    auto message = harness_.spool->NextLive(domain, after);
    if (!message.has_value()) {
      message = harness_.spool->NextLive(domain, std::nullopt);
    }
    if (!message.has_value()) {
      return std::nullopt;
    }
    for (uint32_t i = 0; i < harness_.spool->Recipients(*message); ++i) {
      if (harness_.spool->IsLive(*message, i)) {
        return std::pair(*message, i);
      }
    }
    ADD_FAILURE() << "NextLive gave a message without live recipients";
    return std::nullopt;
  }

  void SettleOne() {
    const auto live = AnyLive();
    if (live.has_value()) {
      harness_.Settle(live->first, live->second,
                      random_.Chance(1, 8) ? SettleKind::kFailed : SettleKind::kDelivered, "why");
      settled_.insert(*live);
    }
  }

  void DeferOne() {
    const auto live = AnyLive();
    if (live.has_value()) {
      Sent* sent = nullptr;
      for (const auto& candidate : harness_.sent) {
        sent = candidate->message == live->first ? candidate.get() : sent;
      }
      if (sent != nullptr) {
        const std::string& name = sent->domains[sent->recipient_domains[live->second]];
        harness_.spool->Defer(live->first, live->second, harness_.spool->Intern(name),
                              AsBytes("note"));
      }
    }
  }

  void AbandonOne() {
    if (!harness_.sent.empty()) {
      harness_.sent[random_.Below(harness_.sent.size())]->writer.Abandon();
    }
  }

  void Remember() {
    for (const auto& sent : harness_.sent) {
      EXPECT_LE(sent->committed, 1);
      if (sent->committed == 1 && sent->result == CommitResult::kStored) {
        acknowledged_[sent->message] = {sent->prefix + sent->content,
                                        static_cast<uint32_t>(sent->recipient_domains.size())};
      }
    }
  }

  void CheckLive(bool is_last) {
    for (const auto& [message, known] : acknowledged_) {
      const auto& [content, recipients] = known;
      bool is_wanted = false;
      for (uint32_t i = 0; i < recipients; ++i) {
        const bool is_live = harness_.spool->IsLive(message, i);
        EXPECT_TRUE(is_live || settled_.contains({message, i}) || !is_last)
            << message.segment << "/" << message.block << " recipient " << i << " is lost";
        is_wanted = is_wanted || is_live;
      }
      if (is_wanted) {
        const ReadBack back = harness_.Read(message);
        EXPECT_NE(back.outcome, ReadOutcome::kDamaged) << message.segment << "/" << message.block;
        EXPECT_TRUE(back.outcome != ReadOutcome::kOk || back.content == content);
      }
    }
    for (uint64_t domain = 0; domain < 5; ++domain) {
      for (const MessageRef message : harness_.Live(fmt::format("d{}.example", domain))) {
        const ReadBack back = harness_.Read(message);
        if (back.outcome == ReadOutcome::kOk) {
          const std::string body = back.content.substr(back.content.find("\r\n") + 2);
          EXPECT_TRUE(begun_.contains(body));
          EXPECT_FALSE(unfinished_.contains(body));
        } else {
          EXPECT_FALSE(is_last);
        }
      }
    }
  }

  Random random_;
  SpoolHarness harness_;
  uint64_t number_ = 0;
  std::set<std::string> begun_;
  std::set<std::string> unfinished_;
  std::map<MessageRef, std::pair<std::string, uint32_t>> acknowledged_;
  std::set<std::pair<MessageRef, uint32_t>> settled_;
};

TEST(Soak, TheLedgerBalancesUnderDrawnFaultsAndCrashes) {
  const char* only = std::getenv("SPOOL_SEED");
  if (only == nullptr) {
    SetLogSink([](LogLevel, std::string_view) {});
  }
  const uint64_t first = only != nullptr ? std::strtoull(only, nullptr, 10) : 1;
  const char* last_seed = std::getenv("SPOOL_SEEDS");
  const uint64_t seeds = last_seed != nullptr ? std::strtoull(last_seed, nullptr, 10) : 60;
  for (uint64_t seed = first; seed <= (only != nullptr ? first : seeds); ++seed) {
    SCOPED_TRACE(fmt::format("SPOOL_SEED={}", seed));
    Soak(seed).Run();
    if (testing::Test::HasFailure()) {
      break;
    }
  }
  SetLogSink(nullptr);
}

}  // namespace
}  // namespace backstay
