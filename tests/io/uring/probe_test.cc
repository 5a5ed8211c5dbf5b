// tests/io/uring/probe_test.cc -- this kernel passes; another one is told why not.
#include "io/uring/probe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cerrno>
#include <filesystem>
#include <string>

namespace backstay {
namespace {

using testing::HasSubstr;

size_t OpenDescriptors() {
  const auto entries = std::filesystem::directory_iterator("/proc/self/fd");
  return static_cast<size_t>(std::distance(begin(entries), end(entries)));
}

TEST(Probe, TheKernelOfTheTestsPassesAndNothingIsLeftOpen) {
  const size_t before = OpenDescriptors();
  for (int round = 0; round < 5; ++round) {
    const absl::Status status = ProbeKernel();
    ASSERT_TRUE(status.ok()) << status.ToString();
  }
  EXPECT_EQ(OpenDescriptors(), before);
}

TEST(Probe, EachSetupErrorNamesTheFixInOneLine) {
  const struct {
    int error;
    const char* sysctl;
    const char* expected;
  } rows[] = {
      {EPERM, "2", "sysctl kernel.io_uring_disabled=0"},
      {EPERM, "1", "sysctl kernel.io_uring_disabled=0"},
      {EPERM, "0", "seccomp"},
      {EPERM, "", "seccomp"},
      {EACCES, "0", "seccomp"},
      {ENOSYS, "", "Linux 6.1 or newer"},
      {EINVAL, "0", "DEFER_TASKRUN: Linux 6.1 or newer"},
      {ENOMEM, "0", "LimitMEMLOCK"},
      {EMFILE, "0", "LimitNOFILE"},
      {EIO, "0", "Input/output error"},
  };
  for (const auto& row : rows) {
    const std::string text = ExplainSetupError(row.error, row.sysctl, "5.10.0-28-amd64");
    EXPECT_THAT(text, HasSubstr(row.expected));
    EXPECT_EQ(text.find('\n'), std::string::npos);
  }
  EXPECT_THAT(ExplainSetupError(EINVAL, "0", "5.10.0-28-amd64"), HasSubstr("5.10.0-28-amd64"));
}

TEST(Probe, WithoutDescriptorsTheLimitIsNamed) {
  rlimit limit{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  const rlimit before = limit;
  limit.rlim_cur = 3;  // the three that every process has
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
  const absl::Status status = ProbeKernel();
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_TRUE(absl::IsUnavailable(status));
  EXPECT_THAT(status.ToString(), HasSubstr("LimitNOFILE"));
}

TEST(Probe, RaisedLimitsAreTheHardOnes) {
  rlimit limit{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  const rlimit before = limit;
  limit.rlim_cur = 64;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
  const absl::Status status = RaiseLimits();
  EXPECT_TRUE(status.ok()) << status.ToString();
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  EXPECT_EQ(limit.rlim_cur, limit.rlim_max);
  EXPECT_EQ(FilesMax(), limit.rlim_max);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
}

}  // namespace
}  // namespace backstay
