// tests/sim/scenarios/questions_test.cc -- `recipients = "verify"`, and a primary that takes its
// time.
#include <memory>
#include <string>
#include <vector>

#include "core/base/mark.h"
#include "tests/sim/scenarios/scenario.h"
#include "tests/support/line_client.h"

namespace backstay {
namespace {

// A client in a transaction, of a domain whose recipients the primary is asked about; it refuses
// all of them.
class QuestionsScenario : public testing::Test {
 protected:
  QuestionsScenario() {
    scenario_.primary.SetEmptied(true);
    client_.NextLine(absl::Seconds(5));
    Say("HELO client.example");
    Say("MAIL FROM:<a@sender.example>");
  }
  ~QuestionsScenario() override { client_.Disconnect(); }

  static Scenario::Options Verified() {
    Scenario::Options options;
    options.domain = "recipients = \"verify\"\n";
    return options;
  }
  std::string Say(const std::string& line) {
    client_.Send(line + "\r\n");
    return client_.NextLine(absl::Seconds(8)).value_or("");
  }
  std::string CodeOf(const std::string& recipient) {
    return Say("RCPT TO:<" + recipient + "@d0.example>").substr(0, 3);
  }

  Scenario scenario_{Verified()};
  LineClient client_{scenario_.world, scenario_.client_host, *SocketAddress::Parse("10.0.0.1:25")};
};

TEST_F(QuestionsScenario, OneSilentConnectionHoldsThemUpForSeconds) {
  EXPECT_EQ(CodeOf("one"), "550");
  scenario_.primary.SetDripping(absl::Hours(1));
  EXPECT_EQ(CodeOf("two"), "451");
  scenario_.primary.SetDripping(absl::ZeroDuration());  // on other connections
  scenario_.RunFor(absl::Milliseconds(1500));
  EXPECT_EQ(CodeOf("three"), "550") << "ten seconds behind the one before, five behind its own";
  EXPECT_EQ(scenario_.primary.connections_accepted(), 2U);
}

TEST_F(QuestionsScenario, AnAnswerThatNobodyWaitsForAnyMoreIsLearned) {
  PrimaryManners manners;
  manners.greeting_after = absl::Seconds(20);
  scenario_.primary.set_manners(manners);
  EXPECT_EQ(CodeOf("one"), "451");
  scenario_.RunFor(absl::Seconds(16));
  EXPECT_EQ(CodeOf("one"), "550");
  EXPECT_EQ(scenario_.primary.attempts().size(), 2U) << "it, and one that nobody has";
}

// Strangers who ask a primary that hangs, and hang up.
class StrangersScenario : public testing::Test {
 protected:
  static constexpr size_t kAtOnce = 200;

  static Scenario::Options Verified() {
    Scenario::Options options;
    options.shards = 2;
    options.smtp = "max_connections_per_client = 5000\n";
    options.domain = "recipients = \"verify\"\n";
    return options;
  }
  // One message to some recipients, on a shard of chance.
  std::vector<std::string> Ask(const std::vector<std::string>& recipients) {
    LineClient client(scenario_.world, scenario_.client_host, server_);
    client.NextLine(absl::Seconds(5));
    std::vector<std::string> codes;
    for (const char* const line : {"HELO client.example\r\n", "MAIL FROM:<a@sender.example>\r\n"}) {
      client.Send(line);
      client.NextLine(absl::Seconds(5));
    }
    for (const std::string& recipient : recipients) {
      client.Send("RCPT TO:<" + recipient + "@d0.example>\r\n");
      codes.push_back(client.NextLine(absl::Seconds(8)).value_or("").substr(0, 3));
    }
    return codes;
  }
  void StrangersAskAndHangUp() {
    std::vector<std::unique_ptr<LineClient>> strangers(kAtOnce);
    for (std::unique_ptr<LineClient>& stranger : strangers) {
      stranger = std::make_unique<LineClient>(scenario_.world, scenario_.client_host, server_);
    }
    SendAll(strangers, [] { return std::string("HELO stranger.example"); });
    SendAll(strangers, [] { return std::string("MAIL FROM:<s@sender.example>"); });
    SendAll(strangers, [&] { return "RCPT TO:<x" + std::to_string(++asked_) + "@d0.example>"; });
    for (std::unique_ptr<LineClient>& stranger : strangers) {
      stranger->Disconnect();
    }
  }
  template <typename Line>
  void SendAll(std::vector<std::unique_ptr<LineClient>>& strangers, Line line) {
    scenario_.RunFor(absl::Milliseconds(100));
    for (std::unique_ptr<LineClient>& stranger : strangers) {
      stranger->Send(line() + "\r\n");
    }
    scenario_.RunFor(absl::Milliseconds(100));
  }

  const SocketAddress server_ = *SocketAddress::Parse("10.0.0.1:25");
  Scenario scenario_{Verified()};
  size_t asked_ = 0;
};

TEST_F(StrangersScenario, WhoIsKnownIsTakenHoweverManyQuestionsHang) {
  scenario_.primary.SetEmptied(true);
  EXPECT_EQ(Ask({"nobody"}), std::vector<std::string>({"550"}));  // so it does not take all
  scenario_.primary.SetEmptied(false);
  std::vector<std::string> known;
  for (size_t number = 0; number < 12; ++number) {
    known.push_back("known" + std::to_string(number));
  }
  const std::vector<std::string> all_taken(known.size(), "250");
  EXPECT_EQ(Ask(known), all_taken);
  scenario_.primary.SetDripping(absl::Hours(1));
  const uint64_t forsaken = MarkCount("question_forsaken");
  for (size_t round = 0; round < 13; ++round) {
    StrangersAskAndHangUp();
  }
  EXPECT_GT(MarkCount("question_forsaken"), forsaken + 500);
  EXPECT_EQ(Ask(known), all_taken);
  EXPECT_EQ(Ask(known), all_taken);  // perhaps on the other shard
}

}  // namespace
}  // namespace backstay
