// tests/core/base/log_test.cc -- foreign text cannot forge a line; lines can be captured.
#include "core/base/log.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace backstay {
namespace {

std::vector<std::string>* captured = nullptr;

void Capture(LogLevel level, std::string_view line) {
  captured->push_back(fmt::format("{}:{}", static_cast<int>(level), line));
}

TEST(Escaped, ForeignTextStaysOnItsLine) {
  EXPECT_EQ(Escaped("plain text"), "plain text");
  EXPECT_EQ(Escaped("a\r\nb"), "a\\x0d\\x0ab");
  EXPECT_EQ(Escaped("say \"hi\" \\"), "say \\x22hi\\x22 \\x5c");
  EXPECT_EQ(Escaped(std::string_view("\0\x1b[31m\x7f\xff", 8)), "\\x00\\x1b[31m\\x7f\\xff");
}

TEST(Escaped, IsCutAt200Bytes) {
  EXPECT_EQ(Escaped(std::string(200, 'a')), std::string(200, 'a'));
  EXPECT_EQ(Escaped(std::string(201, 'a')), std::string(200, 'a') + "...");
}

TEST(Log, ASinkGetsLevelAndLine) {
  std::vector<std::string> lines;
  captured = &lines;
  SetLogSink(&Capture);
  LogInfo("started shards={}", 2);
  LogWarning("w");
  LogError("e {}", "x");
  SetLogSink(nullptr);
  EXPECT_EQ(lines, (std::vector<std::string>{"0:started shards=2", "1:w", "2:e x"}));
}

}  // namespace
}  // namespace backstay
