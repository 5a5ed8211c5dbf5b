// tests/core/smtp/data_writer_test.cc -- against a line-by-line reading of RFC 5321 s4.5.2, at any
// cut.
#include "core/smtp/data_writer.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/base/random.h"
#include "core/smtp/data_reader.h"

namespace backstay {
namespace {

struct Written {
  std::string wire;
  uint64_t repairs = 0;
};

Written Write(std::string_view stored, bool has_dot_lines, Random* random = nullptr) {
  DataWriter writer;
  Written written;
  writer.Start(has_dot_lines);
  while (!stored.empty()) {
    const size_t size = random == nullptr ? stored.size() : 1 + random->Below(stored.size());
    writer.Write(AsBytes(stored.substr(0, size)), written.wire);
    stored.remove_prefix(size);
  }
  writer.Finish(written.wire);
  written.repairs = writer.repairs();
  return written;
}

// Every CR, LF or CRLF ends a line; each line that begins with a dot gets one more.
std::string Reference(std::string_view stored) {
  std::string wire;
  size_t at = 0;
  while (at < stored.size()) {
    const size_t end = std::min(stored.find_first_of("\r\n", at), stored.size());
    const std::string_view line = stored.substr(at, end - at);
    wire += line.starts_with('.') ? "." : "";
    wire += line;
    wire += "\r\n";
    at = end + (stored.substr(end, 2) == "\r\n" ? 2 : 1);
  }
  return wire + ".\r\n";
}

bool HasStrayNewline(std::string_view wire) {
  for (size_t at = 0; at < wire.size(); ++at) {
    if ((wire[at] == '\r' && wire.substr(at + 1, 1) != "\n") ||
        (wire[at] == '\n' && (at == 0 || wire[at - 1] != '\r'))) {
      return true;
    }
  }
  return false;
}

TEST(DataWriter, WritesWhatTheTableSays) {
  struct Case {
    std::string_view stored;
    std::string_view wire;
    uint64_t repairs;
  };
  const Case cases[] = {
      {"", ".\r\n", 0},
      {"a\r\n", "a\r\n.\r\n", 0},
      {"a", "a\r\n.\r\n", 0},
      {"\r\n", "\r\n.\r\n", 0},
      {".", "..\r\n.\r\n", 0},
      {".\r\n", "..\r\n.\r\n", 0},
      {"..\r\n", "...\r\n.\r\n", 0},
      {"a.b\r\n.c\r\n", "a.b\r\n..c\r\n.\r\n", 0},
      {".Header: x\r\n\r\n.\r\n", "..Header: x\r\n\r\n..\r\n.\r\n", 0},
      {"a\nb", "a\r\nb\r\n.\r\n", 1},
      {"a\rb", "a\r\nb\r\n.\r\n", 1},
      {"a\r", "a\r\n.\r\n", 1},
      {"a\n", "a\r\n.\r\n", 1},
      {"\r\r\n", "\r\n\r\n.\r\n", 1},
      {"\n\r", "\r\n\r\n.\r\n", 2},
      {"\r\n.\n.\r\n", "\r\n..\r\n..\r\n.\r\n", 1},  // smuggling, were it stored
      {"\n.\r\n", "\r\n..\r\n.\r\n", 1},
      {"\r.\r\n", "\r\n..\r\n.\r\n", 1},
  };
  for (const Case& c : cases) {
    const Written written = Write(c.stored, /*has_dot_lines=*/true);
    EXPECT_EQ(written.wire, c.wire) << c.stored;
    EXPECT_EQ(written.repairs, c.repairs) << c.stored;
    EXPECT_EQ(Reference(c.stored), c.wire) << c.stored;
  }
}

TEST(DataWriter, AFlagThatLiesIsPutRightAndCounted) {
  const Written written = Write("a\r\n.\r\nb\r\n.c\r\n", /*has_dot_lines=*/false);
  EXPECT_EQ(written.wire, "a\r\n..\r\nb\r\n..c\r\n.\r\n");
  EXPECT_EQ(written.repairs, 2u);
}

TEST(DataWriter, CleanContentCostsNoRepair) {
  const Written written = Write("a.b\r\nc.\r\n x\r\n", /*has_dot_lines=*/false);
  EXPECT_EQ(written.wire, "a.b\r\nc.\r\n x\r\n.\r\n");
  EXPECT_EQ(written.repairs, 0u);
}

TEST(DataWriter, StartsAnewForEachMessage) {
  DataWriter writer;
  std::string wire;
  writer.Start(true);
  writer.Write(AsBytes("a\r"), wire);
  writer.Finish(wire);
  writer.Start(true);
  wire.clear();
  writer.Write(AsBytes(".b"), wire);
  writer.Finish(wire);
  EXPECT_EQ(wire, "..b\r\n.\r\n");
}

// A block of the scan is 64 bytes: each mark at each place of it and over its edges.
TEST(DataWriter, NoEdgeOfABlockMatters) {
  for (const std::string_view mark : {"\r\n.", "\r\n..", "\n.", "\r.", "\r", "\n", "\r\n"}) {
    for (size_t before = 0; before <= 200; ++before) {
      for (const size_t behind : {size_t{0}, size_t{1}, size_t{70}}) {
        const std::string stored =
            std::string(before, 'x') + std::string(mark) + std::string(behind, 'y');
        ASSERT_EQ(Write(stored, true).wire, Reference(stored)) << before << " " << mark;
      }
    }
  }
}

TEST(DataWriter, AnyBytesAtAnyCutFollowTheReference) {
  Random random(11);
  for (int round = 0; round < 4000; ++round) {
    std::string stored;
    const uint64_t size = random.Below(300);
    const bool plain = random.Chance(1, 2);  // half of them with runs long enough for whole blocks
    for (uint64_t index = 0; index < size; ++index) {
      constexpr std::string_view kMarks = "\r\n..\r\n";
      stored += plain && random.Chance(19, 20) ? 'a' : kMarks[random.Below(kMarks.size())];
    }
    const Written written = Write(stored, random.Chance(1, 2), &random);
    ASSERT_EQ(written.wire, Reference(stored));
    ASSERT_FALSE(HasStrayNewline(written.wire));
    ASSERT_EQ(written.wire.find("\r\n.\r\n"),
              written.wire.size() == 3 ? std::string::npos : written.wire.size() - 5);
  }
}

// What our own receiving side makes of it is what was stored.
TEST(DataWriter, TheReaderGivesBackWhatWasStored) {
  Random random(12);
  for (int round = 0; round < 2000; ++round) {
    std::string stored;
    const uint64_t lines = random.Below(12);
    for (uint64_t line = 0; line < lines; ++line) {
      stored += std::string(random.Below(3), '.');
      stored += std::string(random.Below(80), 'a');
      stored += "\r\n";
    }
    const Written written = Write(stored, true, &random);
    DataReader reader;
    reader.Start(DataReader::Mode::kReject);
    std::string decoded;
    const size_t taken = reader.Consume(AsBytes(written.wire),
                                        [&decoded](Bytes content) { decoded += AsText(content); });
    ASSERT_EQ(taken, written.wire.size());
    ASSERT_TRUE(reader.done());
    ASSERT_EQ(decoded, stored);
    ASSERT_EQ(written.repairs, 0u);
  }
}

}  // namespace
}  // namespace backstay
