// tests/core/shard/config_delivery_test.cc -- how long a primary may take, in [delivery].
#include <gtest/gtest.h>

#include <string>

#include "core/shard/config.h"

namespace backstay {
namespace {

absl::StatusOr<Config> ReadWithTimes(const std::string& lines) {
  return ParseConfig(
      "[delivery]\n" + lines + "\n[[domain]]\nname = \"example.com\"\nprimary = [\"192.0.2.10\"]\n",
      "f");
}

TEST(ConfigDelivery, TimesAreThoseOfTheRfcUnlessTheyAreSet) {
  const absl::StatusOr<Config> silent = ReadWithTimes("");
  ASSERT_TRUE(silent.ok());
  EXPECT_EQ(silent->delivery.times.connect, absl::Seconds(5));
  EXPECT_EQ(silent->delivery.times.reply, absl::Minutes(5));
  EXPECT_EQ(silent->delivery.times.content, absl::Minutes(3));
  EXPECT_EQ(silent->delivery.times.final, absl::Minutes(10));
  const absl::StatusOr<Config> set = ReadWithTimes(
      "connect_timeout = \"1s\"\nreply_timeout = \"2m\"\n"
      "content_timeout = \"30s\"\nfinal_timeout = \"1h\"");
  ASSERT_TRUE(set.ok()) << set.status().message();
  EXPECT_EQ(set->delivery.times.connect, absl::Seconds(1));
  EXPECT_EQ(set->delivery.times.reply, absl::Minutes(2));
  EXPECT_EQ(set->delivery.times.content, absl::Seconds(30));
  EXPECT_EQ(set->delivery.times.final, absl::Hours(1));
}

TEST(ConfigDelivery, TimesThatStopAllMailAreRefused) {
  for (const char* key : {"connect", "reply", "content", "final"}) {
    for (const char* time : {"0", "61m"}) {
      const std::string line = std::string(key) + "_timeout = \"" + time + "\"";
      EXPECT_EQ(std::string(ReadWithTimes(line).status().message()).substr(0, 4), "f:2:") << line;
    }
  }
}

}  // namespace
}  // namespace backstay
