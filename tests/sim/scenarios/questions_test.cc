// tests/sim/scenarios/questions_test.cc -- `recipients = "verify"`, and a primary that takes its
// time.
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

}  // namespace
}  // namespace backstay
