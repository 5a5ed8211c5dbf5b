// core/control/domain_report.h -- what one shard knows of itself, its domains and their primaries.
//
// A question (core/shard/question.h): asked again while has_more(), it goes on where it was.
// Units: ages by the spool's clock, which runs while the daemon does and is what expiry counts.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/container/btree_map.h"
#include "core/shard/next_event.h"
#include "core/shard/question.h"

namespace backstay {

struct DomainRow {
  // The worse one counts when shards differ, so the order is that of badness.
  enum class State : uint8_t { kUp, kRamping, kSuspect, kDown, kHeld };
  State state = State::kUp;
  std::string reason;  // of a state that is not kUp
  // The same of the primary alone, whatever was stopped.
  State primary_state = State::kUp;
  std::string primary_reason;
  DomainStop stop = DomainStop::kNone;
  std::string destination;  // the primary list as text; empty: the domain is not configured
  std::vector<std::string> addresses;  // in use, with ports
  uint64_t queued = 0;                 // recipients
  uint64_t held = 0;  // of those, by the operator's rule, or all where the state is kHeld
  absl::Duration oldest = absl::ZeroDuration();
  std::optional<WallTime> expires;  // when the first of it is given up; nothing: never by age
  DomainAccount account;
  Outages outages;
  NextEvent next;  // of the primary, and of this mail's end
  Instant asked;   // from which that is counted
};

std::string_view NameOf(DomainRow::State state);
std::string_view NameOf(DomainStop stop);
std::string_view NameOf(NextEvent::Kind kind);

struct ShardTotals {
  SpoolStats spool;
  RouteCounters routes;
  ShardCounters counters;
  DomainAccount account;  // of all domains
  WallTime accounts_since;
  Instant started;
  Instant now;
  bool is_queue_ready = false;
  size_t shards_under_stress = 0;
};

// By name. Of several shards: one row a domain.
using DomainRows = absl::btree_map<std::string, DomainRow>;
void Merge(const DomainRows& of_shard, DomainRows& all);

class DomainReport final : public ShardQuestion {
 public:
  std::optional<MessageRef> Next(const ShardView& view) override;
  void OnHead(const ShardView& view, MessageRef message, const MessageHead* head) override;

  // Of the last answer only.
  const DomainRows& rows() const { return rows_; }
  const ShardTotals& totals() const { return totals_; }
  bool has_more() const { return has_more_; }

  bool is_new_answer = false;  // the asker's: not merged yet

 private:
  void Add(const ShardView& view, const std::string& name, const DomainPlan* plan);
  void AddStopped(const ShardView& view);

  DomainRows rows_;
  ShardTotals totals_;
  bool has_more_ = false;
  // Configured domains are sorted by name, so a reload between two pieces leaves none out.
  std::string after_;
  bool configured_done_ = false;
  size_t seen_ = 0;  // index into RouteTable::domains(), which only grows
};

}  // namespace backstay
