// tests/spool/rule_test.cc -- a rule to bytes and back, cut everywhere.
#include "spool/rule.h"

#include <gtest/gtest.h>

namespace backstay {
namespace {

Rule Example() {
  Rule rule;
  rule.verb = RuleVerb::kReset;
  rule.keeps_age = true;
  rule.epoch = 77;
  rule.at = SpoolTime::FromNanoseconds(123'456'789);
  rule.domains = {"a.example", "b.example", ""};
  return rule;
}

TEST(Rule, ComesBackAsItWas) {
  const std::vector<uint8_t> bytes = EncodeRule(Example());
  EXPECT_EQ(bytes.size(), RuleBytes(Example()));
  const auto rule = DecodeRule(bytes);
  ASSERT_TRUE(rule.has_value());
  EXPECT_EQ(rule->verb, RuleVerb::kReset);
  EXPECT_TRUE(rule->keeps_age);
  EXPECT_EQ(rule->epoch, 77U);
  EXPECT_EQ(rule->at, Example().at);
  EXPECT_EQ(rule->domains, Example().domains);
}

TEST(Rule, IsRefusedWhenCutOrTooLong) {
  std::vector<uint8_t> bytes = EncodeRule(Example());
  for (size_t length = 0; length < bytes.size(); ++length) {
    EXPECT_FALSE(DecodeRule(Bytes(bytes).first(length)).has_value()) << length;
  }
  bytes.push_back(0);
  EXPECT_FALSE(DecodeRule(bytes).has_value());
}

TEST(Rule, IsRefusedWithAVerbThatThereIsNot) {
  std::vector<uint8_t> bytes = EncodeRule(Example());
  for (int verb = 0; verb < 256; ++verb) {
    bytes[0] = static_cast<uint8_t>(verb);
    EXPECT_EQ(DecodeRule(bytes).has_value(), verb >= 1 && verb <= 10) << verb;
  }
}

}  // namespace
}  // namespace backstay
