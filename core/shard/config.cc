// core/shard/config.cc -- the sections of the file, one function each.
#include "core/shard/config.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "core/base/check.h"
#include "core/base/log.h"
#include "core/base/status_macros.h"
#include "core/shard/config_domain.h"
#include "core/shard/config_section.h"
#include "core/shard/config_values.h"
#include "io/account.h"
#include "io/file/text_file.h"

namespace backstay {
namespace {

constexpr std::string_view kAddressesWanted = "an array of addresses, such as [\"0.0.0.0:25\"]";
constexpr std::string_view kFileWanted = "a file name in quotes";
constexpr std::string_view kFilesWanted = "a file name in quotes, or an array of them";

constexpr uint64_t kShardsMax = 1024;       // 10 bits of a queue id
constexpr uint64_t kRecipientsMax = 65535;  // 16 bits in a record
constexpr uint64_t kConnectionsMax = 16'000'000;
constexpr uint64_t kMessageBytesMax = 4_GiB;
constexpr uint64_t kSegmentBytesMin = 1_MiB;
constexpr uint64_t kSegmentBytesMax = 1_GiB;  // 24 bits of a queue id, in steps of 64
constexpr uint64_t kSegmentBytesStep = 4_KiB;
constexpr size_t kSocketPathBytesMax = 107;  // sun_path with its NUL has 108
constexpr absl::Duration kIdleTimeoutMax = absl::Hours(24);
constexpr absl::Duration kPatienceMax = absl::Hours(1);  // of one connection, with a primary
constexpr size_t kFileBytesMax = 16_MiB;                 // 10,000 domains are about 2 MiB

absl::StatusOr<uint64_t> ParseMessageSize(std::string_view text) {
  ASSIGN_OR_RETURN(const uint64_t bytes, ParseSize(text));
  if (bytes == 0 || bytes > kMessageBytesMax) {
    return absl::InvalidArgumentError(
        fmt::format("\"{}\": a message size must be 1B to 4GiB", Escaped(text)));
  }
  return bytes;
}

absl::StatusOr<uint64_t> ParseSegmentSize(std::string_view text) {
  ASSIGN_OR_RETURN(const uint64_t bytes, ParseSize(text));
  if (bytes < kSegmentBytesMin || bytes > kSegmentBytesMax || bytes % kSegmentBytesStep != 0) {
    return absl::InvalidArgumentError(fmt::format(
        "\"{}\": a segment size must be 1MiB to 1GiB, a multiple of 4KiB", Escaped(text)));
  }
  return bytes;
}

absl::StatusOr<absl::Duration> ParsePatience(std::string_view text) {
  ASSIGN_OR_RETURN(const absl::Duration duration, ParseDuration(text));
  if (duration < absl::Seconds(1) || duration > kPatienceMax) {
    return absl::InvalidArgumentError("a timeout of a delivery must be 1s to 1h");
  }
  return duration;
}

absl::StatusOr<absl::Duration> ParseIdleTimeout(std::string_view text) {
  ASSIGN_OR_RETURN(const absl::Duration duration, ParseDuration(text));
  if (duration < absl::Seconds(1) || duration > kIdleTimeoutMax) {
    return absl::InvalidArgumentError(
        fmt::format("\"{}\": an idle timeout must be 1s to 24h", Escaped(text)));
  }
  return duration;
}

// Only what a reply path needs: something before the last @, a domain behind it.
absl::StatusOr<std::string> ParseMailbox(std::string_view text) {
  const size_t at = text.rfind('@');
  const auto is_bad = [](char character) {
    return character <= ' ' || character == 0x7f || character == '<' || character == '>';
  };
  if (at == std::string_view::npos || at == 0 || std::any_of(text.begin(), text.end(), is_bad) ||
      !ParseDomainName(text.substr(at + 1)).ok()) {
    return absl::InvalidArgumentError(fmt::format(
        "\"{}\" is not a mail address (write \"postmaster@example.com\")", Escaped(text)));
  }
  return std::string(text);
}

enum class ClientCheck : uint8_t { kReverseDns, kHelo };

absl::StatusOr<ClientCheck> ParseClientCheck(std::string_view text) {
  if (text == "reverse_dns") {
    return ClientCheck::kReverseDns;
  }
  if (text == "helo") {
    return ClientCheck::kHelo;
  }
  return absl::InvalidArgumentError(
      fmt::format("\"{}\" is not a value of smtp.client_checks (it is one of \"reverse_dns\", "
                  "\"helo\")",
                  Escaped(text)));
}

absl::StatusOr<std::optional<Account>> ParseUser(std::string_view text) {
  ASSIGN_OR_RETURN(Account account, FindAccount(std::string(text)));
  return std::optional(std::move(account));
}

absl::StatusOr<std::string> ParseSocketPath(std::string_view text) {
  if (text.size() > kSocketPathBytesMax) {
    return absl::InvalidArgumentError(fmt::format("a socket's path may have {} bytes, this has {}",
                                                  kSocketPathBytesMax, text.size()));
  }
  return ParsePath(text);
}

absl::StatusOr<std::optional<SocketAddress>> ParseAdminListen(std::string_view text) {
  std::optional<SocketAddress> address;
  if (!text.empty()) {
    ASSIGN_OR_RETURN(address, ParseListenAddress(text));
  }
  return address;
}

absl::StatusOr<DsnConfig> ParseDsnRoute(std::string_view text) {
  DsnConfig dsn;
  if (text == "off") {
    dsn.way = DsnConfig::Way::kOff;
  } else if (text != "mx") {
    dsn.way = DsnConfig::Way::kHost;
    ASSIGN_OR_RETURN(dsn.host, ParseHostPort(text));
  }
  return dsn;
}

void ReadTop(ConfigSection& top, Config& config) {
  top.Read("hostname", "a host name in quotes", &ParseDomainName, config.hostname);
  top.Read("postmaster", "a mail address in quotes", &ParseMailbox, config.postmaster);
  top.Read("user", "a user name in quotes", &ParseUser, config.user);
  ConfigSection server = top.Section("server");
  server.ReadNumber("node_id", {0, 65535}, config.node_id);
  server.ReportUnknownKeys();
}

// Mail for a bare Postmaster that no primary takes would be kept for ever.
void CheckPostmaster(ConfigSection& top, const Config& config) {
  const std::string domain =
      absl::AsciiStrToLower(config.postmaster.substr(config.postmaster.rfind('@') + 1));
  const bool is_ours = std::any_of(config.domains.begin(), config.domains.end(),
                                   [&](const DomainConfig& ours) { return ours.name == domain; });
  if (!config.postmaster.empty() && !is_ours) {
    top.Error("postmaster", fmt::format("postmaster is in {}, which is no [[domain]]: its mail "
                                        "would go nowhere",
                                        Escaped(domain)));
  }
}

// All addresses of the family, at the same port: there is no room beside it. A listener of IPv6
// takes no IPv4.
bool CoversAddress(const SocketAddress& all, const SocketAddress& one) {
  const SocketAddress any =
      all.is_v6() ? SocketAddress::V6({}, one.port()) : SocketAddress::V4({}, one.port());
  return all == any && one.is_v6() == all.is_v6() && one != all;
}

void CheckCovered(ConfigSection& section, const std::vector<SocketAddress>& listen) {
  for (const SocketAddress& all : listen) {
    for (const SocketAddress& one : listen) {
      if (CoversAddress(all, one)) {
        section.Error("listen", fmt::format("smtp.listen names {} and {}, which is one of its "
                                            "addresses: remove one of the two",
                                            all.ToString(), one.ToString()));
      }
    }
  }
}

void ReadListen(ConfigSection& section, SmtpConfig& smtp) {
  smtp.listen = {SocketAddress::V4({}, 25), SocketAddress::V6({}, 25)};
  if (!section.ReadList("listen", kAddressesWanted, &ParseListenAddress, smtp.listen)) {
    return;
  }
  if (smtp.listen.empty()) {
    section.Error("listen", "smtp.listen must name at least one address");
  }
  for (auto address = smtp.listen.begin(); address != smtp.listen.end(); ++address) {
    if (std::find(smtp.listen.begin(), address, *address) != address) {
      section.Error("listen", fmt::format("smtp.listen names {} twice", address->ToString()));
    }
  }
  CheckCovered(section, smtp.listen);
}

void ReadClientLists(ConfigSection& section, SmtpConfig& smtp) {
  const auto read = [&](std::string_view key, std::vector<Network>& networks) {
    section.ReadList(key, kNetworksWanted, &Network::Parse, networks);
  };
  read("proxy_protocol_from", smtp.proxy_protocol_from);
  read("xclient_from", smtp.xclient_from);
  read("etrn_from", smtp.etrn_from);
  section.ReadList("dnsbl", "an array of lists, such as [\"zen.example:3\"]", &ParseBlockList,
                   smtp.dnsbl);
  section.ReadNumber("dnsbl_threshold", {1, 1'000'000}, smtp.dnsbl_threshold);
}

void ReadClientChecks(ConfigSection& section, SmtpConfig& smtp) {
  std::vector<ClientCheck> checks;
  section.ReadList("client_checks", "an array of names, such as [\"reverse_dns\", \"helo\"]",
                   &ParseClientCheck, checks);
  for (const ClientCheck check : checks) {
    switch (check) {
      case ClientCheck::kReverseDns:
        smtp.client_checks.reverse_dns = true;
        break;
      case ClientCheck::kHelo:
        smtp.client_checks.helo = true;
        break;
    }
  }
}

void ReadSmtp(ConfigSection section, SmtpConfig& smtp) {
  ReadListen(section, smtp);
  section.ReadNumber("shards", {0, kShardsMax}, smtp.shards);
  section.Read("max_message_size", kSizeWanted, &ParseMessageSize, smtp.message_bytes_max);
  section.ReadNumber("max_recipients", {1, kRecipientsMax}, smtp.recipients_max);
  section.ReadNumber("max_connections", {1, kConnectionsMax}, smtp.connections_max);
  section.ReadNumber("max_connections_per_client", {1, kConnectionsMax},
                     smtp.connections_per_client_max);
  section.Read("idle_timeout", kDurationWanted, &ParseIdleTimeout, smtp.idle_timeout);
  section.ReadChoice("line_endings", {{"reject", false}, {"normalize", true}},
                     smtp.normalize_line_endings);
  ReadClientLists(section, smtp);
  ReadClientChecks(section, smtp);
  section.ReportUnknownKeys();
}

struct FilePair {
  std::string_view certificate;
  std::string_view key;
};

// Two files that only mean something together.
void ReadFilePair(ConfigSection& section, FilePair keys, std::string& certificate,
                  std::string& key) {
  const auto read = [&](std::string_view name, std::string& target) {
    const ConfigNode* node = section.Find(name);
    const bool is_off =
        node == nullptr || (node->type == ConfigNode::Type::kString && node->text.empty());
    const bool is_read = !is_off && section.Read(name, kFileWanted, &ParsePath, target);
    if (is_read) {
      section.NamesFile(name, target);
    }
    return is_read;
  };
  const bool has_certificate = read(keys.certificate, certificate);
  const bool has_key = read(keys.key, key);
  if (has_certificate != has_key) {
    section.Error(has_certificate ? keys.certificate : keys.key,
                  fmt::format("{} and {} are needed together", section.PathOf(keys.certificate),
                              section.PathOf(keys.key)));
  }
}

// One or several, in order; an empty list when the key is not there or empty. Nothing: reported.
std::optional<std::vector<std::string>> ReadFiles(ConfigSection& section, std::string_view key) {
  std::vector<std::string> files;
  const ConfigNode* node = section.Find(key);
  if (node == nullptr || (node->type == ConfigNode::Type::kString && node->text.empty())) {
    return files;
  }
  bool taken = false;
  if (node->type == ConfigNode::Type::kArray) {
    taken = section.ReadList(key, kFilesWanted, &ParsePath, files);
  } else {
    taken = section.Read(key, kFilesWanted, &ParsePath, files.emplace_back());
  }
  if (!taken) {
    return std::nullopt;
  }
  for (size_t index = 0; index < files.size(); ++index) {
    section.NamesFile(key, files[index], index);
  }
  return files;
}

void PairFiles(ConfigSection& section, const std::vector<std::string>& certificates,
               const std::vector<std::string>& keys, TlsConfig& tls) {
  if (certificates.empty() != keys.empty()) {
    section.Error(keys.empty() ? "certificate" : "private_key",
                  "tls.certificate and tls.private_key are needed together");
    return;
  }
  if (certificates.size() != keys.size()) {
    section.Error("private_key",
                  fmt::format("tls.private_key names {} files and tls.certificate {}: each "
                              "certificate needs its key, at the same place of the array",
                              keys.size(), certificates.size()));
    return;
  }
  for (size_t index = 0; index < keys.size(); ++index) {
    tls.certificates.push_back({certificates[index], keys[index]});
  }
}

void ReadTls(ConfigSection section, TlsConfig& tls) {
  const auto certificates = ReadFiles(section, "certificate");
  const auto keys = ReadFiles(section, "private_key");
  if (certificates.has_value() && keys.has_value()) {
    PairFiles(section, *certificates, *keys, tls);
  }
  section.ReportUnknownKeys();
}

void ReadSpool(ConfigSection section, SpoolConfig& spool) {
  section.Read("directory", "a directory name in quotes", &ParsePath, spool.directory);
  section.Read("segment_size", kSizeWanted, &ParseSegmentSize, spool.segment_bytes);
  section.Read("reserve", kSizeWanted, &ParseSize, spool.reserve_bytes);
  section.ReportUnknownKeys();
}

void ReadDelivery(ConfigSection section, DeliveryConfig& delivery) {
  section.ReadNumber("max_connections_per_primary", {1, 10'000},
                     delivery.connections_per_primary_max);
  section.Read("connect_timeout", kDurationWanted, &ParsePatience, delivery.times.connect);
  section.Read("reply_timeout", kDurationWanted, &ParsePatience, delivery.times.reply);
  section.Read("content_timeout", kDurationWanted, &ParsePatience, delivery.times.content);
  section.Read("final_timeout", kDurationWanted, &ParsePatience, delivery.times.final);
  section.ReadChoice("tls",
                     {{"opportunistic", DeliveryConfig::Tls::kOpportunistic},
                      {"off", DeliveryConfig::Tls::kOff},
                      {"require", DeliveryConfig::Tls::kRequire},
                      {"verify", DeliveryConfig::Tls::kVerify}},
                     delivery.tls);
  ReadFilePair(section, {"client_certificate", "client_key"}, delivery.client_certificate,
               delivery.client_key);
  section.ReportUnknownKeys();
}

void ReadDsn(ConfigSection section, DsnConfig& dsn) {
  section.Read("route", "\"mx\", a host such as \"192.0.2.25:25\", or \"off\"", &ParseDsnRoute,
               dsn);
  section.ReportUnknownKeys();
}

void ReadLog(ConfigSection section, LogConfig& log) {
  section.ReadChoice("format",
                     {{"json", LogConfig::Format::kJson}, {"postfix", LogConfig::Format::kPostfix}},
                     log.format);
  const ConfigNode* file = section.Find("file");
  if (file != nullptr && !(file->type == ConfigNode::Type::kString && file->text.empty())) {
    section.Read("file", kFileWanted, &ParsePath, log.file);
  }
  section.ReportUnknownKeys();
}

void ReadAdmin(ConfigSection section, AdminConfig& admin) {
  section.Read("socket", kFileWanted, &ParseSocketPath, admin.socket);
  admin.listen = SocketAddress::V4({127, 0, 0, 1}, 8025);
  if (section.Read("listen", "an address in quotes, or \"\"", &ParseAdminListen, admin.listen) &&
      admin.listen.has_value()) {
    section.NotYet("listen");
  }
  section.ReportUnknownKeys();
}

}  // namespace

absl::StatusOr<Config> ParseConfig(std::string_view text, std::string_view file_name) {
  ASSIGN_OR_RETURN(const ConfigNode root, ParseConfigDocument(text, file_name));
  ConfigReport report(file_name);
  ConfigSection top(&root, "", report);
  Config config;
  ReadTop(top, config);
  ReadSmtp(top.Section("smtp"), config.smtp);
  ReadTls(top.Section("tls"), config.tls);
  ReadSpool(top.Section("spool"), config.spool);
  const RetryLayer retry = ReadRetry(top.Section("retry"), RetryLayer{});
  config.retry = retry.effective;
  ReadDelivery(top.Section("delivery"), config.delivery);
  ReadDsn(top.Section("dsn"), config.dsn);
  ReadLog(top.Section("log"), config.log);
  ReadAdmin(top.Section("admin"), config.admin);
  config.domains = ReadDomains(top, retry, config.smtp.listen);
  CheckPostmaster(top, config);
  top.ReportUnknownKeys();
  RETURN_IF_ERROR(report.ToStatus());
  config.notices = report.Notices();
  config.files = report.files();
  return config;
}

absl::StatusOr<Config> LoadConfig(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string text, ReadTextFile(path, kFileBytesMax));
  return ParseConfig(text, path);
}

}  // namespace backstay
