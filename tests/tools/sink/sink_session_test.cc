// tests/tools/sink/sink_session_test.cc -- what a scripted primary answers, delays and cuts.
#include "tools/sink/sink_session.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace backstay {
namespace {

class SinkSessionTest : public testing::Test, private SinkJudge {
 protected:
  // The answers to these bytes, taken whole.
  std::string Say(std::string_view bytes) {
    EXPECT_EQ(session_.Consume(AsBytes(bytes)), bytes.size());
    return Output();
  }
  std::string Output() { return std::exchange(session_.output(), std::string()); }
  void Rule(std::string_view rule) { ASSERT_TRUE(script_.AddRule(rule).ok()); }

  SinkManners manners_;
  SinkScript script_;
  SinkSession session_{manners_, *this};
  std::vector<std::string> taken_;  // recipients of each message
  std::vector<std::string> refused_;
  uint64_t bytes_ = 0;
  uint64_t violations_ = 0;

 private:
  SinkVerdict Judge(SinkPhase phase, std::string_view argument) override {
    return script_.Judge(phase, argument, absl::ZeroDuration(), random_);
  }
  void OnTaken(const StampReader&, uint64_t bytes,
               const std::vector<std::string>& recipients) override {
    bytes_ += bytes;
    std::string all;
    for (const std::string& recipient : recipients) {
      all += recipient + " ";
    }
    taken_.push_back(all);
  }
  void OnRefused(SinkPhase phase, int code) override {
    refused_.push_back(std::string(Describe(phase)) + " " + std::to_string(code));
  }
  void OnViolations(uint64_t count) override { violations_ += count; }

  Random random_{1};
};

TEST_F(SinkSessionTest, TakesPipelinedMailAndTheNextBehindIt) {
  session_.Greet();
  EXPECT_EQ(Output(), "220 sink.test ESMTP\r\n");
  EXPECT_NE(Say("EHLO x\r\n").find("250-PIPELINING\r\n"), std::string::npos);
  EXPECT_EQ(Say("mail from:<a@x>\r\nRCPT TO:<b@y>\r\nrcpt to:<c@y>\r\nDATA\r\n"),
            "250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n250 2.1.5 Ok\r\n354 Go ahead\r\n");
  EXPECT_EQ(Say("..x\r\n.\r\nMAIL FROM:<>\r\n"), "250 2.0.0 Ok\r\n250 2.1.0 Ok\r\n");
  EXPECT_EQ(taken_, std::vector<std::string>{"b@y c@y "});
  EXPECT_EQ(bytes_, 4u) << "one dot less";
  EXPECT_EQ(violations_, 0u);
}

TEST_F(SinkSessionTest, OrderIsAskedFor) {
  EXPECT_EQ(Say("DATA\r\n"), "503 5.5.1 MAIL first\r\n");
  EXPECT_EQ(Say("RCPT TO:<b@y>\r\n"), "503 5.5.1 MAIL first\r\n");
  Say("MAIL FROM:<a@x>\r\n");
  EXPECT_EQ(Say("MAIL FROM:<a@x>\r\n"), "503 5.5.1 Nested MAIL\r\n");
  EXPECT_EQ(Say("DATA\r\n"), "554 5.5.1 No valid recipients\r\n");
  EXPECT_EQ(Say("RSET\r\nMAIL FROM:<b@x>\r\n"), "250 2.0.0 Ok\r\n250 2.1.0 Ok\r\n");
  EXPECT_EQ(Say("STARTTLS\r\n"), "502 5.5.1 Command not implemented\r\n");
}

TEST_F(SinkSessionTest, ARefusedRecipientGetsNothing) {
  Rule("rcpt only b@ 550 5.1.1 no");
  EXPECT_EQ(Say("MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nRCPT TO:<c@y>\r\nDATA\r\n"),
            "250 2.1.0 Ok\r\n550 5.1.1 no\r\n250 2.1.5 Ok\r\n354 Go ahead\r\n");
  Say("x\r\n.\r\n");
  EXPECT_EQ(taken_, std::vector<std::string>{"c@y "});
}

TEST_F(SinkSessionTest, ADelayHoldsEverythingBehindIt) {
  Rule("mail delay 3s");
  const std::string_view bytes = "MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\n";
  EXPECT_EQ(session_.Consume(AsBytes(bytes)), 17u);
  EXPECT_EQ(Output(), "");
  EXPECT_EQ(session_.delay(), absl::Seconds(3));
  EXPECT_EQ(session_.Consume(AsBytes(bytes.substr(17))), 0u);
  session_.Continue();
  EXPECT_EQ(Output(), "250 2.1.0 Ok\r\n");
  EXPECT_EQ(Say(bytes.substr(17)), "250 2.1.5 Ok\r\n");
}

TEST_F(SinkSessionTest, ContentIsCutBeforeItIsTaken) {
  Rule("content cut");
  Say("MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nDATA\r\n");
  EXPECT_FALSE(session_.wants_cut());
  session_.Consume(AsBytes("x\r\n.\r\n"));
  EXPECT_TRUE(session_.wants_cut());
  EXPECT_TRUE(taken_.empty());
}

TEST_F(SinkSessionTest, GoodbyesClose) {
  Rule("end 421 4.3.2 going");
  Say("MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nDATA\r\n");
  EXPECT_EQ(Say("x\r\n.\r\n"), "421 4.3.2 going\r\n");
  EXPECT_TRUE(session_.wants_close());
  EXPECT_TRUE(taken_.empty());
}

TEST_F(SinkSessionTest, EnoughOnAConnectionIsARefusal) {
  manners_.messages_max = 1;
  Say("MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nDATA\r\nx\r\n.\r\n");
  EXPECT_TRUE(refused_.empty());
  EXPECT_EQ(Say("MAIL FROM:<a@x>\r\n"), "421 4.7.0 Enough on this connection\r\n");
  EXPECT_TRUE(session_.wants_close());
  EXPECT_EQ(refused_, std::vector<std::string>{"mail 421"});
}

TEST_F(SinkSessionTest, StrayBytesInCommandsAreViolations) {
  Say("NOOP\n");
  Say(std::string_view("NO\0OP\r\n", 7));
  Say("NO\rOP\r\n");
  EXPECT_EQ(violations_, 3u);
}

}  // namespace
}  // namespace backstay
