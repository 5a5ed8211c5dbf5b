// tests/tools/sink/script_test.cc -- rules mean what they say, and what is no rule is named.
#include "tools/sink/script.h"

#include <gtest/gtest.h>

#include "tools/sink/content_reader.h"

namespace backstay {
namespace {

using Action = SinkVerdict::Action;

SinkVerdict JudgeAt(const SinkScript& script, SinkPhase phase, absl::Duration elapsed,
                    std::string_view argument = "") {
  Random random(1);
  return script.Judge(phase, argument, elapsed, random);
}

TEST(SinkScript, FirstActionCountsAndDelaysAddUp) {
  SinkScript script;
  for (const char* rule :
       {"rcpt delay 200ms", "rcpt 450 4.2.1 later", "rcpt cut", "rcpt delay 1s"}) {
    ASSERT_TRUE(script.AddRule(rule).ok()) << rule;
  }
  const SinkVerdict verdict = JudgeAt(script, SinkPhase::kRcpt, absl::ZeroDuration());
  EXPECT_EQ(verdict.action, Action::kReply);
  EXPECT_EQ(verdict.reply, "450 4.2.1 later");
  EXPECT_EQ(verdict.delay, absl::Milliseconds(1200));
  EXPECT_EQ(JudgeAt(script, SinkPhase::kMail, absl::ZeroDuration()).action, Action::kGoOn);
}

TEST(SinkScript, WindowsAndAddressesNarrowARule) {
  SinkScript script;
  ASSERT_TRUE(script.AddRule("rcpt from 1s until 2s only bad@ 550 5.1.1 no").ok());
  EXPECT_EQ(JudgeAt(script, SinkPhase::kRcpt, absl::Seconds(1), "bad@x").code, 550);
  EXPECT_EQ(JudgeAt(script, SinkPhase::kRcpt, absl::Seconds(1), "good@x").code, 0);
  EXPECT_EQ(JudgeAt(script, SinkPhase::kRcpt, absl::Milliseconds(999), "bad@x").code, 0);
  EXPECT_EQ(JudgeAt(script, SinkPhase::kRcpt, absl::Seconds(2), "bad@x").code, 0);
}

TEST(SinkScript, SharesAreKeptAndRepeatWithTheSeed) {
  SinkScript script;
  ASSERT_TRUE(script.AddRule("mail 2.5% stall").ok());
  const auto stalls = [&script](uint64_t seed) {
    Random random(seed);
    int count = 0;
    for (int turn = 0; turn < 10000; ++turn) {
      const SinkVerdict verdict = script.Judge(SinkPhase::kMail, "", absl::Seconds(1), random);
      count += verdict.action == Action::kStall ? 1 : 0;
    }
    return count;
  };
  EXPECT_NEAR(stalls(1), 250, 60);
  EXPECT_EQ(stalls(7), stalls(7));
}

TEST(SinkScript, OutagesComeAgain) {
  SinkScript script;
  EXPECT_TRUE(script.Up(absl::Seconds(5)));
  ASSERT_TRUE(script.AddOutage("10s 20s every 60s").ok());
  EXPECT_TRUE(script.Up(absl::Seconds(9)));
  EXPECT_FALSE(script.Up(absl::Seconds(10)));
  EXPECT_TRUE(script.Up(absl::Seconds(20)));
  EXPECT_FALSE(script.Up(absl::Seconds(135)));
}

TEST(SinkScript, WhatIsNoRuleIsNamed) {
  SinkScript script;
  for (const char* rule :
       {"", "rcpt", "banner cut", "rcpt 120% cut", "rcpt 99 no", "mail delay", "mail from cut",
        "content 450 no", "end delay 1s cut", "rcpt stall 5s", "rcpt cut here"}) {
    EXPECT_FALSE(script.AddRule(rule).ok()) << rule;
  }
  for (const char* outage :
       {"", "10s", "20s 10s", "10s 20s every 15s", "10s 20s daily", "10s 20s every 60s twice"}) {
    EXPECT_FALSE(script.AddOutage(outage).ok()) << outage;
  }
}

// ---- the second opinion on mail data ----

struct Read {
  std::string content;
  size_t taken = 0;
  bool done = false;
  uint64_t violations = 0;
};

Read ReadContent(std::string_view data, size_t piece) {
  Read read;
  ContentReader reader;
  reader.Start();
  for (size_t at = 0; at < data.size() && !reader.done(); at += piece) {
    read.taken += reader.Consume(AsBytes(data.substr(at, piece)),
                                 [&](Bytes bytes) { read.content.append(AsText(bytes)); });
  }
  read.done = reader.done();
  read.violations = reader.violations();
  return read;
}

TEST(ContentReader, DotsAndTheEndAreFoundHoweverItIsCut) {
  const std::string_view data = "..dot\r\nx.\r\n\r\n...\r\n.\r\nQUIT\r\n";
  for (size_t piece = 1; piece <= data.size(); ++piece) {
    const Read read = ReadContent(data, piece);
    ASSERT_TRUE(read.done) << piece;
    ASSERT_EQ(read.content, ".dot\r\nx.\r\n\r\n..\r\n") << piece;
    ASSERT_EQ(read.taken, data.size() - 6) << piece;
    ASSERT_EQ(read.violations, 0u) << piece;
  }
  EXPECT_TRUE(ReadContent(".\r\n", 1).done) << "an empty message";
}

TEST(ContentReader, StrayBytesAreViolationsAndEndNothing) {
  for (const std::string_view data :
       {std::string_view("a\nb\r\n"), std::string_view("a\rb\r\n"), std::string_view("a\0b\r\n", 5),
        std::string_view("a\r\r\n"), std::string_view("a\n.\r\n"), std::string_view("a\r.\r\n"),
        std::string_view(".\rx\r\n"), std::string_view("a\n.\n")}) {
    for (size_t piece = 1; piece <= data.size(); ++piece) {
      const Read read = ReadContent(data, piece);
      EXPECT_FALSE(read.done) << data << piece;
      EXPECT_GE(read.violations, 1u) << data << piece;
    }
  }
}

}  // namespace
}  // namespace backstay
