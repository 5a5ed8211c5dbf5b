// tests/support/sim_daemon.h -- a whole daemon in the simulated world: spool directory, shards,
// turns.
//
// What core/main.cc and Engine do with threads and the kernel, in one thread on one simulated host.
// Every shard has an Io of its own and is driven by the world; crash and restart at any event.
//
// Life:     Start() ... Stop() or Crash(), then Start() again. A start under faults may fail, at
//           once or later (status()); then Crash() and start again, as a service manager would.
// Owns:     shards, Ios, snapshots. The disk belongs to the host and survives.
// Outlives: `world` and `host` outlive it.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "core/shard/inbox.h"
#include "core/shard/rule_desk.h"
#include "core/shard/shard.h"
#include "core/shard/snapshot.h"
#include "io/sim/world.h"
#include "spool/spool_directory.h"

namespace backstay {

class SimDaemon {
 public:
  // The configuration's spool.directory is a path on the host's disk; smtp.shards 0 means 1.
  SimDaemon(World& world, Host& host, std::string config_toml);
  ~SimDaemon();  // running: as after a kill
  SimDaemon(const SimDaemon&) = delete;
  SimDaemon& operator=(const SimDaemon&) = delete;

  absl::Status Start();
  // Start, then time passes until every shard serves.
  absl::Status StartAndServe(absl::Duration at_most = absl::Minutes(1));
  // The host's processes end, its disk keeps what `mode` says. Also legal when nothing runs.
  void Crash(CrashMode mode);
  absl::Status Restart() { return Start(); }
  // SIGTERM: drains, closes the spool, ends. False, still running: it took longer, or a crash is
  // due.
  bool Stop(absl::Duration at_most = absl::Minutes(2));
  // `backstay reload` with this file. Not OK: refused, nothing changed.
  absl::Status Reload(std::string config_toml, bool is_forced = false);

  // The operator's rule to all shards; waits until each has answered. Nothing: not in time.
  std::optional<RuleOutcome> ApplyRule(RuleVerb verb, std::vector<std::string> domains = {});
  std::optional<RuleOutcome> ApplyRule(Rule rule);

  // The operator's desk; Poll() it while the world runs.
  RuleDesk& desk() { return *desk_; }

  bool running() const { return !runners_.empty(); }
  bool serving() const;         // every shard takes mail and knows its queue
  bool finished() const;        // every shard: drained, or failed (status())
  absl::Status status() const;  // of the first shard that failed
  bool quiet() const;           // every shard; true when nothing runs

  size_t shards() const { return runners_.size(); }
  Shard& shard(size_t index);
  const Snapshot& snapshot() const { return *snapshot_; }
  const std::string& config() const { return config_; }
  Host& host() { return host_; }

  // Sums over the shards of this run.
  SpoolStats stats() const;
  DomainAccount account() const;  // of all domains, over all runs
  ShardCounters counters() const;
  RouteCounters route_counters() const;
  size_t connections() const;  // to primaries, deliveries only

 private:
  class Runner;
  void TearDown();
  void PostToAll(ShardMessage message);

  World& world_;
  Host& host_;
  std::string config_;
  std::unique_ptr<const Snapshot> snapshot_;
  std::unique_ptr<Io> directory_io_;  // holds the lock and the shard directories
  std::unique_ptr<SpoolDirectory> directory_;
  std::unique_ptr<PostOffice> post_;
  std::unique_ptr<SharedCounts> shared_;
  std::unique_ptr<RuleDesk> desk_;
  std::vector<std::unique_ptr<Runner>> runners_;
};

}  // namespace backstay
