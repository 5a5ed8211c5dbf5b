// tests/core/shard/verifier_test.cc -- questions to a primary that says how many it takes, that
// falls silent, that does not know SMTPUTF8, that refuses for all kinds of reasons.
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
  Interest interest() const override { return matters; }
  void OnPrimarySaid(PrimaryVerdict said) override { verdict = said; }

  Interest matters = Interest::kWaiting;
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
        verifier({*io_, wheel_, outbox_, tls_, times_}, *this) {
    world.Attach(*io_, *this);
  }
  void Turn() override {
    io_->Turn(wheel_.NextDue());
    wheel_.Advance(io_->Now());
    outbox_.Flush();
  }
  // Together in one turn.
  void Ask(const std::vector<std::string>& addresses) {
    for (const std::string& address : addresses) {
      questions.push_back(std::make_unique<Question>(address));
      verifier.Ask(*questions.back());
    }
    io_->Wake();
  }
  void Ask(size_t count) {
    std::vector<std::string> addresses;
    for (size_t index = 0; index < count; ++index) {
      addresses.push_back(fmt::format("r{}@example.com", index));
    }
    Ask(addresses);
  }
  void LeaveBehind() {
    verifier.LeaveBehind();
    io_->Wake();
  }
  bool all_answered() const {
    return std::all_of(questions.begin(), questions.end(),
                       [](const auto& question) { return question->verdict.has_value(); });
  }

  std::vector<std::unique_ptr<Question>> questions;
  bool has_moved = false;  // since the last connection
  size_t failed = 0;       // connections that were told of as trouble

 private:
  const PrimaryHost* VerifierHost() override {
    has_moved = false;
    return &primary_;
  }
  bool HasHost(const SocketAddress&) const override { return !has_moved; }
  const std::string& VerifierHostname() override { return hostname_; }
  void OnVerifierGreeted() override {}
  void OnVerifierFailed(const OutboundConnection&) override { ++failed; }

  std::unique_ptr<Io> io_;
  TimerWheel wheel_;
  Outbox outbox_;
  List<PendingHandshake> turns_;
  PrimaryTls tls_;
  DeliveryTimes times_;
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
    EXPECT_EQ(route_.failed, failed_expected_);
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
  // Of all questions so far, in their order.
  std::vector<PrimaryVerdict> Verdicts() {
    EXPECT_TRUE(world_.RunUntil([this] { return route_.all_answered(); }, absl::Seconds(20)));
    std::vector<PrimaryVerdict> verdicts;
    for (const auto& question : route_.questions) {
      verdicts.push_back(question->verdict.value_or(PrimaryVerdict::kNone));
    }
    return verdicts;
  }
  // The next question finds an open connection, and a primary that does not answer on it any more.
  void FallSilent() {
    AskAndWait(1);
    route_.questions.clear();
    primary_.SetPace(absl::Hours(1));
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
  size_t failed_expected_ = 0;
};

using Said = std::vector<PrimaryVerdict>;
using Interest = RecipientQuestion::Interest;
constexpr PrimaryVerdict kTaken = PrimaryVerdict::kTaken;
constexpr PrimaryVerdict kRefused = PrimaryVerdict::kRefused;
constexpr PrimaryVerdict kNone = PrimaryVerdict::kNone;
constexpr PrimaryVerdict kNeedsUtf8 = PrimaryVerdict::kNeedsUtf8;

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

// ---- SMTPUTF8 ----

TEST_F(VerifierTest, AnAddressInUtf8IsAskedUnderSmtpUtf8) {
  primary_.SetReply("EHLO", "250-primary.example\r\n250-PIPELINING\r\n250 SMTPUTF8", "");
  route_.Ask({"a@example.com", "\xc3\xbc@example.com", "\xc3\xa9@example.com", "b@example.com"});
  EXPECT_EQ(Verdicts(), (Said{kTaken, kTaken, kTaken, kTaken}));
  EXPECT_EQ(Transactions(), std::vector<size_t>({1, 2, 1}));
  std::vector<std::string> mails = primary_.heard();
  std::erase_if(mails, [](const std::string& line) { return !line.starts_with("MAIL "); });
  EXPECT_EQ(mails,
            std::vector<std::string>({"MAIL FROM:<>", "MAIL FROM:<> SMTPUTF8", "MAIL FROM:<>"}));
}

TEST_F(VerifierTest, APrimaryWithoutSmtpUtf8IsAskedTheOthers) {
  route_.Ask({"a@example.com", "\xc3\xbc@example.com", "b@example.com"});
  EXPECT_EQ(Verdicts(), (Said{kTaken, kNeedsUtf8, kTaken}));
  EXPECT_EQ(Transactions(), std::vector<size_t>({1, 1}));
  EXPECT_EQ(primary_.connections_total(), 1u);
}

// ---- silence ----

TEST_F(VerifierTest, OneSilentConnectionDoesNotBlockWhatWaits) {
  FallSilent();
  route_.Ask(2);
  world_.RunFor(absl::Seconds(3));
  primary_.SetPace(absl::ZeroDuration());
  route_.Ask(1);
  world_.RunFor(Verifier::kSilentMax - absl::Seconds(4));
  EXPECT_FALSE(route_.questions.back()->verdict.has_value());
  world_.RunFor(absl::Seconds(2));
  ASSERT_TRUE(route_.all_answered());
  EXPECT_EQ(Verdicts(), (Said{kNone, kTaken, kTaken}));  // the second was waiting, too
  EXPECT_EQ(primary_.connections_total(), 2u);
}

TEST_F(VerifierTest, APrimaryThatAnswersSlowlyIsNotSilent) {
  AskAndWait(1);
  primary_.SetPace(absl::Seconds(6));
  route_.Ask(6);
  world_.RunFor(absl::Minutes(2));
  ASSERT_TRUE(route_.all_answered());
  EXPECT_EQ(Verdicts(), Said(7, kTaken));
  EXPECT_EQ(primary_.connections_total(), 1u);
}

TEST_F(VerifierTest, AnIdleConnectionIsNotSilent) {
  AskAndWait(1);
  world_.RunFor(absl::Minutes(1));
  EXPECT_EQ(primary_.heard().back(), "QUIT");
  EXPECT_EQ(primary_.connections_total(), 1u);
}

TEST_F(VerifierTest, APrimaryThatGreetsLateIsAsked) {
  primary_.SetPace(absl::Seconds(20));
  route_.Ask(1);
  world_.RunFor(absl::Seconds(19));
  primary_.SetPace(absl::ZeroDuration());
  EXPECT_EQ(Verdicts(), (Said{kTaken}));
  EXPECT_EQ(primary_.connections_total(), 1u);
}

TEST_F(VerifierTest, OneThatDoesNotGreetAtAllIsTrouble) {
  primary_.SetPace(absl::Hours(1));
  route_.Ask(1);
  world_.RunFor(Verifier::kGreetsWithin - absl::Seconds(1));
  EXPECT_FALSE(route_.all_answered());
  EXPECT_EQ(route_.failed, 0u);
  world_.RunFor(absl::Seconds(2));
  ASSERT_TRUE(route_.all_answered());
  EXPECT_EQ(Verdicts(), (Said{kNone}));
  failed_expected_ = 1;
}

// ---- more than can be asked ----

TEST_F(VerifierTest, WhoHasHungUpIsNotAskedFor) {
  FallSilent();
  route_.Ask(3);  // the first is asked, the others wait for it
  route_.questions[1]->matters = Interest::kNone;
  primary_.SetPace(absl::ZeroDuration());
  EXPECT_EQ(Verdicts(), (Said{kTaken, kNone, kTaken}));
  const auto& heard = primary_.heard();
  EXPECT_EQ(std::count(heard.begin(), heard.end(), "RCPT TO:<r1@example.com>"), 0);
  EXPECT_EQ(std::count(heard.begin(), heard.end(), "RCPT TO:<r2@example.com>"), 1);
}

TEST_F(VerifierTest, TheNextQuestionEndsThoseOfWhoHasHungUp) {
  FallSilent();
  route_.Ask(1 + Verifier::kWaitingMax);
  for (size_t index = 1; index < route_.questions.size(); ++index) {
    route_.questions[index]->matters = Interest::kNone;
  }
  route_.Ask(1);
  for (size_t index = 1; index + 1 < route_.questions.size(); ++index) {
    EXPECT_EQ(route_.questions[index]->verdict, kNone);
  }
  EXPECT_FALSE(route_.questions.back()->verdict.has_value());
  primary_.SetPace(absl::ZeroDuration());
  EXPECT_EQ(Verdicts().back(), kTaken);
}

TEST_F(VerifierTest, WithoutRoomThoseGoThatNobodyWaitsForThenNobodyElseComes) {
  FallSilent();
  route_.Ask(1 + Verifier::kWaitingMax);
  route_.questions[7]->matters = Interest::kLearning;
  route_.questions[9]->matters = Interest::kLearning;
  route_.Ask(1);
  EXPECT_EQ(route_.questions[7]->verdict, kNone) << "the oldest";
  EXPECT_FALSE(route_.questions[9]->verdict.has_value());
  route_.Ask(1);
  EXPECT_EQ(route_.questions[9]->verdict, kNone);
  EXPECT_FALSE(route_.questions.back()->verdict.has_value());
  route_.Ask(1);
  EXPECT_EQ(route_.questions.back()->verdict, kNone);
  primary_.SetPace(absl::ZeroDuration());
  std::vector<PrimaryVerdict> said = Verdicts();
  EXPECT_EQ(std::count(said.begin(), said.end(), kTaken), 1 + Verifier::kWaitingMax);
  EXPECT_EQ(std::count(said.begin(), said.end(), kNone), 3);
}

// ---- refusals ----

TEST_F(VerifierTest, OnlyWhatIsSaidOfTheAddressIsAnUnknownUser) {
  const struct {
    std::string_view reply;
    PrimaryVerdict verdict;
  } cases[] = {
      {"550 5.1.1 nobody", kRefused},
      {"550 5.1.10 RESOLVER.ADR.RecipientNotFound", kRefused},
      {"553 5.1.2 no such domain", kRefused},
      {"554 5.1.6 moved", kRefused},
      {"550 unknown user", kRefused},
      {"551 not here", kRefused},
      {"553 mailbox name not allowed", kRefused},
      {"550 5.4.1 Recipient address rejected: Access denied.", kRefused},
      {"550 5.4.1 no answer from host", kNone},
      {"504 5.5.2 <localhost>: Helo command rejected", kNone},
      {"552 5.2.2 mailbox full", kNone},
      {"552 mailbox full", kNone},
      {"554 no", kNone},
      {"550 5.7.1 blocked", kNone},
      {"550 5.1.7 your address", kNone},
      {"550 5.1.8 your domain", kNone},
      {"550 5.3.0 something", kNone},
      {"503 5.5.1 later", kNone},
      {"450 4.1.1 greylisted", kNone},
  };
  std::vector<std::string> addresses;
  Said wanted;
  for (const auto& one : cases) {
    addresses.push_back(fmt::format("r{}@example.com", addresses.size()));
    wanted.push_back(one.verdict);
    primary_.SetReply("RCPT", std::string(one.reply), addresses.back());
  }
  route_.Ask(addresses);
  const Said said = Verdicts();
  for (size_t index = 0; index < said.size(); ++index) {
    EXPECT_EQ(said[index], wanted[index]) << cases[index].reply;
  }
}

// ---- left behind ----

TEST_F(VerifierTest, WhatIsAskedOnAConnectionThatIsLeftHasNoAnswerWhatWaitsIsAsked) {
  FallSilent();
  route_.Ask(2);
  world_.RunFor(absl::Seconds(1));
  primary_.SetPace(absl::ZeroDuration());
  route_.Ask(1);
  route_.LeaveBehind();
  world_.RunFor(absl::Seconds(1));
  ASSERT_TRUE(route_.all_answered());
  EXPECT_EQ(Verdicts(), (Said{kNone, kTaken, kTaken}));  // the second was waiting, too
  EXPECT_EQ(primary_.connections_total(), 2u);
}

TEST_F(VerifierTest, OneThatIsLeftBeforeItGreetsIsNobodysFault) {
  primary_.SetPace(absl::Hours(1));
  route_.Ask(2);
  world_.RunFor(absl::Seconds(1));
  primary_.SetPace(absl::ZeroDuration());
  route_.LeaveBehind();
  EXPECT_EQ(Verdicts(), (Said{kTaken, kTaken}));
  EXPECT_EQ(primary_.connections_total(), 2u);
}

TEST_F(VerifierTest, ThereMayBeNothingToLeave) {
  route_.LeaveBehind();
  AskAndWait(1);
  route_.LeaveBehind();
  AskAndWait(1);
  EXPECT_EQ(primary_.connections_total(), 2u);
}

}  // namespace
}  // namespace backstay
