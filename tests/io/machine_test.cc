// tests/io/machine_test.cc -- every bit of a mode that matters, and what is not there.
#include "io/machine.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstdio>

namespace backstay {
namespace {

TEST(MachineName, IsTheKernels) {
  std::array<char, 256> name{};
  ASSERT_EQ(gethostname(name.data(), name.size()), 0);
  EXPECT_EQ(MachineName(), name.data());
}

TEST(RightsOf, LookAtTheGroupAndAtEverybody) {
  const std::string path = testing::TempDir() + "backstay_machine_test";
  std::fclose(std::fopen(path.c_str(), "wb"));
  struct Case {
    mode_t mode;
    bool everybody_reads;
    bool others_write;
  };
  for (const Case& one : {Case{0600, false, false}, Case{0640, false, false},
                          Case{0644, true, false}, Case{0660, false, true}, Case{0602, false, true},
                          Case{0666, true, true}, Case{0711, false, false}}) {
    ASSERT_EQ(chmod(path.c_str(), one.mode), 0);
    const FileRights rights = RightsOf(path);
    EXPECT_EQ(rights.everybody_reads, one.everybody_reads) << one.mode;
    EXPECT_EQ(rights.others_write, one.others_write) << one.mode;
  }
  std::remove(path.c_str());
  EXPECT_FALSE(RightsOf(path).everybody_reads);
  EXPECT_FALSE(RightsOf(path).others_write);
}

}  // namespace
}  // namespace backstay
