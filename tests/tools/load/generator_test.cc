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
    return generator_->Text().find(part) != std::string::npos;
  }
  bool SinkSays(const std::string& part) const {
    return sink_->Json().find(part) != std::string::npos;
  }
  // As long as it is asked to, whatever comes of it.
  void Last(absl::Duration duration) {
    plan_.messages_max = 0;
    plan_.duration = duration;
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

TEST_F(GeneratorTest, OpenLoopConnectsForWhatIsDueHoweverManyWaitForAGreeting) {
  ASSERT_TRUE(sink_plan_.script.AddRule("connect delay 1s").ok());
  plan_.rate = 400;
  plan_.connections = 1000;
  plan_.sender.messages_max = 1;
  Last(absl::Seconds(2));
  Run();
  EXPECT_NEAR(static_cast<double>(score().acknowledged()), 800, 3);
  EXPECT_EQ(score().offered(), score().acknowledged());
  EXPECT_EQ(generator_->unsent(), 0u);
  EXPECT_LE(score().begun().max(), absl::Milliseconds(60));
}

TEST_F(GeneratorTest, ConnectingIsCappedInAClosedLoopAndWhereItIsAskedFor) {
  ASSERT_TRUE(sink_plan_.script.AddRule("connect delay 1s").ok());
  plan_.connections = 600;
  Last(absl::Milliseconds(500));
  Run();
  EXPECT_TRUE(SinkSays("\"connections\":256,")) << sink_->Json();
  plan_.idle = 300;  // these first, and together with the others
  Run();
  EXPECT_TRUE(SinkSays("\"connections\":256,")) << sink_->Json();
  plan_.idle = 0;
  plan_.rate = 400;
  plan_.connecting_max = 10;
  Run();
  EXPECT_TRUE(SinkSays("\"connections\":10,")) << sink_->Json();
  EXPECT_EQ(score().offered(), 10u);
  EXPECT_NEAR(static_cast<double>(generator_->unsent()), 190, 3);
}

TEST_F(GeneratorTest, RefusalsCountFromTheMomentTheirMessagesWereDue) {
  for (const char* rule : {"connect delay 1s", "connect 421 4.3.2 no"}) {
    ASSERT_TRUE(sink_plan_.script.AddRule(rule).ok());
  }
  plan_.rate = 10;
  plan_.connecting_max = 1;  // the last one, due after 0.4 s, has its connection after 4 s
  plan_.messages_max = 5;
  Run();
  EXPECT_EQ(score().refused(), 5u);
  EXPECT_GE(score().refusal().max(), absl::Milliseconds(4500));
  EXPECT_GE(score().begun().max(), absl::Milliseconds(3500));
}

TEST_F(GeneratorTest, WhatAStallLeavesIsAccountedFor) {
  ASSERT_TRUE(sink_plan_.script.AddRule("end from 700ms stall").ok());
  plan_.rate = 100;
  plan_.connections = 8;
  Last(absl::Seconds(2));
  Run();
  EXPECT_NEAR(static_cast<double>(score().acknowledged()), 70, 3);
  EXPECT_EQ(score().timed_out(), 8u);
  EXPECT_EQ(score().offered(), score().acknowledged() + 8);
  EXPECT_NEAR(static_cast<double>(score().offered() + score().unsent()), 200, 3);
  EXPECT_TRUE(Says("due were never sent, 8 lost: no percentile knows of them")) << score().Text();
  EXPECT_TRUE(Says("the server was lost")) << generator_->Text();
  const std::string json = score().Json("");
  const std::string acknowledged = std::to_string(score().acknowledged());
  EXPECT_NE(json.find("\"answered\":" + acknowledged + ",\"acknowledged\":" + acknowledged +
                      ",\"refused\":0,\"lost\":8,\"timed_out\":8,\"unanswered\":0"),
            std::string::npos)
      << json;
  EXPECT_NE(json.find("\"unsent\":" + std::to_string(score().unsent())), std::string::npos) << json;
}

TEST_F(GeneratorTest, WhoIsAnsweredTooSlowlyIsUnansweredAtTheEnd) {
  for (const char* rule : {"mail delay 15s", "rcpt delay 15s"}) {  // each within its patience
    ASSERT_TRUE(sink_plan_.script.AddRule(rule).ok());
  }
  Last(absl::Seconds(2));
  Run();
  EXPECT_EQ(score().offered(), 4u);
  EXPECT_EQ(score().unanswered(), 4u);
  EXPECT_EQ(score().lost(), 4u);
  EXPECT_EQ(score().timed_out(), 0u);
}

TEST_F(GeneratorTest, WhatWasUnderWayWhenTheClockBeganIsOffered) {
  ASSERT_TRUE(sink_plan_.script.AddRule("end delay 1s").ok());
  plan_.warm_up = absl::Milliseconds(500);
  Last(absl::Milliseconds(100));
  Run();
  EXPECT_EQ(score().acknowledged(), 4u);
  EXPECT_EQ(score().offered(), 4u);
}

TEST_F(GeneratorTest, AServerThatDiesHasNoBetterRateForIt) {
  ASSERT_TRUE(sink_plan_.script.AddRule("end delay 20ms").ok());
  ASSERT_TRUE(sink_plan_.script.AddOutage("1s 1h").ok());
  Last(absl::Seconds(4));
  Run();
  EXPECT_GT(score().acknowledged(), 50u);
  EXPECT_GE(score().Seconds(), 4);
  EXPECT_LE(score().Seconds(), 4.2);
  EXPECT_TRUE(generator_->server_gone());
  EXPECT_TRUE(Says("the server was lost")) << generator_->Text();
}

TEST_F(GeneratorTest, AServerThatAnswersOthersMeanwhileIsNotGone) {
  ASSERT_TRUE(sink_plan_.script.AddRule("connect from 1s until 2s stall").ok());
  plan_.rate = 50;
  plan_.connections = 300;
  plan_.sender.messages_max = 1;
  plan_.sender.reply_timeout = absl::Seconds(3);
  Last(absl::Seconds(3));
  Run();
  EXPECT_NEAR(static_cast<double>(score().timed_out()), 50, 3);  // told behind the last answer
  EXPECT_NEAR(static_cast<double>(score().acknowledged()), 100, 3);
  EXPECT_FALSE(generator_->server_gone());
}

TEST_F(GeneratorTest, WhereNobodyIsGreetedARunEndsByItself) {
  const auto expect_given_up = [this](const std::string& last) {
    Run();
    const std::string said(generator_->given_up().message());
    EXPECT_NE(said.find("past its greeting for 10s"), std::string::npos) << said;
    EXPECT_TRUE(said.ends_with("; the last: " + last)) << said;
    EXPECT_NEAR(score().Seconds(), 10, 0.5) << last;
    EXPECT_NE(generator_->ExtraJson().find("\"gave_up\":true"), std::string::npos);
  };
  ASSERT_TRUE(sink_plan_.script.AddRule("connect 554 5.3.2 no").ok());
  expect_given_up("greeting 554");
  EXPECT_EQ(score().acknowledged(), 0u);
  sink_plan_.script = SinkScript();
  plan_.sender.tls = true;  // which the sink does not offer
  expect_given_up("tls 502");
  plan_.sender.tls = false;
  plan_.warm_up = absl::Minutes(1);
  ASSERT_TRUE(sink_plan_.script.AddOutage("0s 1h").ok());
  expect_given_up("connect lost: connection refused");
}

TEST_F(GeneratorTest, AServerThatDoesNotComeBackIsGivenUp) {
  ASSERT_TRUE(sink_plan_.script.AddRule("end delay 20ms").ok());
  ASSERT_TRUE(sink_plan_.script.AddOutage("1s 1h").ok());
  plan_.messages_max = 1000;
  Run();
  EXPECT_GT(score().acknowledged(), 50u);
  EXPECT_FALSE(generator_->given_up().ok());
  EXPECT_NEAR(score().Seconds(), 11, 0.5);
}

TEST_F(GeneratorTest, ARunWaitsForWhoeverComesInTime) {
  ASSERT_TRUE(sink_plan_.script.AddOutage("0s 8s").ok());
  Run();
  EXPECT_EQ(score().acknowledged(), 50u);
  sink_plan_.script = SinkScript();
  ASSERT_TRUE(sink_plan_.script.AddRule("connect delay 15s").ok());  // nothing has failed
  Run();
  EXPECT_EQ(score().acknowledged(), 50u);
  EXPECT_TRUE(generator_->given_up().ok()) << generator_->given_up();
}

TEST_F(GeneratorTest, ARunIsNotGivenUpWhileSomebodyIsServed) {
  ASSERT_TRUE(sink_plan_.script.AddRule("end delay 1s").ok());
  sink_plan_.connections_max = 2;
  Run();
  EXPECT_TRUE(generator_->given_up().ok()) << generator_->given_up();
  EXPECT_EQ(score().acknowledged(), 50u);
  EXPECT_GE(score().Seconds(), 24);
  EXPECT_TRUE(Says("greeting 421 (session)")) << score().Text();
}

TEST_F(GeneratorTest, WithADurationNothingIsGivenUp) {
  ASSERT_TRUE(sink_plan_.script.AddOutage("0s 1h").ok());
  plan_.duration = absl::Seconds(20);
  Run();
  EXPECT_TRUE(generator_->given_up().ok()) << generator_->given_up();
  EXPECT_GE(score().Seconds(), 20);
}

TEST_F(GeneratorTest, MessagesOfTheWarmUpAreNotAmongThoseAskedFor) {
  ASSERT_TRUE(sink_plan_.script.AddRule("end delay 20ms").ok());
  plan_.warm_up = absl::Seconds(1);
  plan_.connections = 16;
  for (const double rate : {0.0, 100.0}) {
    plan_.rate = rate;
    Run();
    EXPECT_EQ(score().offered(), 50u) << rate;
    EXPECT_EQ(score().acknowledged(), 50u) << rate;
    EXPECT_GE(sink_->tally().taken(), 100u) << rate;
  }
}

TEST_F(GeneratorTest, WhatCannotBeRunIsNamed) {
  EXPECT_TRUE(Generator::Check(plan_).ok());
  const auto complaint = [this](void (*change)(LoadPlan&)) {
    LoadPlan plan = plan_;
    change(plan);
    return std::string(Generator::Check(plan).message());
  };
  EXPECT_NE(complaint([](LoadPlan& plan) { plan.connections = 0; }), "");
  EXPECT_NE(complaint([](LoadPlan& plan) { plan.messages_max = 0; }), "");
  EXPECT_NE(complaint([](LoadPlan& plan) {
              plan.sender.purpose = SenderPlan::Purpose::kLeave;
              plan.duration = absl::Seconds(1);
              plan.rate = 5;
            }),
            "")
      << "its messages would count as acknowledged and were never sent";
  EXPECT_NE(complaint([](LoadPlan& plan) { plan.sender.purpose = SenderPlan::Purpose::kLeave; }),
            "")
      << "it never has so many messages";
  EXPECT_EQ(complaint([](LoadPlan& plan) {
              plan.connections = 0;
              plan.idle = 5;
              plan.duration = absl::Seconds(1);
            }),
            "");
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

TEST_F(GeneratorTest, EveryRefusalOfTheSinkIsInItsResult) {
  sink_plan_.manners.messages_max = 10;
  plan_.connections = 1;
  Run();
  EXPECT_EQ(score().refused(), 4u);
  EXPECT_TRUE(Says("mail 421")) << score().Text();
  EXPECT_TRUE(SinkSays("\"refusals\":{\"mail 421\":4}")) << sink_->Json();
}

TEST_F(GeneratorTest, OutagesAreOutlived) {
  ASSERT_TRUE(sink_plan_.script.AddOutage("500ms 1500ms").ok());
  plan_.rate = 100;
  plan_.messages_max = 200;
  Run();
  EXPECT_TRUE(Says("connect lost: ")) << score().Text();
  EXPECT_GT(score().acknowledged(), 80u);
  EXPECT_LT(score().acknowledged(), 120u);
  EXPECT_FALSE(generator_->server_gone());
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
