// tests/core/shard/config_client_checks_test.cc -- smtp.client_checks: a list of names.
#include <gtest/gtest.h>

#include <string>

#include "core/shard/config.h"

namespace backstay {
namespace {

absl::StatusOr<Config> ReadWithChecks(const std::string& line) {
  return ParseConfig(
      "[smtp]\n" + line + "\n[[domain]]\nname = \"example.com\"\nprimary = [\"192.0.2.10\"]\n",
      "f");
}

TEST(ConfigClientChecks, AreNamedOneByOne) {
  struct {
    const char* line;
    bool reverse_dns;
    bool helo;
  } const cases[] = {
      {"", false, false},
      {"client_checks = []", false, false},
      {"client_checks = [\"reverse_dns\"]", true, false},
      {"client_checks = [\"helo\"]", false, true},
      {"client_checks = [\"helo\", \"reverse_dns\", \"helo\"]", true, true},
  };
  for (const auto& one : cases) {
    const absl::StatusOr<Config> config = ReadWithChecks(one.line);
    ASSERT_TRUE(config.ok()) << config.status().message();
    EXPECT_EQ(config->smtp.client_checks.reverse_dns, one.reverse_dns) << one.line;
    EXPECT_EQ(config->smtp.client_checks.helo, one.helo) << one.line;
    EXPECT_TRUE(config->notices.empty());
  }
}

TEST(ConfigClientChecks, UnknownNamesAreRefusedWithTheKnownOnes) {
  const auto refusal = [](const std::string& line) {
    return std::string(ReadWithChecks(line).status().message());
  };
  EXPECT_EQ(refusal("client_checks = [\"helo\", \"ptr\"]"),
            "f:2:26: \"ptr\" is not a value of smtp.client_checks (it is one of \"reverse_dns\", "
            "\"helo\")");
  EXPECT_EQ(refusal("client_checks = [\"HELO\"]"),
            "f:2:18: \"HELO\" is not a value of smtp.client_checks (it is one of "
            "\"reverse_dns\", \"helo\")");
  EXPECT_EQ(refusal("client_checks = \"helo\""),
            "f:2:17: smtp.client_checks wants an array of names, such as [\"reverse_dns\", "
            "\"helo\"], not a string");
  EXPECT_EQ(refusal("client_check = [\"helo\"]"),
            "f:2:1: unknown key \"client_check\" in [smtp] (nearest known key: "
            "smtp.client_checks)");
}

}  // namespace
}  // namespace backstay
