// core/shard/snapshot.h -- one configuration in force: checked, resolved, immutable.
//
// A reload makes a new one; shards switch by one pointer each (Engine::Reload).
// Errors: absl::Status with file:line:column from the configuration; of a file that it names also
//         the key, that file, and its line if it is a recipient file's.
// Turn:   reads files; main thread only.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/dns/primary_search.h"
#include "core/queue/admission.h"
#include "core/queue/relay_policy.h"
#include "core/queue/retry_policy.h"
#include "core/shard/config.h"
#include "core/smtp/server_session.h"
#include "io/tls/context.h"

namespace backstay {

// Domains with the same primary list, and the same limits on it, share one destination.
struct DestinationPlan {
  uint64_t key = 0;  // of the list: the same after a reload that leaves the list alone
  std::string name;  // the list as text, for logs
  PrimaryList list;
  std::vector<Network> allowed_networks;  // none: no limit
};

// The same in every shard and run.
uint64_t DomainKey(std::string_view name);

struct DomainPlan {
  std::string name;
  uint64_t key = 0;        // DomainKey(name)
  size_t destination = 0;  // index into Snapshot::destinations
  RetryPolicy retry;
  uint64_t quota_messages = 0;  // that wait, in the whole spool; 0: no limit
  uint64_t quota_bytes = 0;
  bool verifies = false;  // its recipients are asked of the primary
  bool defers = false;    // while the primary is up, and for `store_after` after that
  absl::Duration store_after;
  size_t listed = 0;                                    // recipients of its file
  bool is_unended = false;                              // the file's last line has no newline
  absl::Duration delay_warning = absl::ZeroDuration();  // zero: none
};

// What the file does not say.
struct Machine {
  std::string hostname = {};    // when none is configured; empty: what it calls itself
  size_t files_max = SIZE_MAX;  // that this process may have open
};

struct Snapshot {
  Config config;
  std::string hostname;        // config.hostname, or the machine's own
  size_t connections_max = 0;  // config.smtp.connections_max, or what the files leave
  RelayPolicy relay;
  ServerParams server;
  std::unique_ptr<const TlsContext> tls;         // null: STARTTLS is not offered
  std::unique_ptr<const TlsContext> client_tls;  // null: never towards a primary
  std::vector<DestinationPlan> destinations;
  std::vector<DomainPlan> domains;  // sorted by name
  // To senders who are none of ours. None: failed mail is kept.
  std::optional<DomainPlan> reports;
  bool reports_by_mx = false;  // each to its sender's domain: `reports` has no destination
  absl::TimeZone time_zone = absl::UTCTimeZone();  // of the log's lines that Postfix would write

  // Null: not one of ours (any more).
  const DomainPlan* FindDomain(std::string_view name) const;
  AdmissionLimits AdmissionLimitsOf(size_t shards) const;
  // What a running daemon cannot change: the spool, the number of shards, listeners. Nor can it
  // take more connections than it has counters for. Unless it is forced, it keeps a recipient list
  // rather than take what looks like the beginning of one.
  absl::Status CanReplace(const Snapshot& running, bool is_forced = false) const;
};

// Reads `path` and the files that it names: recipients, certificates. What is odd about them, or
// about our name, is added to the notices of the configuration.
absl::StatusOr<std::unique_ptr<const Snapshot>> LoadSnapshot(const std::string& path,
                                                             const Machine& machine);
// For tests: of a machine that is called "localhost" and may be.
absl::StatusOr<std::unique_ptr<const Snapshot>> ParseSnapshot(std::string_view text,
                                                              const std::string& file_name);

}  // namespace backstay
