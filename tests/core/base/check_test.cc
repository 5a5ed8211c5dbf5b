// tests/core/base/check_test.cc -- a broken invariant says where, runs the hook and ends the
// process.
#include "core/base/check.h"

#include <gtest/gtest.h>

#include <cstdio>

#include "core/base/mark.h"

namespace backstay {
namespace {

TEST(CheckDeathTest, AnAssertionNamesItsConditionAndPlace) {
  const int one = 1;
  ASSERT(one == 1);
  EXPECT_DEATH(ASSERT(one == 2), "check_test.cc:[0-9]+: assertion failed: one == 2");
  EXPECT_DEATH(UNREACHABLE(), "check_test.cc:[0-9]+: assertion failed: unreachable");
}

TEST(CheckDeathTest, TheCrashHookRunsOnceEvenIfItAsserts) {
  const auto crash = [] {
    SetCrashHook([] {
      std::fprintf(stderr, "hook ran\n");
      ASSERT(false);
    });
    ASSERT(1 == 2);
  };
  EXPECT_DEATH(crash(), "1 == 2\nhook ran\n.*assertion failed: false");
}

TEST(Mark, CountsByName) {
  EXPECT_EQ(MarkCount("check_test_never"), 0u);
  const uint64_t before = MarkCount("check_test_mark");
  for (int round = 0; round < 3; ++round) {
    MARK("check_test_mark");
  }
  MARK("check_test_mark");  // the same name in another place
  EXPECT_EQ(MarkCount("check_test_mark"), before + 4);
  bool listed = false;
  for (const Mark* mark : AllMarks()) {
    listed |= std::string_view(mark->name()) == "check_test_mark";
  }
  EXPECT_TRUE(listed);
}

}  // namespace
}  // namespace backstay
