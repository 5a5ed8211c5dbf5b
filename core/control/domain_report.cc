// core/control/domain_report.cc -- first the configured domains, then those that only have mail or
// are stopped.
#include "core/control/domain_report.h"

#include <algorithm>

#include "core/base/check.h"

namespace backstay {
namespace {

// Well under a millisecond of a turn: each is a few look-ups.
constexpr size_t kRowsMax = 512;

DomainRow::State StateOf(const Route& route) {
  switch (route.destination().state()) {
    case DestinationState::kUp:
      return DomainRow::State::kUp;
    case DestinationState::kRamping:
      return DomainRow::State::kRamping;
    case DestinationState::kSuspect:
      return DomainRow::State::kSuspect;
    case DestinationState::kDown:
      return DomainRow::State::kDown;
    case DestinationState::kHeld:
      return DomainRow::State::kHeld;
  }
  UNREACHABLE();
}

void Describe(const Route* route, DomainRow& row) {
  if (route == nullptr) {
    row.state = DomainRow::State::kHeld;
    row.reason = "removed";
  } else if (route->hosts().empty()) {
    const bool is_unknown = route->standing() == PrimaryStanding::kNotAsked ||
                            route->standing() == PrimaryStanding::kFailed;
    row.state = is_unknown ? DomainRow::State::kDown : DomainRow::State::kHeld;
    row.reason = Describe(route->standing());
    if (is_unknown && !route->standing_reason().empty()) {
      row.reason += ": " + route->standing_reason();
    }
  } else {
    row.state = route->is_held() ? DomainRow::State::kHeld : StateOf(*route);
    row.reason = row.state == DomainRow::State::kUp ? "" : route->last_reason();
  }
}

// By a smart host, or each by a way of its own: then there is nothing that could be down.
void DescribeReports(const Route* route, DomainRow& row) {
  if (route != nullptr) {
    return Describe(route, row);
  }
  row.state = DomainRow::State::kUp;
}

// The worse of two counts; where they are equal, one that says why.
void Worsen(DomainRow::State& state, std::string& reason, DomainRow::State other,
            const std::string& why) {
  if (other > state || reason.empty()) {
    reason = why;
  }
  state = std::max(state, other);
}

// A domain without mail has no way yet; its destination has a route all the same.
const Route* RouteOf(const ShardView& view, DomainId domain, const DomainPlan* plan) {
  if (plan == nullptr) {
    return nullptr;
  }
  const Route* route = view.routes.RouteOf(domain);
  return route != nullptr ? route
                          : view.routes.RouteTo(view.snapshot.destinations[plan->destination].key);
}

// A few look-ups, whatever is queued. Reports that go by MX have no primary.
NextEvent NextOf(const ShardView& view, DomainId domain, const DomainPlan* plan) {
  NextEvent next;
  const Route* const route =
      plan != nullptr ? RouteOf(view, domain, plan) : view.routes.RouteOf(domain);
  const Lane* const lane = view.routes.LaneOf(domain);
  if (route != nullptr) {
    next = route->Upcoming();
    next.Offer(NextEvent::Kind::kQuestion, view.routes.NextQuestion(route->key()));
  } else if (lane != nullptr && lane->queue().NextDue() != SpoolTime::Max()) {
    next.Offer(NextEvent::Kind::kRetry,
               view.io.Now() + (lane->queue().NextDue() - view.spool.Clock()));
  }
  return next;
}

}  // namespace

std::string_view NameOf(DomainRow::State state) {
  switch (state) {
    case DomainRow::State::kUp:
      return "up";
    case DomainRow::State::kRamping:
      return "ramping";
    case DomainRow::State::kSuspect:
      return "suspect";
    case DomainRow::State::kDown:
      return "down";
    case DomainRow::State::kHeld:
      return "held";
  }
  UNREACHABLE();
}

std::string_view NameOf(DomainStop stop) {
  switch (stop) {
    case DomainStop::kNone:
      return "";
    case DomainStop::kByOperator:
      return "operator";
    case DomainStop::kByBreaker:
      return "breaker";
  }
  UNREACHABLE();
}

std::string_view NameOf(NextEvent::Kind kind) {
  switch (kind) {
    case NextEvent::Kind::kNone:
      return "";
    case NextEvent::Kind::kProbe:
      return "probe";
    case NextEvent::Kind::kPause:
      return "pause";
    case NextEvent::Kind::kRetry:
      return "retry";
    case NextEvent::Kind::kQuestion:
      return "dns";
    case NextEvent::Kind::kExpiry:
      return "expiry";
  }
  UNREACHABLE();
}

void Merge(const DomainRows& of_shard, DomainRows& all) {
  for (const auto& [name, row] : of_shard) {
    const auto [found, is_new] = all.try_emplace(name, row);
    if (is_new) {
      continue;
    }
    DomainRow& sum = found->second;
    Worsen(sum.state, sum.reason, row.state, row.reason);
    Worsen(sum.primary_state, sum.primary_reason, row.primary_state, row.primary_reason);
    sum.stop = std::max(sum.stop, row.stop);
    sum.addresses = sum.addresses.empty() ? row.addresses : sum.addresses;
    sum.queued += row.queued;
    sum.held += row.held;
    sum.account += row.account;
    sum.oldest = std::max(sum.oldest, row.oldest);
    if (row.expires.has_value()) {
      sum.expires = std::min(sum.expires.value_or(*row.expires), *row.expires);
    }
    if (sum.state == DomainRow::State::kHeld) {
      sum.expires.reset();  // the other shards' mail is about to be held, too
    }
    sum.next.Offer(row.next);
    sum.asked = std::max(sum.asked, row.asked);
    if (!row.outages.empty()) {  // only the home shard tells them
      sum.outages = row.outages;
    }
  }
}

std::optional<MessageRef> DomainReport::Next(const ShardView& view) {
  rows_.clear();
  totals_ = {.spool = view.spool.Stats(),
             .routes = view.routes.totals(),
             .counters = view.counters,
             .account = view.spool.AccountOfAll(),
             .accounts_since = view.spool.AccountsSince(),
             .started = view.started,
             .now = view.io.Now(),
             .is_queue_ready = view.is_queue_ready,
             .shards_under_stress = view.is_under_stress ? size_t{1} : 0};
  const std::vector<DomainPlan>& plans = view.snapshot.domains;
  auto plan = std::upper_bound(
      plans.begin(), plans.end(), after_,
      [](const std::string& name, const DomainPlan& other) { return name < other.name; });
  for (; !configured_done_ && rows_.size() < kRowsMax; ++plan) {
    if (plan == plans.end()) {
      configured_done_ = true;
      break;
    }
    Add(view, plan->name, &*plan);
    after_ = plan->name;
  }
  const std::vector<DomainId>& seen = view.routes.domains();
  size_t looked_at = rows_.size();
  for (; configured_done_ && seen_ < seen.size() && looked_at < kRowsMax; ++seen_, ++looked_at) {
    const std::string name(view.spool.Name(seen[seen_]));
    if (view.snapshot.FindDomain(name) == nullptr && view.spool.LiveRecipients(seen[seen_]) > 0) {
      Add(view, name, nullptr);
    }
  }
  has_more_ = !configured_done_ || seen_ < seen.size();
  if (!has_more_) {
    AddStopped(view);
  }
  return std::nullopt;
}

// Whoever stopped one must be able to see it and to end it, whatever became of the domain.
void DomainReport::AddStopped(const ShardView& view) {
  if (!view.is_queue_ready) {
    return;
  }
  for (const Rule& stop : view.spool.Stops()) {
    for (const std::string& name : stop.domains) {
      if (stop.verb != RuleVerb::kStart && view.snapshot.FindDomain(name) == nullptr &&
          view.spool.LiveRecipients(view.spool.Intern(name)) == 0) {
        Add(view, name, nullptr);
      }
    }
  }
}

void DomainReport::OnHead(const ShardView&, MessageRef, const MessageHead*) {
  UNREACHABLE();  // no message is read
}

void DomainReport::Add(const ShardView& view, const std::string& name, const DomainPlan* plan) {
  const DomainId domain = view.spool.Intern(name);
  DomainRow& row = rows_[name];
  if (IsReportDomain(name) && view.routes.LaneOf(domain) != nullptr) {
    DescribeReports(view.routes.RouteOf(domain), row);
  } else {
    Describe(RouteOf(view, domain, plan), row);
  }
  row.primary_state = row.state;
  row.primary_reason = row.reason;
  row.stop = view.spool.StopOf(domain);
  if (row.stop != DomainStop::kNone) {
    row.state = DomainRow::State::kHeld;
    row.reason = NameOf(row.stop);
  }
  if (plan != nullptr) {
    row.destination = view.snapshot.destinations[plan->destination].name;
    if (RouteOf(view, domain, plan)->is_home()) {
      row.outages = RouteOf(view, domain, plan)->outages();
    }
    for (const PrimaryHost& host : RouteOf(view, domain, plan)->hosts()) {
      row.addresses.push_back(host.address.ToString());
    }
  }
  row.next = NextOf(view, domain, plan);
  row.asked = view.io.Now();
  row.account = view.spool.AccountOf(domain);
  row.queued = view.spool.LiveRecipients(domain);
  if (row.queued == 0) {
    return;
  }
  if (row.state == DomainRow::State::kHeld) {
    row.held = row.queued;
  } else if (view.is_queue_ready) {
    Rule release;
    release.verb = RuleVerb::kRelease;
    release.domains = {name};
    row.held = view.spool.CountRule(release);
  }
  const std::optional<MessageRef> oldest = view.spool.NextLive(domain, std::nullopt);
  if (oldest.has_value()) {
    row.oldest = view.spool.Clock() - view.spool.Arrival(*oldest);
  }
  // Nothing held is given up.
  const std::optional<MessageRef> first = view.spool.NextDeliverable(domain, std::nullopt);
  if (first.has_value() && row.state != DomainRow::State::kHeld && plan != nullptr &&
      plan->retry.on_expiry == OnExpiry::kBounce) {
    const SpoolTime end = plan->retry.End(view.routes.CountsFrom(*first, domain));
    const absl::Duration left = end - view.spool.Clock();
    row.expires = view.io.WallNow() + left;
    if (left > absl::ZeroDuration()) {  // what is over waits for something else
      row.next.Offer(NextEvent::Kind::kExpiry, view.io.Now() + left);
    }
  }
}

}  // namespace backstay
