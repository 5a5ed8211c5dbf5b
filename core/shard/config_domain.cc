// core/shard/config_domain.cc -- domains, their retry keys resolved.
#include "core/shard/config_domain.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "absl/container/btree_map.h"
#include "core/base/log.h"
#include "core/base/status_macros.h"
#include "core/shard/config_values.h"

namespace backstay {
namespace {

constexpr std::string_view kPrimaryWanted = "an array of hosts in order, or \"mx\"";
constexpr size_t kScheduleWaitsMax = 1000;
constexpr uint64_t kRetriesMax = 1'000'000;
constexpr uint64_t kQuotaMessagesMax = 1ULL << 40;
constexpr size_t kPrimaryHostsMax = 32;

// The documented behaviour of that product: four retries, then the bounce.
constexpr std::string_view kSmarterMail = "smartermail";
constexpr uint32_t kSmarterMailRetries = 4;

absl::StatusOr<absl::Duration> ParsePositiveDuration(std::string_view text) {
  ASSIGN_OR_RETURN(const absl::Duration duration, ParseDuration(text));
  if (duration == absl::ZeroDuration()) {
    return absl::InvalidArgumentError(fmt::format("\"{}\": must be longer than 0", Escaped(text)));
  }
  return duration;
}

struct RecipientsRule {
  DomainConfig::Recipients kind = DomainConfig::Recipients::kAny;
  std::string path;
};

absl::StatusOr<RecipientsRule> ParseRecipients(std::string_view text) {
  constexpr std::string_view kFilePrefix = "file:";
  if (text == "any") {
    return RecipientsRule{DomainConfig::Recipients::kAny, {}};
  }
  if (text == "none") {
    return RecipientsRule{DomainConfig::Recipients::kNone, {}};
  }
  if (text == "verify") {
    return RecipientsRule{DomainConfig::Recipients::kVerify, {}};
  }
  if (text.starts_with(kFilePrefix)) {
    ASSIGN_OR_RETURN(std::string path, ParsePath(text.substr(kFilePrefix.size())));
    return RecipientsRule{DomainConfig::Recipients::kFile, std::move(path)};
  }
  return absl::InvalidArgumentError(fmt::format(
      "\"{}\" is not a value of domain.recipients (it is \"any\", \"none\", \"verify\" or "
      "\"file:PATH\")",
      Escaped(text)));
}

bool SameHost(const HostPort& left, const HostPort& right) {
  return left.host == right.host && left.port == right.port;
}

void CheckPrimary(ConfigSection& section, const std::vector<HostPort>& hosts,
                  const std::vector<SocketAddress>& listen) {
  if (hosts.empty() || hosts.size() > kPrimaryHostsMax) {
    section.Error("primary",
                  fmt::format("domain.primary must name 1 to {} hosts", kPrimaryHostsMax));
  }
  for (auto host = hosts.begin(); host != hosts.end(); ++host) {
    const auto is_same = [&](const HostPort& other) { return SameHost(other, *host); };
    if (std::any_of(hosts.begin(), host, is_same)) {
      section.Error("primary",
                    fmt::format("domain.primary names {}:{} twice", host->host, host->port));
    }
    if (host->address.has_value() &&
        std::find(listen.begin(), listen.end(), *host->address) != listen.end()) {
      section.Error("primary", fmt::format("the primary {} is in smtp.listen: mail would go round",
                                           host->address->ToString()));
    }
  }
}

void ReadPrimary(ConfigSection& section, const std::vector<SocketAddress>& listen,
                 DomainConfig& domain) {
  const ConfigNode* value = section.Find("primary");
  if (value == nullptr) {
    section.Missing("primary");
    return;
  }
  if (value->type == ConfigNode::Type::kString && value->text == "mx") {
    domain.primary_by_mx = true;
    return;
  }
  // Hardly ever a host of that name is meant; one can still be written "mx:25".
  for (const ConfigNode& element : value->elements) {
    if (element.type == ConfigNode::Type::kString && element.text == "mx") {
      section.report().Error(element.place, "mx stands alone: primary = \"mx\"");
    }
  }
  if (section.ReadList("primary", kPrimaryWanted, &ParseHostPort, domain.primary)) {
    CheckPrimary(section, domain.primary, listen);
  }
}

void CheckAllowed(ConfigSection& section, const DomainConfig& domain) {
  for (const HostPort& host : domain.primary) {
    const auto contains = [&](const Network& network) { return network.Contains(*host.address); };
    if (host.address.has_value() && !domain.allowed_networks.empty() &&
        std::none_of(domain.allowed_networks.begin(), domain.allowed_networks.end(), contains)) {
      section.Error("allowed_networks",
                    fmt::format("the primary {} lies outside of allowed_networks", host.host));
    }
  }
}

void ReadIntakeRules(ConfigSection& section, DomainConfig& domain) {
  RecipientsRule recipients;
  section.Read("recipients", "\"any\", \"none\", \"verify\" or \"file:PATH\"", &ParseRecipients,
               recipients);
  domain.recipients = recipients.kind;
  domain.recipients_path = std::move(recipients.path);
  if (domain.recipients == DomainConfig::Recipients::kFile) {
    section.NamesFile("recipients", domain.recipients_path);
  }
  section.ReadChoice("when_primary_up",
                     {{"relay", DomainConfig::WhenPrimaryUp::kRelay},
                      {"defer", DomainConfig::WhenPrimaryUp::kDefer}},
                     domain.when_primary_up);
  section.Read("store_after", kDurationWanted, &ParseDuration, domain.store_after);
  section.Read("quota_bytes", kSizeWanted, &ParseSize, domain.quota_bytes);
  section.ReadNumber("quota_messages", {0, kQuotaMessagesMax}, domain.quota_messages);
}

DomainConfig ReadDomain(ConfigSection& section, const RetryLayer& retry,
                        const std::vector<SocketAddress>& listen) {
  DomainConfig domain;
  if (section.Find("name") == nullptr) {
    section.Missing("name");
  }
  section.Read("name", "a domain name in quotes", &ParseDomainName, domain.name);
  ReadPrimary(section, listen, domain);
  if (section.ReadList("allowed_networks", kNetworksWanted, &Network::Parse,
                       domain.allowed_networks)) {
    CheckAllowed(section, domain);
  }
  ReadIntakeRules(section, domain);
  domain.retry = ReadRetry(section.Section("retry"), retry).effective;
  section.ReportUnknownKeys();
  return domain;
}

// schedule, profile and max_retries: a profile is a schedule and a number of retries, and whichever
// of the two is written last, from [retry] to [domain.retry], wins.
void ReadSchedule(ConfigSection& section, RetryLayer& layer) {
  RetryConfig& retry = layer.effective;
  const bool has_schedule =
      section.ReadList("schedule", "an array of durations, such as [\"10m\", \"24h\"]",
                       &ParsePositiveDuration, retry.policy.schedule);
  bool has_profile = false;
  const bool profile_taken = section.ReadChoice("profile", {{kSmarterMail, true}}, has_profile);
  if (profile_taken && section.Find("schedule") != nullptr) {
    section.Error("profile",
                  "profile and schedule exclude each other: a profile is a schedule; remove one");
  } else if (profile_taken) {
    retry.policy.schedule = {absl::Minutes(10), absl::Minutes(10), absl::Minutes(10),
                             absl::Minutes(1440)};
    retry.policy.max_retries = kSmarterMailRetries;
  } else if (has_schedule) {
    retry.policy.max_retries = layer.max_retries_written;
    if (retry.policy.schedule.empty() || retry.policy.schedule.size() > kScheduleWaitsMax) {
      section.Error("schedule", fmt::format("{} must have 1 to {} waits",
                                            section.PathOf("schedule"), kScheduleWaitsMax));
    }
  }
  if (section.ReadNumber("max_retries", {0, kRetriesMax}, retry.policy.max_retries)) {
    layer.max_retries_written = retry.policy.max_retries;
  }
}

}  // namespace

RetryLayer ReadRetry(ConfigSection section, const RetryLayer& base) {
  RetryLayer layer = base;
  RetryConfig& retry = layer.effective;
  ReadSchedule(section, layer);
  section.Read("expire_after", kDurationWanted, &ParsePositiveDuration, retry.policy.expire_after);
  section.ReadChoice("on_expiry", {{"bounce", OnExpiry::kBounce}, {"hold", OnExpiry::kHold}},
                     retry.policy.on_expiry);
  section.Read("bounce_after", kDurationWanted, &ParseDuration, retry.policy.bounce_after);
  section.Read("delay_warning", kDurationWanted, &ParseDuration, retry.delay_warning);
  section.ReportUnknownKeys();
  return layer;
}

std::vector<DomainConfig> ReadDomains(ConfigSection& top, const RetryLayer& retry,
                                      const std::vector<SocketAddress>& listen) {
  const ConfigNode* array = top.Find("domain", ConfigNode::Type::kArray, "sections: [[domain]]");
  std::vector<DomainConfig> domains;
  if (array == nullptr || array->elements.empty()) {
    ConfigSection absent(nullptr, "domain", top.report());
    ReadDomain(absent, retry, listen);  // for the names of its keys
    if (array != nullptr || top.Find("domain") == nullptr) {
      top.report().Error({}, "no [[domain]] is configured: one with name and primary is needed");
    }
    return domains;
  }
  absl::btree_map<std::string, ConfigPlace> first;
  for (const ConfigNode& element : array->elements) {
    if (element.type != ConfigNode::Type::kTable) {
      top.report().Error(element.place, fmt::format("domain wants sections: [[domain]], not {}",
                                                    Describe(element.type)));
      continue;
    }
    ConfigSection section(&element, "domain", top.report());
    domains.push_back(ReadDomain(section, retry, listen));
    const std::string& name = domains.back().name;
    const auto [seen, is_new] = first.emplace(name, element.place);
    if (!is_new && !name.empty()) {
      section.Error("name", fmt::format("the domain {} is configured twice, first in line {}", name,
                                        seen->second.line));
    }
  }
  return domains;
}

}  // namespace backstay
