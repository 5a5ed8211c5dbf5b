// tests/sim/plan.h -- everything a simulated story is made of, drawn from one seed and printable.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/random.h"
#include "io/sim/world.h"
#include "tests/sim/client.h"
#include "tests/sim/primary.h"
#include "tests/support/dns_zone.h"

namespace backstay {

// Something that happens to the stage at a fixed time.
struct StageEvent {
  enum class Kind : uint8_t {
    kCloseListener,  // of primary `index`, and every connection is cut
    kOpenListener,
    kHostDown,
    kHostUp,
    kCut,  // daemon and primary cannot reach each other
    kUncut,
    kCrash,   // of the daemon's host
    kStop,    // orderly; the daemon is started again
    kReload,  // `index`: number of a domain to leave out; the number of domains: none
    kDamage,  // a bit of a segment file flips
    kDns      // every resolver is in mood `index` from now on
  };
  absl::Duration at;
  Kind kind;
  size_t index = 0;
  CrashMode mode = CrashMode::kRandom;
};

struct StoryDomain {
  enum class Way : uint8_t { kAddresses, kNames, kMx };
  std::string name;
  std::vector<size_t> primaries;  // in order
  Way way = Way::kAddresses;      // how the configuration names them
};

// How senders are told of failures.
enum class ReportWay : uint8_t {
  kOff,   // they are not: what is owed to them stays
  kHost,  // a smart host takes them all
  kMx     // each domain has MX hosts of its own, or none
};

struct StoryPlan {
  uint64_t seed = 0;
  FaultPlan faults;
  size_t shards = 1;
  size_t primaries = 1;
  std::vector<StoryDomain> domains;
  uint64_t segment_bytes = 1024 * 1024;
  uint64_t disk_bytes = 0;  // during the safety phase; 0: plenty
  size_t connections_per_primary = 20;
  std::string smtp;              // lines for [smtp]
  std::string retry;             // lines for [retry]
  std::string allowed_networks;  // of each domain, as TOML; empty: all
  std::string domain_lines;      // for each [[domain]]
  ReportWay reports = ReportWay::kOff;
  size_t clients = 2;
  size_t messages_per_client = 10;
  MessageShape shape;
  ClientManners client_manners;
  PrimaryManners primary_manners;
  absl::Duration span;             // of the safety phase
  std::vector<StageEvent> events;  // by time
  // ---- exhaustive modes; 0: off ----
  uint64_t crash_after_event = 0;
  CrashMode crash_mode = CrashMode::kRandom;
  uint64_t fail_operation = 0;
  IoError fail_error = IoError::kDevice;
  bool fail_from_then_on = false;

  std::string ToString() const;
  std::string Config(size_t domain_left_out) const;
  // Every primary by name, every domain's MX, and the senders' if reports go by them.
  void FillZone(DnsZone& zone) const;
};

// Where reports go: the smart host, or the host of every sender who has one.
constexpr std::string_view kReportHost = "10.9.0.1";
// Nobody is there.
constexpr std::string_view kDeadHost = "10.9.0.2";
// Domains of senders, when reports go by MX. The DNS does not know kNobodyDomain, and says nothing
// at all of kSilentDomain until the story calms down.
constexpr std::string_view kSenderDomain = "sender.example";  // the better of its hosts is dead
constexpr std::string_view kImplicitDomain = "implicit.example";
constexpr std::string_view kAliasDomain = "alias.example";
constexpr std::string_view kNullMxDomain = "null.example";
constexpr std::string_view kOurMxDomain = "ours.example";  // we are its best MX
constexpr std::string_view kSelfDomain = "self.example";   // its host has our address
constexpr std::string_view kNobodyDomain = "nobody.example";
constexpr std::string_view kSilentDomain = "silent.example";

StoryPlan DrawPlan(uint64_t seed);
// A few messages, small and large; the primary is down, then up. Nothing is left to chance.
StoryPlan SmallPlan();

}  // namespace backstay
