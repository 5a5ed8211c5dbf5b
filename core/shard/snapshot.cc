// core/shard/snapshot.cc -- configuration to policies.
#include "core/shard/snapshot.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "absl/container/btree_map.h"
#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_map.h"
#include "core/base/check.h"
#include "core/base/log.h"
#include "core/base/status_macros.h"
#include "core/base/units.h"
#include "core/queue/client_census.h"
#include "core/shard/config_values.h"
#include "io/file/text_file.h"
#include "io/machine.h"

namespace backstay {
namespace {

// Twenty million addresses, twice what is kept of those that are asked about.
constexpr size_t kRecipientFileBytesMax = 1_GiB;
// Recipients of a domain. Shorter lists are kept by hand, and a human changes them as he likes.
constexpr size_t kListedByProgram = 100;

uint64_t HashText(std::string_view text) {
  uint64_t hash = 14695981039346656037U;  // FNV-1a: only has to be the same in every shard and run
  for (const char character : text) {
    hash = (hash ^ static_cast<uint8_t>(character)) * 1099511628211U;
  }
  return hash;
}

DestinationPlan PlanOf(PrimaryList list, const std::vector<Network>& allowed_networks) {
  DestinationPlan plan;
  if (!list.mx_domain.empty()) {
    plan.name = fmt::format("mx:{}", list.mx_domain);
  }
  for (const HostPort& host : list.hosts) {
    plan.name += fmt::format("{}{}:{}", plan.name.empty() ? "" : ",", host.host, host.port);
  }
  std::string limits;
  for (const Network& network : allowed_networks) {
    limits += fmt::format(" {}", network.ToString());
  }
  plan.key = HashText(plan.name + limits);
  plan.list = std::move(list);
  plan.allowed_networks = allowed_networks;
  return plan;
}

DestinationPlan PlanOf(const DomainConfig& domain) {
  return PlanOf({domain.primary_by_mx ? domain.name : "", domain.primary}, domain.allowed_networks);
}

size_t DestinationIndex(Snapshot& snapshot, DestinationPlan plan) {
  for (size_t index = 0; index < snapshot.destinations.size(); ++index) {
    if (snapshot.destinations[index].key == plan.key) {
      return index;
    }
  }
  snapshot.destinations.push_back(std::move(plan));
  return snapshot.destinations.size() - 1;
}

struct RecipientList {
  TextSet addresses;
  bool is_unended = false;  // see DomainPlan
};
using RecipientLists = absl::flat_hash_map<std::string, RecipientList>;  // by domain

// Each file is read once, whatever the number of domains that share it: it may be large, and all
// of them see the same version of it.
absl::StatusOr<RecipientLists> ReadRecipientLists(Config& config) {
  absl::btree_map<std::string, std::vector<std::string>> domains;  // by path
  for (const DomainConfig& domain : config.domains) {
    if (domain.recipients == DomainConfig::Recipients::kFile) {
      domains[domain.recipients_path].push_back(domain.name);
    }
  }
  RecipientLists lists;
  for (const auto& [path, names] : domains) {
    ASSIGN_OR_RETURN(const std::string text, ReadTextFile(path, kRecipientFileBytesMax));
    ASSIGN_OR_RETURN(std::vector<TextSet> sets, ParseRecipientFile(text, path, names));
    const bool is_unended = !text.ends_with('\n');
    size_t listed = 0;
    for (size_t i = 0; i < names.size(); ++i) {
      listed += sets[i].size();
      lists[names[i]] = {std::move(sets[i]), is_unended};
    }
    if (is_unended && listed >= kListedByProgram) {
      config.notices.push_back(fmt::format(
          "{}: {}: its last line has no newline: it may have been cut off within an address",
          config.files[path], path));
    }
  }
  return lists;
}

DomainPolicy RelayOf(const DomainConfig& config, RecipientLists& lists) {
  DomainPolicy policy;
  policy.name = config.name;
  switch (config.recipients) {
    case DomainConfig::Recipients::kAny:
      policy.recipients = DomainPolicy::Recipients::kAny;
      return policy;
    case DomainConfig::Recipients::kVerify:
      policy.recipients = DomainPolicy::Recipients::kVerify;
      return policy;
    case DomainConfig::Recipients::kNone:
      policy.recipients = DomainPolicy::Recipients::kNone;
      return policy;
    case DomainConfig::Recipients::kFile:
      policy.recipients = DomainPolicy::Recipients::kList;
      policy.list = std::move(lists[config.name].addresses);
      return policy;
  }
  UNREACHABLE();
}

// Null if TLS is off.
absl::StatusOr<std::unique_ptr<const TlsContext>> ClientTls(const DeliveryConfig& config) {
  if (config.tls == DeliveryConfig::Tls::kOff) {
    return nullptr;
  }
  TlsContext::ClientOptions options;
  options.verifies = config.tls == DeliveryConfig::Tls::kVerify;
  if (!config.client_certificate.empty()) {
    options.certificate = TlsFiles{config.client_certificate, config.client_key};
  }
  return TlsContext::MakeClient(options);
}

// What the files hold that the configuration names.
struct NamedFiles {
  RecipientLists lists;
  std::unique_ptr<const TlsContext> tls;
  std::unique_ptr<const TlsContext> client_tls;
};

absl::StatusOr<NamedFiles> ReadNamedFiles(Config& config, const std::string& hostname) {
  NamedFiles files;
  ASSIGN_OR_RETURN(files.lists, ReadRecipientLists(config));
  if (!config.tls.certificates.empty()) {
    ASSIGN_OR_RETURN(files.tls, TlsContext::MakeServer({.certificates = config.tls.certificates,
                                                        .hostname = hostname}));
  }
  ASSIGN_OR_RETURN(files.client_tls, ClientTls(config.delivery));
  return files;
}

// Who reads a file knows its name, which his reason begins with, and not who named it.
absl::Status WithPlaceOfFile(const absl::Status& failure, const Config& config) {
  const std::string reason(failure.message());
  std::string named;
  std::string place;
  for (const auto& [path, where] : config.files) {
    if (reason.starts_with(path + ":") && path.size() > named.size()) {
      named = path;
      place = where + ": ";
    }
  }
  return absl::Status(failure.code(), place + reason);
}

// A primary, or a host of senders, may take nothing from who greets by a name that cannot be.
absl::StatusOr<std::string> OwnName(const std::string& path, const Machine& machine,
                                    Config& config) {
  constexpr std::string_view kAdvice =
      "set hostname = \"mx2.example.net\", the name that others know it by, in";
  std::string name = config.hostname;
  std::string whose = "hostname";
  if (name.empty()) {
    const std::string own = machine.hostname.empty() ? MachineName() : machine.hostname;
    whose = "hostname is not set, and the machine's own name";
    // Of a container, by chance: a number is as good as another name without a dot.
    const bool is_number = !own.empty() && own.find_first_not_of("0123456789") == own.npos;
    absl::StatusOr<std::string> parsed = is_number ? own : ParseDomainName(own);
    if (!parsed.ok() || *parsed == "localhost" || parsed->starts_with("localhost.")) {
      return absl::InvalidArgumentError(
          fmt::format("{}: {} \"{}\" is no name for a mail server: {} {}", path, whose,
                      Escaped(own), kAdvice, path));
    }
    name = *std::move(parsed);
  }
  if (name.find('.') == std::string::npos) {
    config.notices.push_back(
        fmt::format("{}: {} \"{}\" has no dot: many mail servers, primaries too, refuse mail from "
                    "who is called so; {} {}",
                    path, whose, name, kAdvice, path));
  }
  return name;
}

// Who can write them decides where mail goes and what we show; a key that is known is none.
void NoticeOpenFiles(const std::string& path, Config& config) {
  if (const FileRights rights = RightsOf(path); rights.others_write) {
    config.notices.push_back(
        fmt::format("{}: others than its owner may write it: chmod go-w {}", path, path));
  }
  absl::btree_set<std::string> keys;
  for (const TlsFiles& files : config.tls.certificates) {
    keys.insert(files.private_key);
  }
  if (!config.delivery.client_key.empty()) {
    keys.insert(config.delivery.client_key);
  }
  // Who reads them at the next start or reload may be one of everybody until now.
  const std::string group = config.user.has_value() ? std::to_string(config.user->group)
                                                    : "the group of the daemon's user";
  for (const std::string& key : keys) {
    if (const FileRights rights = RightsOf(key); rights.others_write || rights.everybody_reads) {
      config.notices.push_back(fmt::format(
          "{}: {}: its mode lets {} this private key: give it to {} (chgrp, if it is another's), "
          "then chmod g=r,o= {}",
          config.files[key], key,
          rights.everybody_reads ? "everybody read" : "others than its owner write", group, key));
    }
  }
}

void PlanReports(const DsnConfig& dsn, Snapshot& snapshot) {
  if (dsn.way == DsnConfig::Way::kOff) {
    return;
  }
  DomainPlan& plan = snapshot.reports.emplace();
  plan.name = "reports";
  plan.retry = RetryPolicy::Default();
  snapshot.reports_by_mx = dsn.way == DsnConfig::Way::kMx;
  if (dsn.way == DsnConfig::Way::kHost) {
    plan.destination = DestinationIndex(snapshot, PlanOf({"", {dsn.host}}, {}));
  }
}

// Clients are told 421 before the last descriptor is gone: without one no segment can be opened, no
// primary be reached, and nobody be told anything. Never more than half is kept from clients.
size_t ConnectionsMax(const Snapshot& snapshot, const Config& config, size_t files_max) {
  constexpr size_t kAtOnce = 16;   // primaries that take as much as they may
  constexpr size_t kOthers = 512;  // rings, listeners, logs, operators, 64 hosts of senders
  const size_t segments = files_max / 8;
  const size_t primaries =
      std::min(snapshot.destinations.size(), kAtOnce) * config.delivery.connections_per_primary_max;
  const size_t kept = std::min(segments + primaries + kOthers, files_max / 2);
  return std::min<size_t>(config.smtp.connections_max, files_max - kept);
}

absl::StatusOr<std::unique_ptr<Snapshot>> Resolve(Config config, const Machine& machine) {
  auto snapshot = std::make_unique<Snapshot>();
  snapshot->hostname = config.hostname.empty() ? machine.hostname : config.hostname;
  absl::StatusOr<NamedFiles> files = ReadNamedFiles(config, snapshot->hostname);
  if (!files.ok()) {
    return WithPlaceOfFile(files.status(), config);
  }
  RecipientLists& lists = files->lists;
  std::vector<DomainPolicy> relay;
  for (const DomainConfig& domain : config.domains) {
    DomainPolicy policy = RelayOf(domain, lists);
    const size_t listed = policy.list.size();
    relay.push_back(std::move(policy));
    snapshot->domains.push_back(
        {domain.name, DomainKey(domain.name), DestinationIndex(*snapshot, PlanOf(domain)),
         domain.retry.policy, domain.quota_messages, domain.quota_bytes,
         domain.recipients == DomainConfig::Recipients::kVerify,
         domain.when_primary_up == DomainConfig::WhenPrimaryUp::kDefer, domain.store_after, listed,
         lists[domain.name].is_unended, domain.retry.delay_warning});
  }
  PlanReports(config.dsn, *snapshot);
  snapshot->connections_max = ConnectionsMax(*snapshot, config, machine.files_max);
  snapshot->relay = RelayPolicy(std::move(relay), config.postmaster);
  std::sort(snapshot->domains.begin(), snapshot->domains.end(),
            [](const DomainPlan& left, const DomainPlan& right) { return left.name < right.name; });
  snapshot->tls = std::move(files->tls);
  snapshot->client_tls = std::move(files->client_tls);
  snapshot->server.starttls = snapshot->tls != nullptr;
  snapshot->server.hostname = snapshot->hostname;
  snapshot->server.message_bytes_max = config.smtp.message_bytes_max;
  snapshot->server.recipients_max = config.smtp.recipients_max;
  snapshot->server.normalize_line_endings = config.smtp.normalize_line_endings;
  snapshot->config = std::move(config);
  return snapshot;
}

// A file that is being written when a reload comes, or was cut off, refuses everybody behind its
// end for good. No address at all is another rule for the domain, not a file.
absl::Status KeepsList(const DomainPlan& next, const DomainPlan& running) {
  const bool is_long = std::max(next.listed, running.listed) >= kListedByProgram;
  // Who never ends the last line says nothing by it.
  if (is_long && next.listed > 0 && next.is_unended && !running.is_unended) {
    return absl::FailedPreconditionError(fmt::format(
        "the recipient file of {} ends without a newline: it looks cut off; write it anew beside "
        "it and rename it, the last line with its newline; if it is meant: backstay reload --force",
        running.name));
  }
  // So many leave at once only if somebody sees to it.
  if (is_long && next.listed > 0 && next.listed < running.listed - running.listed / 10) {
    return absl::FailedPreconditionError(fmt::format(
        "the recipient file of {} names {} addresses, the one in force {}: it looks half "
        "written; write it anew beside it and rename it; if so many are gone: backstay reload "
        "--force",
        running.name, next.listed, running.listed));
  }
  return absl::OkStatus();
}

}  // namespace

uint64_t DomainKey(std::string_view name) {
  return HashText(name);
}

const DomainPlan* Snapshot::FindDomain(std::string_view name) const {
  const auto found = std::lower_bound(
      domains.begin(), domains.end(), name,
      [](const DomainPlan& plan, std::string_view wanted) { return plan.name < wanted; });
  return found != domains.end() && found->name == name ? &*found : nullptr;
}

// The kernel spreads connections over the shards by a hash. Of all connections each shard gets its
// share; those of a client are counted over all shards (ClientCensus), for a client has few.
AdmissionLimits Snapshot::AdmissionLimitsOf(size_t shards) const {
  // A share of an allowance that is too small to be one would turn clients away for one mistake.
  constexpr size_t kAllowanceSharesMax = 8;
  AdmissionLimits limits;
  limits.connections_max = (connections_max + shards - 1) / shards;
  limits.connections_per_client_max = config.smtp.connections_per_client_max;
  limits.conduct_scale = std::max<size_t>(
      config.smtp.connections_per_client_max / std::min(shards, kAllowanceSharesMax), 1);
  return limits;
}

absl::Status Snapshot::CanReplace(const Snapshot& running, bool is_forced) const {
  const Config& old = running.config;
  if (config.spool.directory != old.spool.directory) {
    return absl::FailedPreconditionError("spool.directory needs a restart");
  }
  if (config.smtp.listen != old.smtp.listen || config.smtp.shards != old.smtp.shards) {
    return absl::FailedPreconditionError("smtp.listen and smtp.shards need a restart");
  }
  // Who lowered it before may hear so of less than there is room for; never the other way round.
  // What the files leave moves a little with the destinations: that is no raise.
  const size_t counted_max = ClientCensus::RoomFor(running.connections_max);
  if (config.smtp.connections_max > old.smtp.connections_max && connections_max > counted_max) {
    return absl::FailedPreconditionError(
        fmt::format("smtp.max_connections above {} needs a restart", counted_max));
  }
  if (config.spool.segment_bytes != old.spool.segment_bytes ||
      config.spool.reserve_bytes != old.spool.reserve_bytes || config.node_id != old.node_id) {
    return absl::FailedPreconditionError(
        "spool.segment_size, spool.reserve and server.node_id need a restart");
  }
  const auto user_of = [](const Config& one) { return one.user ? one.user->name : ""; };
  if (user_of(config) != user_of(old)) {
    return absl::FailedPreconditionError("user needs a restart");
  }
  if (config.admin.socket != old.admin.socket) {
    return absl::FailedPreconditionError("admin.socket needs a restart");
  }
  for (const DomainPlan& plan : running.domains) {
    const DomainPlan* next = FindDomain(plan.name);
    if (next != nullptr && !is_forced) {
      RETURN_IF_ERROR(KeepsList(*next, plan));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<const Snapshot>> ParseSnapshot(std::string_view text,
                                                              const std::string& file_name) {
  ASSIGN_OR_RETURN(Config config, ParseConfig(text, file_name));
  return Resolve(std::move(config), {.hostname = "localhost"});
}

absl::StatusOr<std::unique_ptr<const Snapshot>> LoadSnapshot(const std::string& path,
                                                             const Machine& machine) {
  ASSIGN_OR_RETURN(Config config, LoadConfig(path));
  Machine named = machine;
  ASSIGN_OR_RETURN(named.hostname, OwnName(path, machine, config));
  NoticeOpenFiles(path, config);
  ASSIGN_OR_RETURN(std::unique_ptr<Snapshot> snapshot, Resolve(std::move(config), named));
  snapshot->time_zone = absl::LocalTimeZone();
  return snapshot;
}

}  // namespace backstay
