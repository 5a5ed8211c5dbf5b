// tests/tools/backstay/top_test.cc -- where it ends by itself; what it draws tells control_test.py.
#include "tools/backstay/top.h"

#include <gtest/gtest.h>

#include "tools/backstay/verb.h"

namespace backstay {
namespace {

TEST(Top, AnIntervalIsATimeAndNoBusyLoop) {
  for (const char* interval : {"", "0", "soon", "-1s", "2"}) {
    EXPECT_EQ(Top("/nonexistent/admin.sock", {.interval = interval}), kExitUsage) << interval;
  }
}

TEST(Top, EndsWhenNoDaemonAnswers) {
  EXPECT_EQ(Top("/nonexistent/admin.sock", {}), kExitNoDaemon);
  EXPECT_EQ(Top("/nonexistent/admin.sock", {.is_json = true}), kExitNoDaemon);
}

}  // namespace
}  // namespace backstay
