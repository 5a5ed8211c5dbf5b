// tests/sim/scenarios/scenario.h -- a fixed story: one daemon, one primary, one well-behaved
// client.
//
// Every scenario ends with the ledger: what was acknowledged is delivered, refused for good, or
// named as still queued by the test.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "tests/sim/client.h"
#include "tests/sim/ledger.h"
#include "tests/sim/plan.h"
#include "tests/sim/primary.h"
#include "tests/support/sim_daemon.h"

namespace backstay {

class Scenario {
 public:
  struct Options {
    uint64_t seed = 1;
    size_t shards = 1;
    size_t connections = 20;  // to a primary
    uint64_t segment_bytes = 1024 * 1024;
    std::string smtp;   // lines for [smtp]
    std::string retry;  // lines for [retry]
    FaultPlan faults = FaultPlan::None();
    bool pipelined = false;
    bool start = true;
    StoryDomain::Way way = StoryDomain::Way::kAddresses;
    std::string allowed_networks;  // of the domains, as TOML
    std::string domain;            // lines for each [[domain]]
    ReportWay reports = ReportWay::kOff;
  };
  Scenario() : Scenario(Options()) {}
  explicit Scenario(const Options& options);
  ~Scenario();

  // Offers it and waits for the verdict: the last reply's code.
  int Send(Message message);
  // One message to one recipient with a number of its own; returns the recipient.
  std::string SendOne(std::string_view local_part = "user");
  // A message on a connection of its own, whatever becomes of it: on a shard of chance.
  // Returns the recipient.
  std::string OfferOne();
  // Offers `count` messages of `content_bytes` and waits until the client is done.
  void SendMany(size_t count, size_t content_bytes = 200);
  void PrimaryDown();
  void PrimaryUp();
  // It answers, and defers every recipient; false: it takes all again.
  void PrimaryBusy(bool is_busy);
  void RunFor(absl::Duration duration) { world.RunFor(duration); }
  bool RunUntil(absl::FunctionRef<bool()> done, absl::Duration at_most) {
    return world.RunUntil(done, at_most);
  }
  bool Drain(absl::Duration at_most);
  // Of the first domain, as the operator sees it; empty: where its primary is is known.
  std::string Standing();
  void Crash(CrashMode mode);
  void Restart();
  uint64_t live() const { return daemon.stats().recipients_live; }
  uint64_t pending() const { return daemon.stats().recipients_dsn_pending; }
  std::string Recipient(std::string_view local_part);

  StoryPlan plan;
  World world;
  Ledger ledger;
  DnsZone zone;
  Host& host;
  Host& primary_host;
  Host& client_host;
  Host& report_host;
  SimDaemon daemon;
  SimPrimary primary;
  SimPrimary smart_host;  // of reports; or the host of senders, if they go by MX
  SimClient client;

 private:
  uint64_t number_ = 0;
};

}  // namespace backstay
