// core/control/reply.cc -- rows to JSON.
#include "core/control/reply.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/time/time.h"
#include "core/base/check.h"

namespace backstay {
namespace {

using OrderedJson = nlohmann::ordered_json;

// ASCII: some tools print a line of ours as it is, and text of strangers may mislead who reads it.
std::string Line(const OrderedJson& json) {
  return json.dump(-1, ' ', /*ensure_ascii=*/true, OrderedJson::error_handler_t::replace) + "\n";
}

std::string_view NameOf(AdminResult result) {
  switch (result) {
    case AdminResult::kOk:
      return "ok";
    case AdminResult::kUsage:
      return "usage";
    case AdminResult::kUnknown:
      return "unknown";
    case AdminResult::kNotStored:
      return "not-stored";
    case AdminResult::kBusy:
      return "busy";
    case AdminResult::kDenied:
      return "denied";
    case AdminResult::kFailed:
      return "failed";
  }
  UNREACHABLE();
}

std::string IsoTime(WallTime time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", absl::FromUnixNanos(time.nanoseconds()),
                          absl::UTCTimeZone());
}

OrderedJson IsoTime(const std::optional<WallTime>& time) {
  return time.has_value() ? OrderedJson(IsoTime(*time)) : OrderedJson(nullptr);
}

// Seconds; null when nothing waits.
OrderedJson OldestOf(const DomainRow& row) {
  return row.queued > 0 ? OrderedJson(absl::ToInt64Seconds(row.oldest)) : OrderedJson(nullptr);
}

// Seconds, none of them over; null when nothing is to come.
OrderedJson NextIn(const DomainRow& row) {
  if (row.next.kind == NextEvent::Kind::kNone) {
    return nullptr;
  }
  const absl::Duration left = std::max(row.next.at - row.asked, absl::ZeroDuration());
  return absl::ToInt64Seconds(absl::Ceil(left, absl::Seconds(1)));
}

// accepted + generated = delivered + bounced + discarded + quarantined + queued.
OrderedJson LedgerOf(const DomainAccount& account) {
  return {{"accepted", account.accepted},   {"generated", account.generated},
          {"delivered", account.delivered}, {"bounced", account.bounced},
          {"discarded", account.discarded}, {"quarantined", account.quarantined},
          {"queued", account.owed()}};
}

// To a tenth.
double PerSecond(uint64_t count, absl::Duration time) {
  const int64_t milliseconds = absl::ToInt64Milliseconds(time);
  const uint64_t tenths =
      milliseconds > 0 ? count * 10'000 / static_cast<uint64_t>(milliseconds) : 0;
  return static_cast<double>(tenths) / 10;
}

// The message's state is that of the recipient which is nearest to being delivered.
std::string_view StateOf(const MessageRow& row) {
  RecipientRow::State state = RecipientRow::State::kPending;
  for (const RecipientRow& recipient : row.recipients) {
    state = std::min(state, recipient.state);
  }
  return row.recipients.empty() ? "unreadable" : NameOf(state);
}

}  // namespace

std::string ResultLine(AdminResult result, std::string_view message) {
  return Line({{"result", NameOf(result)}, {"message", message}});
}

std::string ReportLine(bool is_queue_ready) {
  return ResultLine(AdminResult::kOk,
                    is_queue_ready ? "" : "the spool is still being read: older mail is missing");
}

std::string CountLine(const OrderCount& count, std::string_view message) {
  OrderedJson line = {{"result", NameOf(AdminResult::kOk)}, {"recipients", count.recipients}};
  if (count.reports > 0) {
    line["reports"] = count.reports;
  }
  if (!message.empty()) {
    line["message"] = std::string(message);
  }
  return Line(line);
}

std::string InWords(const OrderCount& count) {
  std::string words = fmt::format("{} recipients", count.recipients);
  if (count.reports > 0) {
    words += fmt::format(" and {} reports that were owed", count.reports);
  }
  return words;
}

std::string DaemonLine(const DaemonRow& row) {
  const ShardTotals& totals = row.totals;
  return Line({{"kind", "daemon"},
               {"ready", totals.is_queue_ready},
               {"shards", row.shards},
               {"uptime", absl::ToInt64Seconds(row.uptime)},
               {"queued", totals.spool.recipients_live},
               {"messages", totals.spool.messages_live},
               {"dsn_pending", totals.spool.recipients_dsn_pending},
               {"quarantined", totals.spool.recipients_quarantined},
               {"accepted", totals.counters.messages_stored},
               {"refused", totals.counters.messages_refused},
               {"delivered", totals.routes.delivered},
               {"deferred", totals.routes.deferred},
               {"failed", totals.routes.failed},
               {"discarded", totals.routes.discarded},
               {"ledger", LedgerOf(totals.account)},
               {"ledger_since", IsoTime(totals.accounts_since)},
               {"rate_seconds", absl::ToInt64Seconds(row.sampled)},
               {"accepted_per_second", PerSecond(row.taken, row.sampled)},
               {"delivered_per_second", PerSecond(row.handed_on, row.sampled)},
               {"segments_unreadable", totals.spool.segments_unreadable},
               {"damaged_places", totals.spool.damaged_records},
               {"shards_under_stress", totals.shards_under_stress}});
}

std::string DomainLine(std::string_view name, const DomainRow& row) {
  OrderedJson outages = OrderedJson::array();
  for (const Outage& outage : row.outages) {
    outages.push_back(
        {{"since", IsoTime(outage.since)},
         {"until", outage.lasts() ? OrderedJson() : OrderedJson(IsoTime(outage.until))},
         {"reason", outage.reason}});
  }
  return Line({{"domain", name},
               {"state", NameOf(row.state)},
               {"reason", row.reason},
               {"queued", row.queued},
               {"oldest", OldestOf(row)},
               {"held", row.held},
               {"primary", row.destination},
               {"outages", std::move(outages)},
               {"expires", IsoTime(row.expires)},
               {"ledger", LedgerOf(row.account)},
               {"addresses", row.addresses}});
}

std::string PrimaryLine(std::string_view name, const DomainRow& row, size_t domains) {
  return Line({{"kind", "primary"},
               {"primary", name},
               {"state", NameOf(row.state)},
               {"reason", row.reason},
               {"domains", domains},
               {"queued", row.queued},
               {"oldest", OldestOf(row)},
               {"held", row.held},
               {"expires", IsoTime(row.expires)},
               {"next", NameOf(row.next.kind)},
               {"next_in", NextIn(row)}});
}

std::string MessageLine(const MessageRow& row) {
  OrderedJson recipients = OrderedJson::array();
  for (const RecipientRow& recipient : row.recipients) {
    OrderedJson item = {
        {"address", recipient.address},
        {"state", NameOf(recipient.state)},
        {"reason", recipient.reason},
        {"attempts", recipient.attempts},
        {"retries", recipient.retries},
        {"max_retries", recipient.max_retries.has_value() ? OrderedJson(*recipient.max_retries)
                                                          : OrderedJson(nullptr)},
        {"next_try", IsoTime(recipient.next_try)},
        {"expires", IsoTime(recipient.expires)}};
    if (recipient.is_elsewhere) {
      item["elsewhere"] = true;
    }
    recipients.push_back(std::move(item));
  }
  return Line({{"queue_id", row.queue_id},
               {"arrival", IsoTime(row.arrival)},
               {"bytes", row.bytes},
               {"state", StateOf(row)},
               {"sender", row.sender},
               {"recipients", recipients}});
}

std::string KnownLine(const KnownRow& row) {
  return Line(
      {{"address", row.address},
       {"state", row.state},
       {"since", row.state == "unknown" ? OrderedJson() : OrderedJson(IsoTime(row.since))}});
}

std::string KnownCountLine(std::string_view domain, const RecipientCounts& counts) {
  return Line({{"domain", domain},
               {"known", counts.positive},
               {"refused", counts.negative},
               {"bytes", counts.bytes}});
}

}  // namespace backstay
