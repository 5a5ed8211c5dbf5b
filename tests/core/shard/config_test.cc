// tests/core/shard/config_test.cc -- files that are taken, and every message of those that are not.
#include "core/shard/config.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <string>
#include <vector>

namespace backstay {
namespace {

constexpr const char* kDomain = "[[domain]]\nname = \"example.com\"\nprimary = [\"192.0.2.10\"]\n";

std::string With(const std::string& before) {
  return before + "\n" + kDomain;
}

// The message of a file that is refused; "accepted" otherwise.
std::string Refusal(const std::string& text) {
  const absl::StatusOr<Config> config = ParseConfig(text, "f");
  return config.ok() ? "accepted" : std::string(config.status().message());
}

Config Accepted(const std::string& text) {
  absl::StatusOr<Config> config = ParseConfig(text, "f");
  EXPECT_TRUE(config.ok()) << config.status().message();
  return config.ok() ? *std::move(config) : Config();
}

std::vector<absl::Duration> Minutes(std::initializer_list<int> counts) {
  std::vector<absl::Duration> durations;
  for (const int count : counts) {
    durations.push_back(absl::Minutes(count));
  }
  return durations;
}

TEST(Config, DefaultsAreThoseOfTheManual) {
  const Config config = Accepted(kDomain);
  EXPECT_EQ(config.hostname, "");
  ASSERT_EQ(config.smtp.listen.size(), 2u);
  EXPECT_EQ(config.smtp.listen[0].ToString(), "0.0.0.0:25");
  EXPECT_EQ(config.smtp.listen[1].ToString(), "[::]:25");
  EXPECT_EQ(config.smtp.shards, 0);
  EXPECT_EQ(config.smtp.message_bytes_max, 50_MiB);
  EXPECT_EQ(config.smtp.recipients_max, 1000u);
  EXPECT_EQ(config.smtp.connections_max, 100000u);
  EXPECT_EQ(config.smtp.connections_per_client_max, 50u);
  EXPECT_EQ(config.smtp.idle_timeout, absl::Minutes(5));
  EXPECT_FALSE(config.smtp.normalize_line_endings);
  EXPECT_EQ(config.spool.directory, "/var/lib/backstay");
  EXPECT_EQ(config.spool.segment_bytes, 256_MiB);
  EXPECT_EQ(config.spool.reserve_bytes, 1_GiB);
  EXPECT_EQ(config.delivery.connections_per_primary_max, 20u);
  EXPECT_EQ(config.delivery.tls, DeliveryConfig::Tls::kOpportunistic);
  EXPECT_EQ(config.dsn.way, DsnConfig::Way::kMx);
  EXPECT_EQ(config.log.format, LogConfig::Format::kJson);
  EXPECT_EQ(config.admin.socket, "/run/backstay/admin.sock");
  ASSERT_TRUE(config.admin.listen.has_value());
  EXPECT_EQ(config.admin.listen->ToString(), "127.0.0.1:8025");
  EXPECT_TRUE(config.notices.empty());
}

TEST(Config, ReportsGoByMxByOneHostOrNotAtAll) {
  EXPECT_EQ(Accepted(With("[dsn]\nroute = \"mx\"")).dsn.way, DsnConfig::Way::kMx);
  EXPECT_EQ(Accepted(With("[dsn]\nroute = \"off\"")).dsn.way, DsnConfig::Way::kOff);
  const Config config = Accepted(With("[dsn]\nroute = \"Relay.Example:2525\""));
  EXPECT_EQ(config.dsn.way, DsnConfig::Way::kHost);
  EXPECT_EQ(config.dsn.host.host, "relay.example");
  EXPECT_EQ(config.dsn.host.port, 2525);
  EXPECT_TRUE(config.notices.empty());
}

TEST(Config, DefaultsOfADomainRelayEverything) {
  const Config config = Accepted(kDomain);
  ASSERT_EQ(config.domains.size(), 1u);
  const DomainConfig& domain = config.domains[0];
  EXPECT_EQ(domain.name, "example.com");
  ASSERT_EQ(domain.primary.size(), 1u);
  EXPECT_EQ(domain.primary[0].address->ToString(), "192.0.2.10:25");
  EXPECT_EQ(domain.recipients, DomainConfig::Recipients::kAny);
  EXPECT_EQ(domain.when_primary_up, DomainConfig::WhenPrimaryUp::kRelay);
  EXPECT_EQ(domain.quota_bytes, 0u);
  EXPECT_EQ(domain.retry.policy.schedule, Minutes({10, 10, 10, 1440}));
  EXPECT_EQ(domain.retry.policy.expire_after, absl::Hours(120));
  EXPECT_EQ(domain.retry.policy.max_retries, 0u);
  EXPECT_EQ(domain.retry.policy.on_expiry, OnExpiry::kBounce);
  EXPECT_EQ(domain.retry.policy.bounce_after, absl::Hours(1));
  EXPECT_EQ(domain.retry.delay_warning, absl::ZeroDuration());
}

TEST(Config, EveryKeyOfTheManualIsTaken) {
  const Config config = Accepted(R"(
hostname = "MX2.example.net"
postmaster = "ops@Example.COM"
[server]
node_id = 65535
[smtp]
listen = ["127.0.0.1:2525", "[::1]:2525"]
shards = 4
max_message_size = "4KiB"
max_recipients = 100
max_connections = 10
max_connections_per_client = 5
idle_timeout = "30s"
line_endings = "normalize"
[spool]
directory = "run/spool"
segment_size = "1MiB"
reserve = "0"
[retry]
schedule = ["1m", "2m"]
expire_after = "1d"
max_retries = 9
on_expiry = "hold"
bounce_after = "0"
[delivery]
max_connections_per_primary = 3
tls = "off"
[log]
file = "backstayd.log"
[admin]
listen = ""
[[domain]]
name = "Example.COM"
primary = ["192.0.2.10:2525", "[2001:db8::1]:26", "192.0.2.11"]
allowed_networks = ["192.0.2.0/24", "2001:db8::/32"]
recipients = "file:recipients.txt"
when_primary_up = "relay"
)");
  EXPECT_EQ(config.hostname, "mx2.example.net");
  EXPECT_EQ(config.postmaster, "ops@Example.COM");
  EXPECT_EQ(config.node_id, 65535);
  EXPECT_EQ(config.smtp.listen[1].ToString(), "[::1]:2525");
  EXPECT_EQ(config.smtp.shards, 4);
  EXPECT_EQ(config.smtp.message_bytes_max, 4_KiB);
  EXPECT_EQ(config.smtp.connections_per_client_max, 5u);
  EXPECT_EQ(config.smtp.idle_timeout, absl::Seconds(30));
  EXPECT_TRUE(config.smtp.normalize_line_endings);
  EXPECT_EQ(config.spool.segment_bytes, 1_MiB);
  EXPECT_EQ(config.spool.reserve_bytes, 0u);
  EXPECT_EQ(config.retry.policy.on_expiry, OnExpiry::kHold);
  EXPECT_EQ(config.retry.policy.max_retries, 9u);
  EXPECT_EQ(config.delivery.tls, DeliveryConfig::Tls::kOff);
  EXPECT_EQ(config.log.file, "backstayd.log");
  EXPECT_FALSE(config.admin.listen.has_value());
  const DomainConfig& domain = config.domains.at(0);
  EXPECT_EQ(domain.name, "example.com");
  EXPECT_EQ(domain.primary.at(1).address->ToString(), "[2001:db8::1]:26");
  EXPECT_EQ(domain.primary.at(2).port, 25);
  EXPECT_EQ(domain.allowed_networks.size(), 2u);
  EXPECT_EQ(domain.recipients, DomainConfig::Recipients::kFile);
  EXPECT_EQ(domain.recipients_path, "recipients.txt");
  EXPECT_EQ(domain.retry.policy.schedule, Minutes({1, 2}));
  EXPECT_TRUE(config.notices.empty()) << config.notices.at(0);
}

TEST(Config, TlsToAPrimaryHasFourModes) {
  using Tls = DeliveryConfig::Tls;
  for (const auto& [text, mode] : {std::pair("off", Tls::kOff),
                                   {"require", Tls::kRequire},
                                   {"opportunistic", Tls::kOpportunistic},
                                   {"verify", Tls::kVerify}}) {
    const Config config =
        Accepted(With(std::string("[delivery]\ntls = \"") + text +
                      "\"\nclient_certificate = \"/c.pem\"\nclient_key = \"/k.pem\""));
    EXPECT_EQ(config.delivery.tls, mode);
    EXPECT_EQ(config.delivery.client_certificate, "/c.pem");
    EXPECT_TRUE(config.notices.empty()) << config.notices.at(0);
  }
}

TEST(Config, ADomainOverridesRetryKeyByKey) {
  const Config config =
      Accepted(With("[retry]\nexpire_after = \"2d\"\nmax_retries = 7\n") +
               "[domain.retry]\non_expiry = \"hold\"\nexpire_after = \"3d\"\n"
               "[[domain]]\nname = \"other.example\"\nprimary = [\"192.0.2.11\"]\n");
  EXPECT_EQ(config.domains[0].retry.policy.expire_after, absl::Hours(72));
  EXPECT_EQ(config.domains[0].retry.policy.max_retries, 7u);
  EXPECT_EQ(config.domains[0].retry.policy.on_expiry, OnExpiry::kHold);
  EXPECT_EQ(config.domains[1].retry.policy.expire_after, absl::Hours(48));
  EXPECT_EQ(config.domains[1].retry.policy.on_expiry, OnExpiry::kBounce);
}

TEST(Config, TheSmarterMailProfileIsFourRetries) {
  const Config config = Accepted(With("[retry]\nprofile = \"smartermail\""));
  EXPECT_EQ(config.domains[0].retry.policy.schedule, Minutes({10, 10, 10, 1440}));
  EXPECT_EQ(config.domains[0].retry.policy.max_retries, 4u);
}

TEST(Config, AScheduleOfTheDomainEndsTheProfileAndItsRetries) {
  const std::string schedule = "[domain.retry]\nschedule = [\"5m\"]\n";
  const Config plain = Accepted(With("[retry]\nprofile = \"smartermail\"") + schedule);
  EXPECT_EQ(plain.domains[0].retry.policy.schedule, Minutes({5}));
  EXPECT_EQ(plain.domains[0].retry.policy.max_retries, 0u);
  const Config counted =
      Accepted(With("[retry]\nprofile = \"smartermail\"\nmax_retries = 9") + schedule);
  EXPECT_EQ(counted.domains[0].retry.policy.max_retries, 9u);
}

TEST(Config, AProfileOfTheDomainReplacesTheSchedule) {
  const Config config = Accepted(With("[retry]\nschedule = [\"5m\"]\nmax_retries = 9") +
                                 "[domain.retry]\nprofile = \"smartermail\"\n");
  EXPECT_EQ(config.domains[0].retry.policy.schedule, Minutes({10, 10, 10, 1440}));
  EXPECT_EQ(config.domains[0].retry.policy.max_retries, 4u);
}

struct BadFile {
  std::string text;
  std::string message;
};

void ExpectRefusals(const std::vector<BadFile>& files) {
  for (const BadFile& file : files) {
    EXPECT_EQ(Refusal(file.text), file.message) << file.text;
  }
}

TEST(Config, UnknownKeysNameTheNearestOne) {
  ExpectRefusals({
      {With("[smtp]\nmax_mesage_size = \"1MiB\""),
       "f:2:1: unknown key \"max_mesage_size\" in [smtp] (nearest known key: "
       "smtp.max_message_size)"},
      {With("hostnme = \"a.example\""),
       "f:1:1: unknown key \"hostnme\" (nearest known key: hostname)"},
      {With("[smpt]\nlisten = 3\nnonsense = 4"),
       "f:1:2: unknown key \"smpt\" (nearest known key: smtp)"},
      {With("listen = [\"127.0.0.1:25\"]"),
       "f:1:1: unknown key \"listen\" (nearest known key: admin.listen)"},
      {With("[smtp]\ndirectory = \"x\""),
       "f:2:1: unknown key \"directory\" in [smtp] (nearest known key: spool.directory)"},
      {With("[spool]\nsegment.size = \"1MiB\""), "f:2:1: unknown key \"segment\" in [spool]"},
      {std::string(kDomain) + "recipient = \"any\"",
       "f:4:1: unknown key \"recipient\" in [domain] (nearest known key: domain.recipients)"},
      {std::string(kDomain) + "[domain.retry]\nschedul = []",
       "f:5:1: unknown key \"schedul\" in [domain.retry] (nearest known key: "
       "domain.retry.schedule)"},
      {With("xyzzyplugh = 1"), "f:1:1: unknown key \"xyzzyplugh\""},
      {With("\"a\\u0001\\\"b\" = 1"), "f:1:1: unknown key \"a\\x01\\x22b\""},
  });
}

TEST(Config, WrongTypesSayWhatIsWanted) {
  ExpectRefusals({
      {With("hostname = 5"), "f:1:12: hostname wants a host name in quotes, not a number"},
      {With("smtp = 5"), "f:1:8: smtp wants a section: [smtp], not a number"},
      {With("[smtp]\nlisten = \"127.0.0.1:25\""),
       "f:2:10: smtp.listen wants an array of addresses, such as [\"0.0.0.0:25\"], not a string"},
      {With("[smtp]\nlisten = [\"127.0.0.1:25\", 25]"),
       "f:2:27: smtp.listen wants an array of addresses, such as [\"0.0.0.0:25\"], not a number"},
      {With("[smtp]\nmax_message_size = 50"),
       "f:2:20: smtp.max_message_size wants a size in quotes, such as \"50MiB\", not a number"},
      {With("[smtp]\nidle_timeout = true"),
       "f:2:16: smtp.idle_timeout wants a duration in quotes, such as \"10m\", not true or false"},
      {With("[smtp]\nshards = \"4\""), "f:2:10: smtp.shards wants a number, not a string"},
      {With("[smtp]\nshards = 1.5"),
       "f:2:10: smtp.shards wants a number, not a fraction or a date"},
      {"[domain]\nname = \"example.com\"",
       "f:1:1: domain wants sections: [[domain]], not a section"},
      {"domain = [1]", "f:1:11: domain wants sections: [[domain]], not a number"},
      {"[[domain]]\nname = \"example.com\"\nprimary = \"192.0.2.1\"",
       "f:3:11: domain.primary wants an array of hosts in order, or \"mx\", not a string"},
  });
}

TEST(Config, ImpossibleValuesOfSmtpAndSpoolAreRefused) {
  ExpectRefusals({
      {With("[smtp]\nlisten = []"), "f:2:10: smtp.listen must name at least one address"},
      {With("[smtp]\nlisten = [\"127.0.0.1:25\", \"127.0.0.1:25\"]"),
       "f:2:10: smtp.listen names 127.0.0.1:25 twice"},
      {With("[smtp]\nlisten = [\"localhost:25\"]"),
       "f:2:11: \"localhost:25\" is not an address with a port (write \"0.0.0.0:25\" or "
       "\"[::]:25\")"},
      {With("[smtp]\nshards = 1025"), "f:2:10: smtp.shards must be 0 to 1024"},
      {With("[smtp]\nshards = -1"), "f:2:10: smtp.shards must be 0 to 1024"},
      {With("[smtp]\nmax_message_size = \"0\""),
       "f:2:20: \"0\": a message size must be 1B to 4GiB"},
      {With("[smtp]\nmax_message_size = \"50MB\""),
       "f:2:20: \"50MB\" is not a size (write \"50MiB\"; units are B, KiB, MiB, GiB and TiB)"},
      {With("[smtp]\nmax_recipients = 0"), "f:2:18: smtp.max_recipients must be 1 to 65535"},
      {With("[smtp]\nidle_timeout = \"0\""), "f:2:16: \"0\": an idle timeout must be 1s to 24h"},
      {With("[smtp]\nidle_timeout = \"5 m\""),
       "f:2:16: \"5 m\" is not a duration (write \"10m\"; units are s, m, h and d)"},
      {With("[smtp]\nline_endings = \"lf\""),
       "f:2:16: \"lf\" is not a value of smtp.line_endings (it is one of \"reject\", "
       "\"normalize\")"},
      {With("[smtp]\nxclient_from = [\"192.0.2.1/24\"]"),
       "f:2:17: \"192.0.2.1/24\" has bits set behind its prefix (the network would be "
       "\"192.0.2.0/24\")"},
      {With("[smtp]\ndnsbl = [\"zen.example:0\"]"),
       "f:2:10: \"zen.example:0\": the weight must be 1 to 1000"},
      {With("[spool]\nsegment_size = \"512KiB\""),
       "f:2:16: \"512KiB\": a segment size must be 1MiB to 1GiB, a multiple of 4KiB"},
      {With("[spool]\nsegment_size = \"2GiB\""),
       "f:2:16: \"2GiB\": a segment size must be 1MiB to 1GiB, a multiple of 4KiB"},
      {With("[spool]\nsegment_size = \"1048577B\""),
       "f:2:16: \"1048577B\": a segment size must be 1MiB to 1GiB, a multiple of 4KiB"},
      {With("[spool]\ndirectory = \"\""), "f:2:13: \"\" is not a path"},
      {With("[server]\nnode_id = 65536"), "f:2:11: server.node_id must be 0 to 65535"},
  });
}

TEST(Config, ImpossibleValuesOfRetryAreRefused) {
  ExpectRefusals({
      {With("[retry]\nprofile = \"smartermail\"\nschedule = [\"10m\"]"),
       "f:2:11: profile and schedule exclude each other: a profile is a schedule; remove one"},
      {With("[retry]\nprofile = \"postfix\""),
       "f:2:11: \"postfix\" is not a value of retry.profile (it is one of \"smartermail\")"},
      {With("[retry]\nschedule = []"), "f:2:12: retry.schedule must have 1 to 1000 waits"},
      {With("[retry]\nschedule = [\"10m\", \"0\"]"), "f:2:20: \"0\": must be longer than 0"},
      {With("[retry]\nexpire_after = \"0\""), "f:2:16: \"0\": must be longer than 0"},
      {With("[retry]\nexpire_after = \"99999999999999999999d\""),
       "f:2:16: \"99999999999999999999d\" is not a duration (write \"10m\"; units are s, m, h and "
       "d)"},
      {With("[retry]\nexpire_after = \"9999999999d\""),
       "f:2:16: \"9999999999d\" is longer than 10 years"},
      {With("[retry]\nmax_retries = -1"), "f:2:15: retry.max_retries must be 0 to 1000000"},
      {With("[retry]\non_expiry = \"drop\""),
       "f:2:13: \"drop\" is not a value of retry.on_expiry (it is one of \"bounce\", \"hold\")"},
  });
}

TEST(Config, ImpossibleDomainsAreRefused) {
  const std::string named = "[[domain]]\nname = \"example.com\"\n";
  ExpectRefusals({
      {"", "f:1:1: no [[domain]] is configured: one with name and primary is needed"},
      {"domain = []", "f:1:1: no [[domain]] is configured: one with name and primary is needed"},
      {named, "f:1:1: domain.primary is missing"},
      {"[[domain]]\nprimary = [\"192.0.2.1\"]", "f:1:1: domain.name is missing"},
      {std::string(kDomain) + "[[domain]]\nname = \"EXAMPLE.com\"\nprimary = [\"192.0.2.2\"]",
       "f:5:8: the domain example.com is configured twice, first in line 1"},
      {"[[domain]]\nname = \"exa_mple.com\"\nprimary = [\"192.0.2.1\"]",
       "f:2:8: \"exa_mple.com\" is not a domain name (labels of 1 to 63 letters, digits and inner "
       "hyphens, joined by dots)"},
      {named + "primary = []", "f:3:11: domain.primary must name 1 to 32 hosts"},
      {named + "primary = [\"192.0.2.1\", \"192.0.2.1:25\"]",
       "f:3:11: domain.primary names 192.0.2.1:25 twice"},
      {named + "primary = [\"192.0.2.256\"]",
       "f:3:12: \"192.0.2.256\" is not a host (write \"192.0.2.10:25\", \"[2001:db8::1]:25\" or "
       "\"mx1.example.com\")"},
      {"[smtp]\nlisten = [\"127.0.0.1:2525\"]\n" + named + "primary = [\"127.0.0.1:2525\"]",
       "f:5:11: the primary 127.0.0.1:2525 is in smtp.listen: mail would go round"},
      {std::string(kDomain) + "allowed_networks = [\"198.51.100.0/24\"]",
       "f:4:20: the primary 192.0.2.10 lies outside of allowed_networks"},
      {std::string(kDomain) + "recipients = \"all\"",
       "f:4:14: \"all\" is not a value of domain.recipients (it is \"any\", \"none\", \"verify\" "
       "or \"file:PATH\")"},
      {std::string(kDomain) + "recipients = \"file:\"", "f:4:14: \"\" is not a path"},
      {std::string(kDomain) + "quota_bytes = \"-1B\"",
       "f:4:15: \"-1B\" is not a size (write \"50MiB\"; units are B, KiB, MiB, GiB and TiB)"},
  });
}

// toml++ makes a table of each part of a key, and walks them by recursion.
TEST(Config, AKeyOfVeryManyPartsIsRefused) {
  std::string deep = "a";
  for (int parts = 0; parts < 100'000; ++parts) {
    deep += ".a";
  }
  for (const std::string& text :
       {With(deep + " = 1"), With("[" + deep + "]"), With("x = {y = 1, " + deep + " = 1}"),
        With("x = \"\"\"\n\"\"\"\"\"\n" + deep + " = 1"),
        With("x = '''\n''''\n\"b\" . 'c'." + deep + " = 1")}) {
    EXPECT_NE(Refusal(text).find(": a key has more than 16 parts"), std::string::npos);
  }
  const std::string dots(1000, '.');
  EXPECT_EQ(Refusal(With("# " + dots + "\nhostname = \"mx2.example.net\" # " + dots)), "accepted");
  for (const std::string& value :
       {"\"" + dots + "\"", "'" + dots + "'", "\"\"\"\n" + dots + "\\\"\"\"\"\"",
        "'''\n" + dots + "'''", "\"\\\"" + dots + "\"", "[\"" + dots + "\"]"}) {
    EXPECT_EQ(Refusal(With("hostname = " + value)).find("a key has"), std::string::npos);
  }
}

TEST(Config, OtherImpossibleValuesAreRefused) {
  ExpectRefusals({
      {With("hostname = \"mx 2\""),
       "f:1:12: \"mx 2\" is not a domain name (labels of 1 to 63 letters, digits and inner "
       "hyphens, joined by dots)"},
      {With("postmaster = \"ops\""),
       "f:1:14: \"ops\" is not a mail address (write \"postmaster@example.com\")"},
      {With("postmaster = \"ops@example.net\""),
       "f:1:14: postmaster is in example.net, which is no [[domain]]: its mail would go nowhere"},
      {With("[tls]\ncertificate = [\"a\", \"b\"]\nprivate_key = \"a\""),
       "f:3:15: tls.private_key names 1 files and tls.certificate 2: each certificate needs its "
       "key, at the same place of the array"},
      {With("[tls]\nprivate_key = [\"a.pem\"]"),
       "f:2:15: tls.certificate and tls.private_key are needed together"},
      {With("[tls]\ncertificate = 1\nprivate_key = \"a\""),
       "f:2:15: tls.certificate wants a file name in quotes, or an array of them, not a number"},
      {With("[tls]\ncertificate = \"a.pem\""),
       "f:2:15: tls.certificate and tls.private_key are needed together"},
      {With("[delivery]\nclient_key = \"a.pem\""),
       "f:2:14: delivery.client_certificate and delivery.client_key are needed together"},
      {With("[dsn]\nroute = \"192.0.2.1:0\""),
       "f:2:9: \"192.0.2.1:0\" is not a host (write \"192.0.2.10:25\", \"[2001:db8::1]:25\" or "
       "\"mx1.example.com\")"},
      {With("[admin]\nlisten = \"8025\""),
       "f:2:10: \"8025\" is not an address with a port (write \"0.0.0.0:25\" or \"[::]:25\")"},
      {With("[admin]\nsocket = \"" + std::string(108, 's') + "\""),
       "f:2:10: a socket's path may have 107 bytes, this has 108"},
  });
}

TEST(Config, AllMistakesAreReportedInTheOrderOfTheFile) {
  EXPECT_EQ(Refusal("hostname = 5\n[smtp]\nshards = 2000\nlisen = []\n[retry]\nexpire_after = \"0\""
                    "\n[[domain]]\nname = \"example.com\"\n"),
            "f:1:12: hostname wants a host name in quotes, not a number\n"
            "f:3:10: smtp.shards must be 0 to 1024\n"
            "f:4:1: unknown key \"lisen\" in [smtp] (nearest known key: smtp.listen)\n"
            "f:6:16: \"0\": must be longer than 0\n"
            "f:7:1: domain.primary is missing");
}

TEST(Config, AThousandMistakesAreCountedNotPrinted) {
  std::string text = kDomain;
  for (int index = 0; index < 1000; ++index) {
    text += "unknown" + std::to_string(index) + " = 1\n";
  }
  const std::string refusal = Refusal(text);
  EXPECT_TRUE(refusal.ends_with("\nf: and 900 more")) << refusal;
}

TEST(Config, TextThatIsNotTomlIsRefusedWithItsPlace) {
  const std::string refusal = Refusal("[smtp\nlisten = 3");
  EXPECT_TRUE(refusal.starts_with("f:1:6: ") && refusal.ends_with(" saw '\\n'")) << refusal;
  EXPECT_EQ(Refusal("[!]"),
            "f:1:2: Error while parsing key: expected bare key starting character or string "
            "delimiter, saw '!'");
  EXPECT_NE(Refusal("\"\xc3\xb6\" = 1\n\"\xc3\xb6\" = 2").find("\\xc3\\xb6"), std::string::npos);
  EXPECT_NE(Refusal(std::string(100000, '[')), "accepted");
  EXPECT_NE(Refusal("a = \"\xff\xfe\""), "accepted");
}

TEST(Config, ForeignLettersInCommentsAndPathsAreKept) {
  const Config config =
      Accepted(With("# Gr\u00f6\u00dfe \u03e1 \u4e2d \U0001f600\n[spool]\ndirectory = "
                    "\"/var/lib/Gr\u00f6\u00dfe\""));
  EXPECT_EQ(config.spool.directory, "/var/lib/Gr\u00f6\u00dfe");
}

TEST(Config, CertificatesComeAloneOrSideBySide) {
  const auto read = [](const std::string& tls) {
    std::string pairs;
    for (const TlsFiles& files : Accepted(With("[tls]\n" + tls)).tls.certificates) {
      pairs += files.certificate + "+" + files.private_key + " ";
    }
    return pairs;
  };
  EXPECT_EQ(read(""), "");
  EXPECT_EQ(read("certificate = \"\"\nprivate_key = \"\""), "");
  EXPECT_EQ(read("certificate = []\nprivate_key = []"), "");
  EXPECT_EQ(read("certificate = \"c.pem\"\nprivate_key = \"k.pem\""), "c.pem+k.pem ");
  EXPECT_EQ(read("certificate = [\"e.pem\", \"r.pem\"]\nprivate_key = [\"ek.pem\", \"rk.pem\"]"),
            "e.pem+ek.pem r.pem+rk.pem ");
}

TEST(Config, KeysWithoutTheirFeatureAreNamed) {
  const Config config = Accepted(R"([smtp]
dnsbl = ["zen.example:3", "other.example"]
[retry]
delay_warning = "4h"
[admin]
listen = "127.0.0.1:8025"
[[domain]]
name = "a.example"
primary = "mx"
[[domain]]
name = "b.example"
primary = "mx"
store_after = "15m"
when_primary_up = "defer"
recipients = "verify"
)");
  EXPECT_EQ(config.domains.at(1).store_after, absl::Minutes(15));
  EXPECT_EQ(config.smtp.dnsbl.at(0).weight, 3);
  EXPECT_TRUE(config.domains.at(0).primary_by_mx);
  EXPECT_EQ(config.notices, (std::vector<std::string>{"f:6:10: not in effect yet: admin.listen"}));
}

TEST(Config, LoadingNamesTheFile) {
  EXPECT_EQ(LoadConfig("no-such-file.toml").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(LoadConfig("/").status().code(), absl::StatusCode::kUnavailable);
  const std::string path = testing::TempDir() + "backstay_config_test.toml";
  std::FILE* file = std::fopen(path.c_str(), "wb");
  ASSERT_NE(file, nullptr);
  std::fputs("hostname = 5\n", file);
  std::fclose(file);
  const absl::StatusOr<Config> config = LoadConfig(path);
  std::remove(path.c_str());
  ASSERT_FALSE(config.ok());
  EXPECT_TRUE(std::string(config.status().message()).starts_with(path + ":1:1: no [[domain]]"))
      << config.status().message();
}

}  // namespace
}  // namespace backstay
