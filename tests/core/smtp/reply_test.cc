// tests/core/smtp/reply_test.cc -- replies as lines.
#include "core/smtp/reply.h"

#include <gtest/gtest.h>

#include <string>

namespace backstay {
namespace {

TEST(Reply, IsOneLineWithItsEnhancedCode) {
  std::string output = "before ";
  AppendReply(replies::kMailOk, output);
  AppendReply(replies::kStartData, output);
  EXPECT_EQ(output, "before 250 2.1.0 Ok\r\n354 End data with <CR><LF>.<CR><LF>\r\n");
}

TEST(Reply, ClassFollowsTheCode) {
  EXPECT_TRUE(replies::kStartData.positive());
  EXPECT_TRUE(replies::kNoSpace.transient());
  EXPECT_TRUE(replies::kUserUnknown.permanent());
  EXPECT_FALSE(replies::kUserUnknown.transient());
  EXPECT_FALSE(replies::kNoSpace.positive());
}

TEST(ReplyDeathTest, ForeignTextCannotMakeASecondLine) {
  std::string output;
  EXPECT_DEATH(AppendReply(Reply{250, "2.0.0", "a\r\n550 b"}, output), "IsOneLine");
  EXPECT_DEATH(AppendReply(Reply{99, "", "a"}, output), "reply.code");
}

}  // namespace
}  // namespace backstay
