// tests/core/shard/config_values_test.cc -- tables of words that are taken and words that are not.
#include "core/shard/config_values.h"

#include <gtest/gtest.h>

namespace backstay {
namespace {

TEST(ParseSize, KnowsItsUnits) {
  EXPECT_EQ(ParseSize("0").value(), 0u);
  EXPECT_EQ(ParseSize("123B").value(), 123u);
  EXPECT_EQ(ParseSize("4KiB").value(), 4096u);
  EXPECT_EQ(ParseSize("50MiB").value(), 50_MiB);
  EXPECT_EQ(ParseSize("1GiB").value(), 1_GiB);
  EXPECT_EQ(ParseSize("16TiB").value(), 16 * 1024 * 1_GiB);
}

TEST(ParseSize, RefusesWhatIsNoSize) {
  for (const char* text :
       {"", "1", "12", "B", "MiB", "1MB", "1M", "1mib", "1 MiB", " 1MiB", "1MiB ", "-1B", "+1B",
        "1.5GiB", "0x10B", "99999999999999999999B", "17592186044416TiB"}) {
    EXPECT_FALSE(ParseSize(text).ok()) << text;
  }
}

TEST(ParseDuration, KnowsItsUnits) {
  EXPECT_EQ(ParseDuration("0").value(), absl::ZeroDuration());
  EXPECT_EQ(ParseDuration("30s").value(), absl::Seconds(30));
  EXPECT_EQ(ParseDuration("10m").value(), absl::Minutes(10));
  EXPECT_EQ(ParseDuration("24h").value(), absl::Hours(24));
  EXPECT_EQ(ParseDuration("5d").value(), absl::Hours(120));
}

TEST(ParseDuration, RefusesWhatIsNoDuration) {
  for (const char* text : {"", "1", "s", "10M", "10min", "1h30m", "-1s", "1.5h", " 1s", "1 s",
                           "3700d", "99999999999999999999s", "18446744073709551615d"}) {
    EXPECT_FALSE(ParseDuration(text).ok()) << text;
  }
}

TEST(ParseDomainName, TakesNamesInAnyCase) {
  EXPECT_EQ(ParseDomainName("Example.COM").value(), "example.com");
  EXPECT_EQ(ParseDomainName("xn--bcher-kva.example").value(), "xn--bcher-kva.example");
  EXPECT_EQ(ParseDomainName("a").value(), "a");
  EXPECT_EQ(ParseDomainName("1a.2b.c3").value(), "1a.2b.c3");
  EXPECT_TRUE(ParseDomainName(std::string(63, 'a') + ".example").ok());
}

TEST(ParseDomainName, RefusesWhatIsNoName) {
  for (const std::string& text :
       {std::string(), std::string("."), std::string("a."), std::string(".a"), std::string("a..b"),
        std::string("-a.b"), std::string("a-.b"), std::string("a_b.c"), std::string("a b"),
        std::string("a\0b", 3), std::string("192.0.2.1"), std::string("[192.0.2.1]"),
        std::string("b\xc3\xbc"
                    "cher.example"),
        std::string(64, 'a') + ".b", std::string("a@b.c"), std::string("*.example")}) {
    EXPECT_FALSE(ParseDomainName(text).ok()) << text;
  }
  std::string longest;
  for (int count = 0; count < 127; ++count) {
    longest += "a.";
  }
  EXPECT_FALSE(ParseDomainName(longest + "a").ok());
  EXPECT_TRUE(ParseDomainName(longest.substr(2) + "a").ok());
}

TEST(ParseHostPort, TellsAddressesFromNames) {
  struct Good {
    std::string_view text;
    std::string_view host;
    uint16_t port;
    bool is_address;
  };
  for (const Good& good :
       {Good{"192.0.2.1", "192.0.2.1", 25, true}, Good{"192.0.2.1:26", "192.0.2.1", 26, true},
        Good{"[2001:db8::1]:26", "2001:db8::1", 26, true},
        Good{"[2001:db8::1]", "2001:db8::1", 25, true},
        Good{"MX.example.com", "mx.example.com", 25, false},
        Good{"mx.example.com:65535", "mx.example.com", 65535, false}}) {
    const absl::StatusOr<HostPort> parsed = ParseHostPort(good.text);
    ASSERT_TRUE(parsed.ok()) << good.text;
    EXPECT_EQ(parsed->host, good.host);
    EXPECT_EQ(parsed->port, good.port);
    EXPECT_EQ(parsed->address.has_value(), good.is_address);
  }
  for (const char* text :
       {"", ":25", "192.0.2.1:0", "192.0.2.1:65536", "192.0.2.1:", "mx:x", "mx:0", "2001:db8::1",
        "2001:db8::1:25", "[::1", "[mx]:25", "mx:25:25", "mx/25"}) {
    EXPECT_FALSE(ParseHostPort(text).ok()) << text;
  }
}

TEST(ParseListenAddress, WantsAPort) {
  EXPECT_EQ(ParseListenAddress("127.0.0.1:1")->ToString(), "127.0.0.1:1");
  EXPECT_EQ(ParseListenAddress("[::]:65535")->ToString(), "[::]:65535");
  for (const char* text : {"127.0.0.1:0", "[::]:0", "127.0.0.1", "127.0.0.1:65536", "mx:25", ""}) {
    EXPECT_FALSE(ParseListenAddress(text).ok()) << text;
  }
}

TEST(EditDistance, CountsSingleEdits) {
  EXPECT_EQ(EditDistance("", ""), 0u);
  EXPECT_EQ(EditDistance("listen", "listen"), 0u);
  EXPECT_EQ(EditDistance("lisen", "listen"), 1u);
  EXPECT_EQ(EditDistance("smpt", "smtp"), 2u);
  EXPECT_EQ(EditDistance("kitten", "sitting"), 3u);
  EXPECT_EQ(EditDistance("", "abc"), 3u);
}

}  // namespace
}  // namespace backstay
