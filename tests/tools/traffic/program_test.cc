// tests/tools/traffic/program_test.cc -- where results go.
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

}  // namespace
}  // namespace backstay
