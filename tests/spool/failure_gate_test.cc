// tests/spool/failure_gate_test.cc -- when intake closes, and when the next try is due.
#include "spool/failure_gate.h"

#include <gtest/gtest.h>

#include "core/base/log.h"

namespace backstay {
namespace {

class FailureGateTest : public testing::Test {
 protected:
  FailureGateTest() {
    SetLogSink([](LogLevel, std::string_view) {});
  }
  ~FailureGateTest() override { SetLogSink(nullptr); }
  absl::Duration WaitAfterFailure(IoError error = IoError::kDevice) {
    gate.Failed(now, error);
    return gate.retry_at() - now;
  }
  FailureGate gate;
  Instant now = Instant::FromNanoseconds(1'000'000'000'000);
};

TEST_F(FailureGateTest, RetriesAtOnceThenSlower) {
  const int seconds[] = {0, 1, 2, 4, 8, 16, 30, 30};
  for (const int wait : seconds) {
    EXPECT_EQ(WaitAfterFailure(), absl::Seconds(wait));
  }
  gate.Succeeded();
  EXPECT_LE(gate.retry_at(), now);
  EXPECT_EQ(WaitAfterFailure(), absl::ZeroDuration());
}

// Mail comes in again within five seconds of its mending, however long it was so.
TEST_F(FailureGateTest, AReadOnlyFileSystemIsAskedEachSecond) {
  EXPECT_EQ(WaitAfterFailure(IoError::kReadOnly), absl::ZeroDuration());
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(WaitAfterFailure(IoError::kReadOnly), absl::Seconds(1));
  }
  EXPECT_TRUE(gate.closed());
  EXPECT_EQ(WaitAfterFailure(), absl::Seconds(30)) << "the device has failed now";
}

TEST_F(FailureGateTest, ThreeWithinAMinuteCloseIntakeUntilASuccess) {
  gate.Failed(now, IoError::kDevice);
  gate.Failed(now + absl::Seconds(30), IoError::kDevice);
  EXPECT_FALSE(gate.closed());
  gate.Failed(now + absl::Seconds(59), IoError::kDevice);
  EXPECT_TRUE(gate.closed());
  gate.Succeeded();
  EXPECT_FALSE(gate.closed());
  EXPECT_FALSE(gate.failing());
}

TEST_F(FailureGateTest, SuccessesBetweenDoNotHideRepetition) {
  for (int i = 0; i < 2; ++i) {
    gate.Failed(now, IoError::kDevice);
    gate.Succeeded();
  }
  gate.Failed(now + absl::Seconds(10), IoError::kDevice);
  EXPECT_TRUE(gate.closed());
}

TEST_F(FailureGateTest, ThreeOverALongTimeDoNotClose) {
  for (int i = 0; i < 6; ++i) {
    gate.Failed(now + absl::Minutes(i), IoError::kDevice);
    gate.Succeeded();
  }
  EXPECT_FALSE(gate.closed());
}

}  // namespace
}  // namespace backstay
