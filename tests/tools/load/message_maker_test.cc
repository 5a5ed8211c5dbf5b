// tests/tools/load/message_maker_test.cc -- all sizes and real messages arrive as they were made.
#include "tools/load/message_maker.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <map>
#include <set>
#include <string>

#include "core/smtp/data_reader.h"
#include "tests/support/certificates.h"
#include "tools/load/replay.h"
#include "tools/load/size_plan.h"
#include "tools/traffic/stamp.h"

namespace backstay {
namespace {

MessageMaker::Plan PlanOf(std::string_view sizes) {
  MessageMaker::Plan plan;
  plan.sizes = *SizePlan::Parse(sizes);
  plan.domains = {"a.example", "b.example"};
  plan.run = 0xabcdef;
  return plan;
}

// What a server makes of the data.
std::string Decode(const std::string& data) {
  DataReader reader;
  reader.Start(DataReader::Mode::kReject);
  std::string decoded;
  const size_t taken =
      reader.Consume(AsBytes(data), [&](Bytes bytes) { decoded.append(AsText(bytes)); });
  EXPECT_TRUE(reader.done());
  EXPECT_EQ(taken, data.size());
  EXPECT_EQ(reader.fault(), DataReader::Fault::kNone);
  return decoded;
}

std::string ContentOf(const MessageMaker& maker, uint64_t number) {
  std::string data;
  maker.AppendContent(number, data);
  return Decode(data + ".\r\n");
}

TEST(MessageMaker, EverySizeIsIntactAndAsLargeAsItShouldBe) {
  for (size_t size = 250; size < 600; ++size) {
    const MessageMaker maker(PlanOf(std::to_string(size)));
    const std::string content = ContentOf(maker, size);
    StampReader reader;
    reader.Start();
    reader.Take(AsBytes(content));
    ASSERT_EQ(reader.Finish(), StampReader::Verdict::kIntact) << size;
    ASSERT_EQ(reader.stamp().id, maker.IdOf(size));
    ASSERT_NEAR(static_cast<double>(content.size()), static_cast<double>(size), 12) << size;
  }
}

TEST(MessageMaker, IdsAreUniqueAndStandInMessageIdAndBody) {
  const MessageMaker maker(PlanOf("1KiB"));
  std::set<std::string> contents;
  for (uint64_t number = 0; number < 100; ++number) {
    const std::string content = ContentOf(maker, number);
    const std::string id = IdText(maker.IdOf(number));
    EXPECT_NE(content.find("Message-Id: <" + id + "@load.test>\r\n"), std::string::npos);
    EXPECT_NE(content.find("\r\n\r\nX-Load-Id: " + id + " "), std::string::npos);
    contents.insert(content);
  }
  EXPECT_EQ(contents.size(), 100u);
}

TEST(MessageMaker, DomainsTakeTurns) {
  const MessageMaker maker(PlanOf("1KiB"));
  std::string command;
  maker.AppendRcpt(7, 2, command);
  EXPECT_EQ(command, "RCPT TO:<r2@b.example>\r\n");
  EXPECT_EQ(maker.Recipient(8, 0), "r0@a.example");
}

TEST(MessageMaker, MailboxesTakeTurnsAndNoneIsTwiceInAMessage) {
  MessageMaker::Plan plan = PlanOf("1KiB");
  plan.mailboxes = 3;
  plan.recipients = 2;
  plan.domains = {"a.example"};
  const MessageMaker maker(plan);
  EXPECT_EQ(maker.Recipient(0, 0), "r0@a.example");
  EXPECT_EQ(maker.Recipient(0, 1), "r1@a.example");
  EXPECT_EQ(maker.Recipient(5, 0), "r4@a.example");
  EXPECT_EQ(maker.Recipient(5, 1), "r5@a.example");
  EXPECT_EQ(maker.Recipient(6, 1), maker.Recipient(0, 1));
  std::string command;
  maker.AppendRcpt(5, 1, command);
  EXPECT_EQ(command, "RCPT TO:<r5@a.example>\r\n");
}

TEST(MessageMaker, RealMessagesKeepTheirDots) {
  MessageMaker::Plan plan = PlanOf("1KiB");
  plan.replay = {"Subject: x\r\n\r\n.\r\n..two\r\n"};
  const MessageMaker maker(plan);
  const std::string content = ContentOf(maker, 5);
  EXPECT_EQ(content.substr(content.find('\n') + 1), plan.replay[0]);
  StampReader reader;
  reader.Start();
  reader.Take(AsBytes(content));
  EXPECT_EQ(reader.Finish(), StampReader::Verdict::kIntact);
}

TEST(SizePlan, WeightsAndRangesAreKept) {
  const SizePlan plan = *SizePlan::Parse("1KiB:3,100-200");
  Random random(1);
  std::map<bool, int> counts;
  for (int count = 0; count < 4000; ++count) {
    const size_t size = plan.Draw(random);
    EXPECT_TRUE(size == 1024 || (size >= 100 && size <= 200)) << size;
    ++counts[size == 1024];
  }
  EXPECT_NEAR(counts[true], 3000, 150);
  EXPECT_EQ(plan.largest(), 1024u);
}

TEST(SizePlan, WhatIsNoSizeIsNamed) {
  for (const char* text : {"", "4KB", "2KiB-1KiB", "1KiB:0", "1KiB,", "300MiB"}) {
    const auto plan = SizePlan::Parse(text);
    ASSERT_FALSE(plan.ok()) << text;
    EXPECT_EQ(plan.status().message().find("size \""), 0u) << plan.status();
  }
}

TEST(MessageMaker, DomainsAreNamedOrCounted) {
  EXPECT_EQ(*MessageMaker::ParseDomains("a.example,b.example"),
            (std::vector<std::string>{"a.example", "b.example"}));
  EXPECT_EQ(*MessageMaker::ParseDomains("2"),
            (std::vector<std::string>{"domain-0.example", "domain-1.example"}));
  for (const char* text : {"", "0", ",", "a.example,", "a,,b", "1000001", "99999999999999999999"}) {
    EXPECT_FALSE(MessageMaker::ParseDomains(text).ok()) << text;
  }
}

TEST(Replay, MboxIsSplitAtItsFromLines) {
  const auto messages = SplitMbox(
      "From a Mon\nSubject: 1\n\nbody\nFrom the heart\nbye\n\nFrom b Tue\nSubject: 2\n\nx");
  ASSERT_EQ(messages.size(), 3u);  // the one in the body too: an mbox says so
  EXPECT_EQ(messages[0], "Subject: 1\r\n\r\nbody\r\n");
  EXPECT_EQ(messages[2], "Subject: 2\r\n\r\nx\r\n");
}

TEST(Replay, LineEndsBecomeCrlfAndNulGoes) {
  EXPECT_EQ(WithCrlf(std::string_view("a\nb\r\nc\rd\0e", 10)), "a\r\nb\r\ncde\r\n");
  EXPECT_EQ(WithCrlf(""), "");
}

TEST(Replay, FolderIsReadInTheOrderOfItsNames) {
  const TestFolder folder;
  WriteTextFile(folder.File("b.eml"), "second\n");
  WriteTextFile(folder.File("a.eml"), "first\n");
  WriteTextFile(folder.File("notes.txt"), "no\n");
  const auto messages = LoadReplay(folder.path());
  ASSERT_TRUE(messages.ok()) << messages.status();
  EXPECT_EQ(*messages, (std::vector<std::string>{"first\r\n", "second\r\n"}));
  EXPECT_FALSE(LoadReplay(folder.File("notes.txt")).ok()) << "no mbox";
}

TEST(Replay, WhatCannotBeReadIsNamed) {
  const TestFolder folder;
  ASSERT_EQ(symlink("loop", folder.File("loop").c_str()), 0);
  for (const std::string& name :
       {std::string("absent"), std::string("loop"), std::string(300, 'x')}) {
    const auto messages = LoadReplay(folder.File(name));
    ASSERT_FALSE(messages.ok()) << name;
    EXPECT_EQ(messages.status().message().find("cannot read " + folder.File(name) + ": "), 0u)
        << messages.status();
  }
}

}  // namespace
}  // namespace backstay
