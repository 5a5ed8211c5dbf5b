// tests/core/shard/config_places_test.cc -- where it listens and sends to, where files are named.
#include <gtest/gtest.h>

#include <string>

#include "core/shard/config.h"

namespace backstay {
namespace {

absl::StatusOr<Config> Parse(const std::string& before, const std::string& behind = "") {
  return ParseConfig(before + "[[domain]]\nname = \"a.example\"\n" +
                         (behind.empty() ? "primary = [\"192.0.2.1\"]\n" : behind),
                     "f");
}

std::string ListenRefusal(const std::string& addresses) {
  return std::string(Parse("[smtp]\nlisten = [" + addresses + "]\n").status().message());
}

// The second one could never be listened on.
TEST(ConfigPlaces, NoListenerLiesInAnother) {
  const std::string v4 =
      "f:2:10: smtp.listen names 0.0.0.0:25 and 127.0.0.1:25, which is one of "
      "its addresses: remove one of the two";
  EXPECT_EQ(ListenRefusal("\"0.0.0.0:25\", \"127.0.0.1:25\""), v4);
  EXPECT_EQ(ListenRefusal("\"127.0.0.1:25\", \"0.0.0.0:25\""), v4);
  EXPECT_EQ(ListenRefusal("\"[::]:25\", \"[::1]:25\""),
            "f:2:10: smtp.listen names [::]:25 and [::1]:25, which is one of its addresses: remove "
            "one of the two");
  for (const char* apart : {R"("0.0.0.0:25", "127.0.0.1:26")", R"("0.0.0.0:25", "[::]:25")",
                            R"("0.0.0.0:25", "[::1]:25")", R"("[::]:25", "127.0.0.1:25")",
                            R"("127.0.0.1:25", "127.0.0.2:25", "[::1]:25")"}) {
    EXPECT_EQ(ListenRefusal(apart), "") << apart;
  }
}

// Each shard would get another one.
TEST(ConfigPlaces, APortThatTheKernelChoosesIsRefused) {
  EXPECT_EQ(ListenRefusal("\"127.0.0.1:0\""),
            "f:2:11: \"127.0.0.1:0\": the port must be 1 to 65535");
}

TEST(ConfigPlaces, MxIsNoHost) {
  const auto refusal = [](const std::string& primary) {
    return std::string(Parse("", "primary = " + primary + "\n").status().message());
  };
  EXPECT_EQ(refusal("[\"mx\"]"), "f:3:12: mx stands alone: primary = \"mx\"");
  EXPECT_EQ(refusal("[\"192.0.2.1\", \"mx\"]"), "f:3:25: mx stands alone: primary = \"mx\"");
  EXPECT_EQ(refusal("\"mx\""), "");
  EXPECT_EQ(refusal("[\"mx.example.com\"]"), "");
}

TEST(ConfigPlaces, AFileIsKnownByThePlaceThatNamesItFirst) {
  const std::string domain = "primary = [\"192.0.2.1\"]\nrecipients = \"file:/users\"\n";
  const auto config = Parse(
      "[tls]\ncertificate = [\"/a.pem\", \"/b.pem\"]\nprivate_key = [\"/k.pem\", \"/a.pem\"]\n"
      "[delivery]\nclient_certificate = \"/c.pem\"\nclient_key = \"/ck.pem\"\n",
      domain + "[[domain]]\nname = \"b.example\"\n" + domain);
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->files, (absl::btree_map<std::string, std::string>{
                               {"/a.pem", "f:2:16: tls.certificate"},
                               {"/b.pem", "f:2:26: tls.certificate"},
                               {"/c.pem", "f:5:22: delivery.client_certificate"},
                               {"/ck.pem", "f:6:14: delivery.client_key"},
                               {"/k.pem", "f:3:16: tls.private_key"},
                               {"/users", "f:10:14: domain.recipients"}}));
  const auto one = Parse("[tls]\ncertificate = \"/a.pem\"\nprivate_key = \"/k.pem\"\n");
  ASSERT_TRUE(one.ok()) << one.status();
  EXPECT_EQ(one->files.at("/k.pem"), "f:3:15: tls.private_key");
  EXPECT_TRUE(Parse("")->files.empty());
}

}  // namespace
}  // namespace backstay
