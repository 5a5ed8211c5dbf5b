// tests/core/smtp/refusal_test.cc -- each fault of an argument has its code.
#include "core/smtp/refusal.h"

#include <gtest/gtest.h>

#include <string>

namespace backstay {
namespace {

std::string CodesOf(const Reply& reply) {
  return std::to_string(reply.code) + " " + std::string(reply.enhanced);
}

TEST(Refusal, OfPaths) {
  const auto of = [](PathError error) { return CodesOf(RefusalOf(error, replies::kBadSender)); };
  EXPECT_EQ(of(PathError::kSyntax), "501 5.1.7");
  EXPECT_EQ(of(PathError::kTooLong), "501 5.1.7");
  EXPECT_EQ(of(PathError::kUtf8), "553 5.6.7");
  EXPECT_EQ(of(PathError::kEightBit), "501 5.5.2");
  EXPECT_EQ(of(PathError::kRelayTrick), "550 5.7.1");
  EXPECT_EQ(CodesOf(RefusalOf(PathError::kSyntax, replies::kBadRecipient)), "501 5.1.3");
}

TEST(Refusal, OfParameters) {
  EXPECT_EQ(CodesOf(RefusalOf(ParameterFault::kUnknown)), "555 5.5.4");
  EXPECT_EQ(CodesOf(RefusalOf(ParameterFault::kBad)), "501 5.5.4");
  EXPECT_EQ(CodesOf(RefusalOf(ParameterFault::kTooLarge)), "552 5.3.4");
}

TEST(RefusalDeathTest, NothingWrongIsNotRefused) {
  EXPECT_DEATH(RefusalOf(PathError::kNone, replies::kBadSender), "unreachable");
  EXPECT_DEATH(RefusalOf(ParameterFault::kNone), "unreachable");
}

}  // namespace
}  // namespace backstay
