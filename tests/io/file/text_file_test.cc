// tests/io/file/text_file_test.cc -- files are read, and nothing else is waited for.
#include "io/file/text_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdio>

#include "core/base/units.h"
#include "tests/support/certificates.h"

namespace backstay {
namespace {

class TextFileTest : public testing::Test {
 protected:
  std::string Put(const std::string& text) {
    std::FILE* file = std::fopen(path_.c_str(), "wb");
    EXPECT_EQ(std::fwrite(text.data(), 1, text.size(), file), text.size());
    std::fclose(file);
    return path_;
  }
  static std::string WhyNot(const std::string& path, size_t bytes_max = 1_MiB) {
    const auto text = ReadTextFile(path, bytes_max);
    return text.ok() ? "read" : std::string(text.status().message());
  }

  const TestFolder folder_;
  const std::string path_ = folder_.path() + "/file";
};

TEST_F(TextFileTest, IsReadWhole) {
  for (const size_t bytes : {size_t{0}, size_t{1}, size_t{64_KiB}, size_t{200'000}}) {
    const std::string text(bytes, 'x');
    const auto read = ReadTextFile(Put(text), 1_MiB);
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_EQ(*read, text);
  }
}

TEST_F(TextFileTest, HasABound) {
  EXPECT_EQ(WhyNot(Put(std::string(1_MiB, 'x'))), "read");
  EXPECT_EQ(WhyNot(Put(std::string(1_MiB + 1, 'x'))), path_ + ": larger than 1 MiB");
}

TEST_F(TextFileTest, WhatIsNoFileIsNotWaitedFor) {
  ASSERT_EQ(mkfifo(path_.c_str(), 0600), 0);
  EXPECT_EQ(WhyNot(path_), path_ + ": is no regular file");
  EXPECT_EQ(WhyNot("/dev/zero"), "/dev/zero: is no regular file");
  EXPECT_EQ(WhyNot(folder_.path()), folder_.path() + ": is no regular file");
}

TEST_F(TextFileTest, OneThatIsNotThereIsNotFound) {
  EXPECT_TRUE(absl::IsNotFound(ReadTextFile(path_, 1_MiB).status()));
  EXPECT_EQ(WhyNot(path_), path_ + ": No such file or directory");
}

}  // namespace
}  // namespace backstay
