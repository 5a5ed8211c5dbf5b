// tests/core/shard/verifier_test.cc -- questions to a primary that says how many it takes.
#include "core/shard/verifier.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "io/sim/world.h"
#include "tests/support/scripted_primary.h"

namespace backstay {
namespace {

class Question final : public RecipientQuestion {
 public:
  explicit Question(std::string address) : address_(std::move(address)) {}
  std::string_view address() const override { return address_; }
  void OnPrimarySaid(PrimaryVerdict said) override { verdict = said; }

  std::optional<PrimaryVerdict> verdict;

 private:
  const std::string address_;
};

// A route of which nothing is there but its verifier.
class AskingRoute final : public Actor, private VerifierHome {
 public:
  AskingRoute(World& world, Host& host, const SocketAddress& primary)
      : io_(world.MakeIo(host)),
        wheel_(io_->Now()),
        outbox_(*io_),
        tls_(*io_, turns_),
        primary_{primary, "primary.example"},
        verifier({*io_, wheel_, outbox_, tls_}, *this) {
    world.Attach(*io_, *this);
  }
  void Turn() override {
    io_->Turn(wheel_.NextDue());
    wheel_.Advance(io_->Now());
    outbox_.Flush();
  }
  // So many questions in one turn.
  void Ask(size_t count) {
    for (size_t index = 0; index < count; ++index) {
      questions.push_back(std::make_unique<Question>(fmt::format("r{}@example.com", index)));
      verifier.Ask(*questions.back());
    }
    io_->Wake();
  }
  bool all_answered() const {
    return std::all_of(questions.begin(), questions.end(),
                       [](const auto& question) { return question->verdict.has_value(); });
  }

  std::vector<std::unique_ptr<Question>> questions;
  bool has_moved = false;  // since the last connection

 private:
  const PrimaryHost* VerifierHost() override {
    has_moved = false;
    return &primary_;
  }
  bool HasHost(const SocketAddress&) const override { return !has_moved; }
  const std::string& VerifierHostname() override { return hostname_; }
  void OnVerifierGreeted() override {}
  void OnVerifierFailed(const OutboundConnection&) override { ADD_FAILURE(); }

  std::unique_ptr<Io> io_;
  TimerWheel wheel_;
  Outbox outbox_;
  List<PendingHandshake> turns_;
  PrimaryTls tls_;
  const PrimaryHost primary_;
  const std::string hostname_ = "mx2.example.net";

 public:
  Verifier verifier;
};

class AskedPrimary final : public Actor {
 public:
  explicit AskedPrimary(ScriptedPrimary& primary) : primary_(primary) {}
  void Turn() override { primary_.Turn(); }

 private:
  ScriptedPrimary& primary_;
};

class VerifierTest : public testing::Test {
 protected:
  VerifierTest() {
    world_.Attach(*primary_io_, actor_);
    primary_.Up();
  }
  ~VerifierTest() override {
    world_.Crash(host_, CrashMode::kAllUnsynced);
    world_.Crash(primary_host_, CrashMode::kAllUnsynced);
  }
  void Offer(const std::string& limits) {
    primary_.SetReply("EHLO", "250-primary.example\r\n250-PIPELINING\r\n250 LIMITS " + limits, "");
  }
  // The RCPT commands of each transaction so far.
  std::vector<size_t> Transactions() const {
    std::vector<size_t> sizes;
    for (const std::string& line : primary_.heard()) {
      if (line.starts_with("MAIL ")) {
        sizes.push_back(0);
      } else if (line.starts_with("RCPT ")) {
        ++sizes.back();
      }
    }
    return sizes;
  }
  void AskAndWait(size_t count) {
    route_.Ask(count);
    EXPECT_TRUE(world_.RunUntil([this] { return route_.all_answered(); }, absl::Seconds(20)));
    for (const auto& question : route_.questions) {
      EXPECT_EQ(question->verdict, PrimaryVerdict::kTaken) << question->address();
    }
  }

  World world_{1};
  Host& host_ = world_.AddHost("mx2", *SocketAddress::Parse("10.0.0.1:0"));
  Host& primary_host_ = world_.AddHost("primary", *SocketAddress::Parse("10.0.0.3:0"));
  const std::unique_ptr<Io> primary_io_ = world_.MakeIo(primary_host_);
  ScriptedPrimary primary_{*primary_io_, *SocketAddress::Parse("10.0.0.3:25")};
  AskedPrimary actor_{primary_};
  AskingRoute route_{world_, host_, *SocketAddress::Parse("10.0.0.3:25")};
};

TEST_F(VerifierTest, QuestionsThatComeTogetherAreOneTransaction) {
  AskAndWait(30);
  EXPECT_EQ(Transactions(), std::vector<size_t>({30}));
}

TEST_F(VerifierTest, QuestionsGoToThePrimarysNewPlace) {
  AskAndWait(3);
  AskAndWait(3);
  EXPECT_EQ(primary_.connections_total(), 1u);
  route_.has_moved = true;
  AskAndWait(3);
  EXPECT_EQ(primary_.connections_total(), 2u);
}

TEST_F(VerifierTest, AskForNoMoreRecipientsThanThePrimaryTakes) {
  Offer("RCPTMAX=5");
  AskAndWait(12);
  EXPECT_EQ(Transactions(), std::vector<size_t>({5, 5, 2}));
  EXPECT_EQ(primary_.connections_total(), 1u);
}

TEST_F(VerifierTest, TheNextConnectionGoesOnWhereThisOneIsExhausted) {
  Offer("RCPTMAX=5 MAILMAX=2");
  AskAndWait(22);
  EXPECT_EQ(Transactions(), std::vector<size_t>({5, 5, 5, 5, 2}));
  EXPECT_EQ(primary_.connections_total(), 3u);
  const auto& heard = primary_.heard();
  EXPECT_EQ(std::count(heard.begin(), heard.end(), "QUIT"), 2);
}

}  // namespace
}  // namespace backstay
