// core/control/reply.h -- what the daemon answers: rows, one JSON object a line, then one with
// `result`.
//
// Names and order of the members are stable: programs read them. Text that is not UTF-8 has U+FFFD
// in its place. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/control/domain_report.h"
#include "core/control/message_row.h"
#include "core/shard/recipient_store.h"

namespace backstay {

enum class AdminResult : uint8_t {
  kOk,
  kUsage,      // the request is none
  kUnknown,    // nothing of that name
  kNotStored,  // in force, and the disk of a shard does not take it
  kBusy,       // the daemon is ending, or has too many clients
  kDenied,
  kFailed  // a reload was refused
};

std::string ResultLine(AdminResult result, std::string_view message);
// kOk, of a report; what a start has not read yet is not in it, and that is said.
std::string ReportLine(bool is_queue_ready);
// What an order speaks for.
struct OrderCount {
  uint64_t recipients = 0;
  uint64_t reports = 0;  // of a delete: that were owed of other recipients, and end with it
};
// kOk. `message`: what was not done; empty: all was.
std::string CountLine(const OrderCount& count, std::string_view message = "");
std::string InWords(const OrderCount& count);  // for the operator's log

// Of all shards, since start; rates over the time since the last sample.
struct DaemonRow {
  ShardTotals totals;
  absl::Duration uptime;
  absl::Duration sampled;  // the rates are over this long
  uint64_t taken = 0;      // messages, in that time
  uint64_t handed_on = 0;  // recipients, in that time
  uint64_t shards = 0;
};
std::string DaemonLine(const DaemonRow& row);
// `name`: the domain, or the primary list with the sums of its domains.
std::string DomainLine(std::string_view name, const DomainRow& row);
std::string PrimaryLine(std::string_view name, const DomainRow& row, size_t domains);
std::string MessageLine(const MessageRow& row);
// What is known of one address.
struct KnownRow {
  std::string address;
  std::string_view state = "unknown";  // or "known", "refused"
  WallTime since;                      // of the primary's answer
};
std::string KnownLine(const KnownRow& row);
// `domain` empty: all that no configured domain accounts for, and the memory of all.
std::string KnownCountLine(std::string_view domain, const RecipientCounts& counts);

}  // namespace backstay
