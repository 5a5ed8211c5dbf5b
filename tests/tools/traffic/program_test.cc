// tests/tools/traffic/program_test.cc -- where results go, and numbers that are none.
#include "tools/traffic/program.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>

namespace backstay {
namespace {

class WriteResultTest : public testing::Test {
 protected:
  WriteResultTest() { EXPECT_NE(mkdtemp(folder_), nullptr); }
  ~WriteResultTest() override { std::filesystem::remove_all(folder_); }

  std::string Path(const std::string& name) const { return std::string(folder_) + "/" + name; }
  static std::string Read(const std::string& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  char folder_[32] = "/tmp/backstay-result-XXXXXX";
};

TEST_F(WriteResultTest, ReplacesAFileWhole) {
  EXPECT_TRUE(WriteResult("{\"a\":1}", Path("result")));
  EXPECT_TRUE(WriteResult("{}", Path("result")));
  EXPECT_EQ(Read(Path("result")), "{}\n");
  EXPECT_FALSE(std::filesystem::exists(Path("result.new")));
}

TEST_F(WriteResultTest, WhatIsNoFileIsWrittenToAndStays) {
  ASSERT_EQ(mkfifo(Path("pipe").c_str(), 0600), 0);
  const int reader = open(Path("pipe").c_str(), O_RDONLY | O_NONBLOCK);
  EXPECT_TRUE(WriteResult("{}", Path("pipe")));
  char text[8] = {};
  EXPECT_EQ(read(reader, text, sizeof(text)), 3);
  EXPECT_STREQ(text, "{}\n");
  close(reader);
  EXPECT_TRUE(std::filesystem::is_fifo(Path("pipe")));
}

TEST_F(WriteResultTest, SaysWhenItCannot) {
  EXPECT_FALSE(WriteResult("{}", Path("nowhere/result")));
}

TEST(Numbers, CountsAreWholeAndWithinTheirRange) {
  for (const char* text : {"1", "17", "100"}) {
    EXPECT_EQ(ComplainAboutCount(text, 1, 100), "") << text;
  }
  for (const char* text : {"", "-1", "0", "101", "1.5", "1k", " 1", "99999999999999999999"}) {
    EXPECT_NE(ComplainAboutCount(text, 1, 100), "") << text;
  }
}

TEST(Numbers, RatesAreAboveZeroAndSaidBriefly) {
  for (const char* text : {"0.5", "1e3", "76752.25"}) {
    EXPECT_EQ(ComplainAboutRate(text, 1e7), "") << text;
  }
  for (const char* text : {"", "0", "-1", "1e8", "inf", "nan", "5x"}) {
    EXPECT_NE(ComplainAboutRate(text, 1e7), "") << text;
  }
  EXPECT_EQ(ComplainAboutRate("0", 1e7), "\"0\" is no number above 0, 10000000 at most");
}

TEST(Numbers, MomentsAreWrittenInUniversalTime) {
  EXPECT_EQ(IsoTime(WallTime::FromNanoseconds(1'700'000'000'500'000'000)), "2023-11-14T22:13:20Z");
}

}  // namespace
}  // namespace backstay
