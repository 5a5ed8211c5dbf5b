// core/shard/config.h -- the configuration: one TOML file, checked as a whole, then immutable.
//
// Every key of the schema is accepted and checked from the first version on. A key whose feature
// does not exist yet is named in `notices` when it asks for something, so that nothing is ignored
// silently.
// Owns:   values only: a Config may be copied, and lives as a snapshot that nobody changes.
// Errors: absl::Status whose message has one line per mistake, in the order of the file:
//         "file:line:column: reason (nearest known key: ...)". All mistakes, not only the first.
// Units:  sizes in bytes (uint64_t), times as absl::Duration.
// See:    core/OPERATING.md "Configuration".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/base/units.h"
#include "core/dns/host_port.h"
#include "core/queue/retry_policy.h"
#include "core/shard/network.h"
#include "io/account.h"
#include "io/socket_address.h"
#include "io/tls/certificate.h"

namespace backstay {

// What happens to mail that cannot be delivered for long. A domain's own keys are already merged
// in.
struct RetryConfig {
  RetryPolicy policy = RetryPolicy::Default();
  absl::Duration delay_warning = absl::ZeroDuration();  // zero: none
};

struct DomainConfig {
  enum class Recipients : uint8_t { kAny, kNone, kFile, kVerify };
  enum class WhenPrimaryUp : uint8_t { kRelay, kDefer };
  std::string name;               // lower case
  bool primary_by_mx = false;     // primary = "mx"; then `primary` is empty
  std::vector<HostPort> primary;  // in order
  std::vector<Network> allowed_networks;
  Recipients recipients = Recipients::kAny;
  std::string recipients_path;  // kFile: one address a line; loading it is the caller's
  WhenPrimaryUp when_primary_up = WhenPrimaryUp::kRelay;
  absl::Duration store_after = absl::ZeroDuration();
  uint64_t quota_bytes = 0;     // 0: none
  uint64_t quota_messages = 0;  // 0: none
  RetryConfig retry;
};

struct SmtpConfig {
  std::vector<SocketAddress> listen;
  uint16_t shards = 0;  // 0: one per core
  uint64_t message_bytes_max = 50_MiB;
  uint32_t recipients_max = 1000;
  uint32_t connections_max = 100000;
  uint32_t connections_per_client_max = 50;  // per IPv4 address or IPv6 /64
  absl::Duration idle_timeout = absl::Minutes(5);
  bool normalize_line_endings = false;
  std::vector<Network> proxy_protocol_from;
  std::vector<Network> xclient_from;
  std::vector<Network> etrn_from;
  struct BlockList {
    std::string zone;
    int weight = 1;
  };
  std::vector<BlockList> dnsbl;
  int dnsbl_threshold = 1;
  struct ClientChecks {
    bool reverse_dns = false;  // its address has a name that points back
    bool helo = false;         // it calls itself by a full name
  };
  ClientChecks client_checks;
};

struct TlsConfig {
  std::vector<TlsFiles> certificates;  // none: STARTTLS is not offered
};

struct SpoolConfig {
  std::string directory = "/var/lib/backstay";
  uint64_t segment_bytes = 256_MiB;
  uint64_t reserve_bytes = 1_GiB;
};

// How long a primary may take. RFC 5321 s4.5.3.2, the least that a client must wait; but a host
// that does not answer SYN is down (DESIGN 6), long before TCP gives up.
struct DeliveryTimes {
  absl::Duration connect = absl::Seconds(5);
  absl::Duration reply = absl::Minutes(5);    // to anything but the end of data
  absl::Duration content = absl::Minutes(3);  // until a block of it was taken
  absl::Duration final = absl::Minutes(10);   // the reply to the end of data
};

struct DeliveryConfig {
  enum class Tls : uint8_t { kOpportunistic, kOff, kRequire, kVerify };
  uint32_t connections_per_primary_max = 20;
  DeliveryTimes times;
  Tls tls = Tls::kOpportunistic;
  std::string client_certificate;  // both or neither
  std::string client_key;
};

struct DsnConfig {
  enum class Way : uint8_t {
    kMx,    // to the MX hosts of the reverse-path's domain
    kHost,  // all by one host
    kOff    // nobody is told: failed mail is kept
  };
  Way way = Way::kMx;
  HostPort host;  // kHost
};

struct LogConfig {
  enum class Format : uint8_t { kJson, kPostfix };
  Format format = Format::kJson;
  std::string file;  // empty: stderr
};

struct AdminConfig {
  std::string socket = "/run/backstay/admin.sock";
  std::optional<SocketAddress> listen;  // none: off
};

struct Config {
  std::string hostname;         // empty: not configured, the daemon takes the machine's own name
  std::string postmaster;       // empty: postmaster of the first domain
  std::optional<Account> user;  // whom a start by root becomes; nothing: stay who we are
  uint16_t node_id = 0;         // 0: derived
  SmtpConfig smtp;
  TlsConfig tls;
  SpoolConfig spool;
  RetryConfig retry;  // the defaults of the domains
  DeliveryConfig delivery;
  DsnConfig dsn;
  LogConfig log;
  AdminConfig admin;
  std::vector<DomainConfig> domains;  // at least one, names distinct
  std::vector<std::string> notices;   // "file:line:column: not in effect yet: ...", and oddities
  // By the path of a file to be read: where it is named first, "file:line:column: tls.certificate".
  absl::btree_map<std::string, std::string> files;
};

// `file_name` only stands in messages.
absl::StatusOr<Config> ParseConfig(std::string_view text, std::string_view file_name);

// Reads `path` and parses it. kNotFound, kPermissionDenied or kUnavailable when it cannot be read.
absl::StatusOr<Config> LoadConfig(const std::string& path);

}  // namespace backstay
