// tests/core/smtp/reply_parser_test.cc -- the grammar of replies as tables, caps at their edges,
// any cut.
#include "core/smtp/reply_parser.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "core/base/random.h"

namespace backstay {
namespace {

using Result = ReplyParser::Result;

struct Parsed {
  std::vector<PrimaryReply> replies;
  bool failed = false;
  bool in_reply = false;
};

// In pieces of a size drawn from `random`, each in memory of exactly that size: a sanitizer sees
// what reads behind the end.
Parsed Parse(std::string_view text, Random* random = nullptr) {
  Parsed parsed;
  ReplyParser parser;
  while (!text.empty() && !parsed.failed) {
    const size_t size = random == nullptr ? text.size() : 1 + random->Below(text.size());
    const auto piece = std::make_unique<uint8_t[]>(size);
    std::copy_n(text.begin(), size, piece.get());
    text.remove_prefix(size);
    Bytes bytes(piece.get(), size);
    while (!bytes.empty() && !parsed.failed) {
      const Result result = parser.Consume(bytes);
      if (result == Result::kReply) {
        parsed.replies.push_back(parser.reply());
      }
      parsed.failed = result == Result::kError;
    }
  }
  parsed.in_reply = parser.in_reply();
  return parsed;
}

TEST(ReplyParser, TakesWhatTheGrammarAllows) {
  struct Case {
    std::string_view text;
    int code;
    std::string_view enhanced;
    std::string_view clean;
  };
  const Case cases[] = {
      {"220 mx1.example.com ESMTP\r\n", 220, "", "mx1.example.com ESMTP"},
      {"250\r\n", 250, "", ""},
      {"250 \r\n", 250, "", ""},
      {"200 x\r\n", 200, "", "x"},
      {"599 x\r\n", 599, "", "x"},
      {"250-a\r\n250-b\r\n250 c\r\n", 250, "", "a b c"},
      {"250-\r\n250\r\n", 250, "", ""},
      {"550 5.1.1 User unknown\r\n", 550, "5.1.1", "User unknown"},
      {"550-5.1.1 User\r\n550 5.1.1 unknown\r\n", 550, "5.1.1", "User unknown"},
      {"550 5.7.2\r\n", 550, "5.7.2", ""},
      {"550 5.123.999 x\r\n", 550, "5.123.999", "x"},
      {"450\r\n", 450, "", ""},
      {"250 tab\there \x01\xc3\xa9\r\n", 250, "", "tab?here ???"},
  };
  for (const Case& c : cases) {
    const Parsed parsed = Parse(c.text);
    ASSERT_EQ(parsed.replies.size(), 1u) << c.text;
    EXPECT_FALSE(parsed.failed) << c.text;
    EXPECT_FALSE(parsed.in_reply) << c.text;
    EXPECT_EQ(parsed.replies[0].code, c.code) << c.text;
    EXPECT_EQ(parsed.replies[0].enhanced, c.enhanced) << c.text;
    EXPECT_EQ(parsed.replies[0].Clean(), c.clean) << c.text;
  }
}

TEST(ReplyParser, RefusesEverythingElse) {
  const std::string_view cases[] = {
      "\r\n",                 // no code
      "25\r\n",               // too short
      "2500 x\r\n",           // too long
      "25a x\r\n",            // no number
      " 250 x\r\n",           // not at the start
      "250x\r\n",             // no separator
      "250\tx\r\n",           // a tab is none
      "199 x\r\n",            // below
      "099 x\r\n",            //
      "600 x\r\n",            // above
      "250 x\n",              // bare LF
      "250\n",                //
      "250-x\n250 y\r\n",     //
      "250 x\ry\r\n",         // bare CR
      "250 x\r\r\n",          //
      "250\r\r\n",            //
      "250-x\r\n251 y\r\n",   // two codes in one reply
      "250-x\r\n350 y\r\n",   //
      "250-x\r\nfollow\r\n",  // a line without a code
      {"250 a\0b\r\n", 9},    // NUL
      {"2\0000 x\r\n", 7},
      "\xff",
  };
  for (const std::string_view text : cases) {
    const Parsed parsed = Parse(text);
    EXPECT_TRUE(parsed.failed) << text;
    EXPECT_TRUE(parsed.replies.empty()) << text;
  }
}

TEST(ReplyParser, EnhancedCodeIsAWholeTokenAndAgreesWithTheCode) {
  struct Case {
    std::string_view text;
    std::string_view enhanced;
  };
  const Case cases[] = {
      {"550 5.7.2", "5.7.2"},
      {"550 5.7.2 ", "5.7.2"},
      {"550 5.7.2\tx", "5.7.2"},
      {"550 5.7", ""},
      {"550 5.7.", ""},
      {"550 5.", ""},
      {"550 5", ""},
      {"550 5.7.2x", ""},
      {"550 5.7.2.1", ""},
      {"550 5.7.1234", ""},
      {"550 5.1234.1 x", ""},
      {"550 55.1.1 x", ""},
      {"550 x 5.7.2", ""},
      {"550 4.7.2 code wins", ""},
      {"450 5.7.2 code wins", ""},
      {"250 5.1.1 code wins", ""},
      {"450 4.2.1 x", "4.2.1"},
      {"250 2.0.0 x", "2.0.0"},
      {"354 3.0.0 x", ""},
      {"354 2.0.0 x", ""},
      {"550 3.1.1 x", ""},
  };
  for (const Case& c : cases) {
    const Parsed parsed = Parse(std::string(c.text) + "\r\n");
    ASSERT_EQ(parsed.replies.size(), 1u) << c.text;
    EXPECT_EQ(parsed.replies[0].enhanced, c.enhanced) << c.text;
  }
}

TEST(ReplyParser, NothingOfOneReplyStaysInTheNext) {
  const Parsed parsed = Parse("550-5.1.1 long text\r\n550 5.1.1 more\r\n450\r\n250 ok\r\n");
  ASSERT_EQ(parsed.replies.size(), 3u);
  EXPECT_EQ(parsed.replies[1].code, 450);
  EXPECT_EQ(parsed.replies[1].enhanced, "");
  EXPECT_EQ(parsed.replies[1].Clean(), "");
  EXPECT_EQ(parsed.replies[2].lines, "ok\n");
}

TEST(ReplyParser, LineCapIsExact) {
  const std::string fits = "250 " + std::string(ReplyParser::kLineBytesMax - 6, 'x') + "\r\n";
  ASSERT_EQ(fits.size(), ReplyParser::kLineBytesMax);
  const Parsed parsed = Parse(fits);
  ASSERT_EQ(parsed.replies.size(), 1u);
  EXPECT_EQ(parsed.replies[0].lines.size(), ReplyParser::kStoredLineBytesMax + 1);
  EXPECT_TRUE(Parse("250 x" + fits.substr(4)).failed);
}

TEST(ReplyParser, EndlessLineIsCutAtTheCap) {
  ReplyParser parser;
  const std::string chunk(1000, 'x');
  std::string text = "250 ";
  size_t taken = 0;
  for (int round = 0; round < 10; ++round) {
    text += chunk;
    Bytes bytes = AsBytes(text);
    const size_t before = bytes.size();
    const Result result = parser.Consume(bytes);
    taken += before - bytes.size();
    if (result == Result::kError) {
      break;
    }
    text.clear();
  }
  EXPECT_EQ(taken, ReplyParser::kLineBytesMax + 1);
}

TEST(ReplyParser, LinesCapIsExactAndEndlessRepliesEnd) {
  std::string lines;
  for (size_t line = 1; line < ReplyParser::kReplyLinesMax; ++line) {
    lines += "250-x\r\n";
  }
  EXPECT_EQ(Parse(lines + "250 x\r\n").replies.size(), 1u);
  EXPECT_TRUE(Parse(lines + "250-x\r\n250 x\r\n").failed);
}

TEST(ReplyParser, CleanTextIsBounded) {
  std::string text;
  for (int line = 0; line < 10; ++line) {
    text += "550-" + std::string(90, 'a') + "\r\n";
  }
  const Parsed parsed = Parse(text + "550 end\r\n");
  ASSERT_EQ(parsed.replies.size(), 1u);
  EXPECT_EQ(parsed.replies[0].Clean().size(), 400u);
}

TEST(ReplyParser, AnErrorStays) {
  ReplyParser parser;
  Bytes bytes = AsBytes("nonsense\r\n250 ok\r\n");
  EXPECT_EQ(parser.Consume(bytes), Result::kError);
  EXPECT_EQ(parser.Consume(bytes), Result::kError);
  Bytes nothing;
  EXPECT_EQ(parser.Consume(nothing), Result::kError);
}

TEST(ReplyParser, KnowsWhetherAReplyIsUnderWay) {
  ReplyParser parser;
  Bytes part = AsBytes("250-a\r\n");
  EXPECT_EQ(parser.Consume(part), Result::kIncomplete);
  EXPECT_TRUE(parser.in_reply());
  Bytes rest = AsBytes("250 b\r\n");
  EXPECT_EQ(parser.Consume(rest), Result::kReply);
  EXPECT_FALSE(parser.in_reply());
  Bytes digit = AsBytes("2");
  EXPECT_EQ(parser.Consume(digit), Result::kIncomplete);
  EXPECT_TRUE(parser.in_reply());
}

TEST(ReplyParser, AnyCutGivesTheSameReplies) {
  const std::string_view text =
      "220 hello\r\n250-a\r\n250-SIZE 10\r\n250 b\r\n354\r\n550-5.1.1 x\r\n550 5.1.1 y\r\n421 "
      "4.7.0 z\r\n"
      "250 a\rb\r\n";
  const Parsed whole = Parse(text);
  ASSERT_EQ(whole.replies.size(), 5u);
  ASSERT_TRUE(whole.failed);
  Random random(7);
  for (int round = 0; round < 2000; ++round) {
    const Parsed cut = Parse(text, &random);
    ASSERT_EQ(cut.replies.size(), whole.replies.size());
    for (size_t index = 0; index < whole.replies.size(); ++index) {
      EXPECT_EQ(cut.replies[index].code, whole.replies[index].code);
      EXPECT_EQ(cut.replies[index].enhanced, whole.replies[index].enhanced);
      EXPECT_EQ(cut.replies[index].lines, whole.replies[index].lines);
    }
    EXPECT_TRUE(cut.failed);
  }
}

}  // namespace
}  // namespace backstay
