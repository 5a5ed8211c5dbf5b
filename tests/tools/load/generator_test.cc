// tests/tools/load/generator_test.cc -- generator and sink against each other in a simulated world.
#include "tools/load/generator.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "io/sim/world.h"
#include "tests/support/certificates.h"
#include "tools/sink/sink_server.h"

namespace backstay {
namespace {

template <typename Program>
class Driven : public Actor {
 public:
  explicit Driven(Program& program) : program_(program) {}
  void Turn() override { program_.Turn(); }

 private:
  Program& program_;
};

class GeneratorTest : public testing::Test {
 protected:
  GeneratorTest() {
    sink_plan_.listen = {here_.address().WithPort(25)};
    plan_.sender.server = here_.address().WithPort(25);
    plan_.sender.reply_timeout = absl::Seconds(20);
    plan_.messages.sizes = *SizePlan::Parse("1KiB");
    plan_.messages.domains = {"example.com"};
    plan_.messages_max = 50;
    plan_.connections = 4;
    plan_.ledger = folder_.File("load.ledger");
    sink_plan_.ledger = folder_.File("sink.ledger");
  }
  ~GeneratorTest() override { StopSink(); }

  void StopSink() {
    if (sink_ != nullptr) {
      sink_->Stop();
      EXPECT_TRUE(world_.RunUntil([&] { return sink_->finished(); }, absl::Minutes(1)));
      world_.Detach(*sink_io_);
      sink_ = nullptr;
    }
  }

  // A fresh sink, and a generator until it has finished.
  void Run() {
    StopSink();
    sink_io_ = world_.MakeIo(here_);
    sink_ = std::make_unique<SinkServer>(*sink_io_, sink_plan_);
    ASSERT_TRUE(sink_->Start().ok());
    world_.Attach(*sink_io_, sink_actor_.emplace(*sink_));
    load_io_ = world_.MakeIo(there_);
    generator_ = std::make_unique<Generator>(*load_io_, plan_);
    ASSERT_TRUE(generator_->Start().ok());
    Driven<Generator> actor(*generator_);
    world_.Attach(*load_io_, actor);
    EXPECT_TRUE(world_.RunUntil([&] { return generator_->finished(); }, absl::Minutes(10)));
    world_.Detach(*load_io_);
  }
  const Score& score() const { return generator_->score(); }
  bool Says(const std::string& part) const {
    return generator_->score().Text().find(part) != std::string::npos;
  }
  // Everything that was acknowledged is in the sink's ledger, and nothing else.
  void ExpectEqualLedgers() {
    sink_->FlushLedger();
    const auto sorted = [](const std::string& path) {
      std::vector<std::string> lines;
      const std::string text = ReadTextFile(path);
      for (size_t at = 0; at < text.size(); at = text.find('\n', at) + 1) {
        lines.push_back(text.substr(at, text.find('\n', at) - at));
      }
      std::sort(lines.begin(), lines.end());
      return lines;
    };
    const std::vector<std::string> acknowledged = sorted(plan_.ledger);
    EXPECT_EQ(acknowledged, sorted(sink_plan_.ledger));
    EXPECT_FALSE(acknowledged.empty());
  }

  World world_{1};
  Host& here_ = world_.AddHost("here", SocketAddress::V4({10, 0, 0, 1}, 0));
  Host& there_ = world_.AddHost("there", SocketAddress::V4({10, 0, 0, 2}, 0));
  const TestFolder folder_;
  SinkPlan sink_plan_;
  LoadPlan plan_;
  std::unique_ptr<Io> sink_io_;
  std::unique_ptr<Io> load_io_;
  std::unique_ptr<SinkServer> sink_;
  std::unique_ptr<Generator> generator_;
  std::optional<Driven<SinkServer>> sink_actor_;
};

TEST_F(GeneratorTest, EveryMannerOfPipeliningDeliversEachMessageOnce) {
  for (const Pipelining how : {Pipelining::kOff, Pipelining::kEnvelope, Pipelining::kChained}) {
    plan_.sender.pipelining = how;
    plan_.messages.recipients = 3;
    Run();
    EXPECT_EQ(score().acknowledged(), 50u);
    EXPECT_EQ(score().errors(), 0u);
    EXPECT_EQ(sink_->tally().taken(), 50u);
    EXPECT_EQ(sink_->tally().duplicates(), 0u);
    ExpectEqualLedgers();
  }
}

TEST_F(GeneratorTest, ConnectionsEndAfterTheirShare) {
  plan_.connections = 1;
  plan_.sender.messages_max = 10;
  Run();
  EXPECT_EQ(score().acknowledged(), 50u);
  EXPECT_NE(score().Text().find("5 sessions"), std::string::npos) << score().Text();
}

TEST_F(GeneratorTest, RefusalsAreCountedByPhaseAndCodeAndTheRestArrives) {
  for (const char* rule : {"mail 20% 451 4.3.0 no", "rcpt 20% 550 5.1.1 no",
                           "data 20% 452 4.3.1 no", "end 20% 554 5.6.0 no"}) {
    ASSERT_TRUE(sink_plan_.script.AddRule(rule).ok());
  }
  for (const Pipelining how : {Pipelining::kOff, Pipelining::kChained}) {
    plan_.sender.pipelining = how;
    plan_.messages_max = 200;
    Run();
    EXPECT_TRUE(Says("mail 451")) << score().Text();
    EXPECT_TRUE(Says("rcpt 550")) << score().Text();
    EXPECT_TRUE(Says("data 452")) << score().Text();
    EXPECT_TRUE(Says("end 554")) << score().Text();
    EXPECT_EQ(score().acknowledged() + score().errors(), 200u);
    ExpectEqualLedgers();
  }
}

TEST_F(GeneratorTest, OneRefusedRecipientDoesNotCostTheOthers) {
  ASSERT_TRUE(sink_plan_.script.AddRule("rcpt only r1@ 550 5.1.1 no").ok());
  plan_.messages.recipients = 3;
  plan_.sender.pipelining = Pipelining::kEnvelope;
  Run();
  EXPECT_EQ(score().acknowledged(), 50u);
  ExpectEqualLedgers();
  EXPECT_EQ(ReadTextFile(plan_.ledger).find("r1@"), std::string::npos);
}

TEST_F(GeneratorTest, OpenLoopCountsLatencyFromTheIntendedMoment) {
  ASSERT_TRUE(sink_plan_.script.AddRule("end delay 1s").ok());
  plan_.rate = 100;  // one connection can send one a second
  plan_.connections = 1;
  plan_.messages_max = 5;
  Run();
  EXPECT_EQ(score().acknowledged(), 5u);
  EXPECT_GE(score().latency().max(), absl::Milliseconds(4950));
  EXPECT_LE(score().commit().max(), absl::Milliseconds(1100));
}

TEST_F(GeneratorTest, OpenLoopSendsWhatIsDueBetweenTwoConnectionsToo) {
  plan_.rate = 1000;
  plan_.connections = 1;
  plan_.sender.messages_max = 1;
  plan_.messages_max = 20;
  Run();
  EXPECT_EQ(score().acknowledged(), 20u);
  EXPECT_EQ(generator_->unsent(), 0u);
}

TEST_F(GeneratorTest, OpenLoopKeepsItsRateThroughAStall) {
  plan_.rate = 100;
  plan_.messages_max = 0;
  plan_.duration = absl::Seconds(5);
  plan_.connections = 50;
  ASSERT_TRUE(sink_plan_.script.AddRule("end from 1s until 2s delay 1s").ok());
  Run();
  EXPECT_NEAR(static_cast<double>(score().acknowledged()), 500, 3);
  EXPECT_GE(score().latency().Percentile(0.95), absl::Milliseconds(900));
  EXPECT_GE(score().latency().Percentile(0.85), absl::Milliseconds(200));  // due, not yet sent
}

TEST_F(GeneratorTest, CutConnectionsLeaveNothingBehind) {
  plan_.cut_percent = 30;
  plan_.messages_max = 100;
  Run();
  EXPECT_LT(score().acknowledged(), 90u);
  EXPECT_TRUE(Says("0 refused, 0 lost")) << score().Text();
  ExpectEqualLedgers();
}

TEST_F(GeneratorTest, ASinkThatCutsLosesMessagesAndTheRunGoesOn) {
  ASSERT_TRUE(sink_plan_.script.AddRule("content 10% cut").ok());
  ASSERT_TRUE(sink_plan_.script.AddRule("end 2% stall").ok());
  plan_.messages_max = 200;
  Run();
  EXPECT_GT(score().lost(), 0u);
  EXPECT_EQ(score().acknowledged() + score().lost(), 200u) << score().Text();
  EXPECT_TRUE(Says("timed out")) << score().Text();
  ExpectEqualLedgers();
}

TEST_F(GeneratorTest, ConnectionsBeyondTheLimitAreRefused) {
  sink_plan_.connections_max = 2;
  plan_.messages_max = 400;
  Run();
  EXPECT_TRUE(Says("greeting 421 (session)")) << score().Text();
  EXPECT_EQ(score().acknowledged(), 400u);
}

TEST_F(GeneratorTest, OutagesAreOutlived) {
  ASSERT_TRUE(sink_plan_.script.AddOutage("500ms 1500ms").ok());
  plan_.rate = 100;
  plan_.messages_max = 200;
  Run();
  EXPECT_TRUE(Says("connect lost: ")) << score().Text();
  EXPECT_GT(score().acknowledged(), 80u);
  EXPECT_LT(score().acknowledged(), 120u);
}

TEST_F(GeneratorTest, TlsCarriesMail) {
  const TestCertificate certificate(folder_.path(), "sink");
  sink_plan_.certificate = certificate.files();
  plan_.sender.tls = true;
  Run();
  EXPECT_EQ(score().acknowledged(), 50u) << score().Text();
  EXPECT_NE(sink_->Json().find("\"secure\":4"), std::string::npos) << sink_->Json();
  ExpectEqualLedgers();
}

TEST_F(GeneratorTest, BadClientsStandBesideGoodOnes) {
  plan_.slow_drips = 3;
  plan_.unread = 2;
  plan_.idle = 5;
  plan_.messages_max = 0;
  plan_.rate = 10;
  plan_.duration = absl::Seconds(10);
  Run();
  EXPECT_NEAR(static_cast<double>(score().acknowledged()), 100, 3);
  EXPECT_NE(generator_->ExtraJson().find("\"nuisances\":{\"connections\":5"), std::string::npos)
      << generator_->ExtraJson();
}

}  // namespace
}  // namespace backstay
