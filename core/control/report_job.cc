// core/control/report_job.cc -- sums over shards, and over the domains of a primary.
#include "core/control/report_job.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "core/base/log.h"

namespace backstay {
namespace {

using AnswerState = ShardQuestion::State;

// Rates over less are noise, and each status would spoil the next one's.
constexpr absl::Duration kSampleMin = absl::Seconds(10);

void Add(const ShardTotals& more, ShardTotals& sum) {
  sum.spool.recipients_live += more.spool.recipients_live;
  sum.spool.messages_live += more.spool.messages_live;
  sum.spool.recipients_dsn_pending += more.spool.recipients_dsn_pending;
  sum.spool.segments_unreadable += more.spool.segments_unreadable;
  sum.spool.damaged_records += more.spool.damaged_records;
  sum.spool.recipients_quarantined += more.spool.recipients_quarantined;
  sum.counters.messages_stored += more.counters.messages_stored;
  sum.counters.messages_refused += more.counters.messages_refused;
  sum.routes.delivered += more.routes.delivered;
  sum.routes.deferred += more.routes.deferred;
  sum.routes.failed += more.routes.failed;
  sum.routes.discarded += more.routes.discarded;
  sum.account += more.account;
  if (more.accounts_since != WallTime() && sum.accounts_since != WallTime()) {
    sum.accounts_since = std::min(sum.accounts_since, more.accounts_since);
  } else {  // one of them still reads its checkpoint
    sum.accounts_since = std::max(sum.accounts_since, more.accounts_since);
  }
  sum.is_queue_ready = sum.is_queue_ready && more.is_queue_ready;
  sum.shards_under_stress += more.shards_under_stress;
}

}  // namespace

DomainSurvey::Progress DomainSurvey::Step() {
  bool is_done = true;
  for (size_t shard = 0; shard < reports_.size(); ++shard) {
    DomainReport& report = reports_[shard];
    if (report.state == AnswerState::kRefused) {
      return Progress::kRefused;
    }
    if (report.state == AnswerState::kDone && report.is_new_answer) {
      report.is_new_answer = false;
      Merge(report.rows(), rows_);
    }
    if (report.state == AnswerState::kNew ||
        (report.state == AnswerState::kDone && report.has_more())) {
      report.is_new_answer = true;
      desk_.Ask(shard, report);
    }
    is_done = is_done && report.state == AnswerState::kDone;
  }
  return is_done ? Progress::kDone : Progress::kWaiting;
}

std::optional<std::string> DomainSurvey::NameDomains(AdminRequest& request) const {
  for (const std::string& wanted : request.destinations) {
    const auto named = rows_.find(wanted);
    const std::string list = named != rows_.end() ? named->second.destination : std::string();
    bool is_known = false;
    for (const auto& [name, row] : rows_) {
      const bool has_address =
          std::find(row.addresses.begin(), row.addresses.end(), wanted) != row.addresses.end();
      if (!row.destination.empty() &&
          (row.destination == list || row.destination == wanted || has_address)) {
        request.domains.push_back(name);
        is_known = true;
      }
    }
    if (!is_known) {
      return fmt::format("{} is no primary of the configuration, nor a domain of it",
                         Escaped(wanted));
    }
  }
  std::sort(request.domains.begin(), request.domains.end());
  request.domains.erase(std::unique(request.domains.begin(), request.domains.end()),
                        request.domains.end());
  return std::nullopt;
}

// A start shows no slip by its count, which may be 0 with the right name, too.
std::optional<std::string> DomainSurvey::FindUnknown(const AdminRequest& request) const {
  const bool is_go = request.verb == AdminVerb::kGo;
  if (!is_go && !IsOfDomains(request.verb)) {
    return std::nullopt;
  }
  for (const std::string& domain : request.domains) {
    const auto found = rows_.find(domain);
    if (found == rows_.end()) {
      return fmt::format("{} is not configured, and no mail for it is queued", Escaped(domain));
    }
    if (is_go && found->second.destination.empty()) {
      return fmt::format("{} is not configured: there is nowhere to try", Escaped(domain));
    }
  }
  return std::nullopt;
}

std::optional<DomainSurvey::Naming> DomainSurvey::Name(AdminRequest& request) {
  switch (Step()) {
    case Progress::kWaiting:
      return std::nullopt;
    case Progress::kRefused:
      return Naming{AdminResult::kBusy, "the daemon is ending"};
    case Progress::kDone:
      break;
  }
  std::optional<std::string> unknown = NameDomains(request);
  if (!unknown.has_value()) {
    unknown = FindUnknown(request);
  }
  return unknown.has_value() ? Naming{AdminResult::kUnknown, *std::move(unknown)} : Naming();
}

std::optional<bool> DomainSurvey::Name(AdminRequest& request, std::string& out) {
  const std::optional<Naming> naming = Name(request);
  if (!naming.has_value()) {
    return false;
  }
  if (naming->result != AdminResult::kOk) {
    out += ResultLine(naming->result, naming->why);
    return true;
  }
  return std::nullopt;
}

bool DomainSurvey::is_free() const {
  return std::none_of(reports_.begin(), reports_.end(), [](const DomainReport& report) {
    return report.state == AnswerState::kAsked;
  });
}

bool ReportJob::Step(std::string& out) {
  switch (survey_.Step()) {
    case DomainSurvey::Progress::kWaiting:
      return false;
    case DomainSurvey::Progress::kRefused:
      out += ResultLine(AdminResult::kBusy, "the daemon is ending");
      return true;
    case DomainSurvey::Progress::kDone:
      out += is_status_ ? Status() : Domains();
      out += ReportLine(
          std::all_of(survey_.reports().begin(), survey_.reports().end(),
                      [](const DomainReport& report) { return report.totals().is_queue_ready; }));
      return true;
  }
  UNREACHABLE();
}

std::string ReportJob::Domains() const {
  std::string out;
  for (const auto& [name, row] : survey_.rows()) {
    out += DomainLine(name, row);
  }
  return out;
}

std::string ReportJob::Status() {
  DaemonRow daemon;
  daemon.shards = survey_.reports().size();
  daemon.totals = survey_.reports().front().totals();
  for (size_t shard = 1; shard < survey_.reports().size(); ++shard) {
    Add(survey_.reports()[shard].totals(), daemon.totals);
  }
  const RateSample now = {daemon.totals.now, daemon.totals.counters.messages_stored,
                          daemon.totals.routes.delivered};
  const RateSample before = shared_.sample.value_or(RateSample{daemon.totals.started, 0, 0});
  daemon.uptime = now.at - daemon.totals.started;
  daemon.sampled = now.at - before.at;
  daemon.taken = now.taken - before.taken;
  daemon.handed_on = now.handed_on - before.handed_on;
  if (daemon.sampled >= kSampleMin) {
    shared_.sample = now;
  }
  return DaemonLine(daemon) + Primaries();
}

// Domains with the same list share one primary; those without a list have none. What was stopped of
// them says nothing of the primary.
std::string ReportJob::Primaries() const {
  struct Domains {
    size_t all = 0;
    size_t stopped = 0;
  };
  DomainRows primaries;
  absl::btree_map<std::string, Domains> domains;
  for (const auto& [name, row] : survey_.rows()) {
    DomainRow of_primary = row;
    of_primary.state = row.primary_state;
    of_primary.reason = row.primary_reason;
    Merge({{row.destination, std::move(of_primary)}}, primaries);
    ++domains[row.destination].all;
    domains[row.destination].stopped += row.stop == DomainStop::kNone ? 0 : 1;
  }
  std::string out;
  for (auto& [name, row] : primaries) {
    const Domains& of_it = domains[name];
    if (of_it.stopped > 0) {
      row.reason += fmt::format("{}{} of {} domains held: {}", row.reason.empty() ? "" : "; ",
                                of_it.stopped, of_it.all, NameOf(row.stop));
    }
    out += PrimaryLine(name, row, of_it.all);
  }
  return out;
}

}  // namespace backstay
