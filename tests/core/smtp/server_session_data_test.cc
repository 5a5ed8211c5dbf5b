// tests/core/smtp/server_session_data_test.cc -- what happens between 354 and the last reply.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/base/mark.h"
#include "core/smtp/server_session.h"
#include "tests/core/smtp/session_fixture.h"

namespace backstay {
namespace {

TEST(ServerSession, QuitInsideDataIsContent) {
  Dialogue dialogue;
  dialogue.StartData();
  dialogue.Feed("QUIT\r\nRSET\r\n.\r\n");
  dialogue.ExpectOpen("250 2.0.0");
  EXPECT_EQ(dialogue.intake.messages[0], "QUIT\r\nRSET\r\n");
}

// A client that knows no CR waits for a reply, and we for an end of data.
TEST(ServerSession, DataOfBareNewlinesHearsItsRefusalAtTheEndOfPatience) {
  for (const bool is_shutdown : {false, true}) {
    Dialogue dialogue;
    dialogue.StartData();
    dialogue.Feed("Subject: x\n\nbody\n.\n");
    dialogue.ExpectOpen("");
    is_shutdown ? dialogue.session.ShutDown() : dialogue.session.TimedOut();
    dialogue.Collect();
    dialogue.ExpectClosed("521 5.5.2");
    EXPECT_EQ(dialogue.intake.calls, "MRDX");
  }
  EXPECT_GE(MarkCount("malformed data without an end"), 2u);
  Dialogue nul;
  nul.StartData();
  nul.Feed(std::string_view("a\0b\r\n", 5));
  nul.session.TimedOut();
  nul.Collect();
  nul.ExpectClosed("550 5.6.0");
}

// Its end may come.
TEST(ServerSession, DataThatIsTooLargeOnlyTimesOut) {
  Dialogue dialogue;
  dialogue.StartData();
  dialogue.Feed(std::string(1001, 'x') + "\r\n");
  dialogue.session.TimedOut();
  dialogue.Collect();
  dialogue.ExpectClosed("421 4.4.2");
}

TEST(ServerSession, ContentAtTheLimitIsTakenAndBeyondItRefusedOnce) {
  Dialogue exact;
  exact.StartData();
  exact.Feed(std::string(998, 'x') + "\r\n.\r\n");
  exact.ExpectOpen("250 2.0.0");
  Dialogue stuffed;  // the stuffing dot does not count
  stuffed.StartData();
  stuffed.Feed(".." + std::string(997, 'x') + "\r\n.\r\n");
  stuffed.ExpectOpen("250 2.0.0");
  Dialogue beyond;
  beyond.StartData();
  beyond.Feed(std::string(999, 'x') + "\r\nMAIL FROM:<");
  EXPECT_EQ(beyond.intake.calls, "MRDX");  // at once
  beyond.Feed("c@d>\r\n.\r\nNOOP\r\n");
  beyond.ExpectOpen("552 5.3.4|250 2.0.0");
  EXPECT_EQ(beyond.intake.calls, "MRDX");
  EXPECT_TRUE(beyond.intake.messages.empty());
}

TEST(ServerSession, ALimitThatIsLoweredUnderAMessageHoldsForIt) {
  Dialogue dialogue;
  dialogue.StartData();
  dialogue.Feed(std::string(500, 'x') + "\r\n");
  ServerParams params = Dialogue::DefaultParams();
  params.message_bytes_max = 400;
  dialogue.Reload(params);
  dialogue.Feed("y");
  EXPECT_EQ(dialogue.intake.calls, "MRDX");
  dialogue.Feed("\r\n.\r\nNOOP\r\n");
  dialogue.ExpectOpen("552 5.3.4|250 2.0.0");
}

TEST(ServerSession, NoLimitMeansNoLimit) {
  ServerParams params = Dialogue::DefaultParams();
  params.message_bytes_max = 0;
  Dialogue dialogue(params);
  dialogue.StartData();
  dialogue.Feed(std::string(100000, 'x') + "\r\n.\r\n");
  dialogue.ExpectOpen("250 2.0.0");
}

TEST(ServerSession, LongLinesPassUnchanged) {
  ServerParams params = Dialogue::DefaultParams();
  params.message_bytes_max = 1 << 20;
  for (const size_t bytes : {998u, 999u, 2048u, 65536u}) {
    Dialogue dialogue(params);
    dialogue.StartData();
    const std::string line = std::string(bytes, 'x') + "\r\n";
    dialogue.Feed(line + ".\r\n");
    EXPECT_EQ(dialogue.intake.messages, std::vector<std::string>{line});
  }
}

TEST(ServerSession, LoopsAreRefused) {
  Dialogue own;
  own.StartData();
  own.Feed("Received: by mx2.example.net; x\r\nReceived: by MX2.example.net (backstay); x\r\n");
  EXPECT_EQ(own.intake.calls, "MRDX");
  own.Feed("\r\nx\r\n.\r\n");
  own.ExpectOpen("554 5.4.6");
  ServerParams params = Dialogue::DefaultParams();
  params.message_bytes_max = 1 << 20;
  for (const int count : {99, 100}) {
    Dialogue many(params);
    many.StartData();
    for (int i = 0; i < count; ++i) {
      many.Feed("Received: by a; x\r\n");
    }
    many.Feed("\r\nReceived: by a; x\r\n.\r\n");
    many.ExpectOpen(count == 99 ? "250 2.0.0" : "554 5.4.6");
  }
}

TEST(ServerSession, NulInDataIsRefusedInBothModes) {
  for (const bool normalize : {false, true}) {
    ServerParams params = Dialogue::DefaultParams();
    params.normalize_line_endings = normalize;
    Dialogue dialogue(params);
    dialogue.StartData();
    dialogue.Feed(std::string("a\0b\r\n.\r\nNOOP\r\n", 14));
    dialogue.ExpectClosed("550 5.6.0");
    EXPECT_EQ(dialogue.intake.calls, "MRDX");
  }
}

TEST(ServerSession, RefusedMessageWithoutEndIsNotReadForEver) {
  const uint64_t marks = MarkCount("refused message without an end");
  Dialogue dialogue;
  dialogue.StartData();
  const std::vector<uint8_t> block(16 << 20, 'x');
  for (uint64_t fed = 0; fed <= ServerSession::kSwallowedBytesMax; fed += block.size()) {
    EXPECT_FALSE(dialogue.session.wants_close());
    EXPECT_EQ(dialogue.session.Consume(block), block.size());
  }
  EXPECT_EQ(dialogue.session.Consume(block), block.size());
  dialogue.Collect();
  dialogue.ExpectClosed("552 5.3.4");
  EXPECT_EQ(MarkCount("refused message without an end"), marks + 1);
}

}  // namespace
}  // namespace backstay
