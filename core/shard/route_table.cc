// core/shard/route_table.cc -- domains to routes, under the configuration in force.
#include "core/shard/route_table.h"

#include <algorithm>
#include <string>
#include <utility>

#include "core/base/check.h"
#include "core/base/log.h"
#include "core/base/mark.h"

namespace backstay {
namespace {

// Messages of a domain, on all shards, when the daemon starts or a primary is found elsewhere:
// fewer do not wait for canaries.
constexpr uint64_t kBacklogMin = 100;
constexpr absl::Duration kRoomMadeEvery = absl::Minutes(10);

bool IsAmong(const PrimaryHost& host, const std::vector<PrimaryHost>& hosts) {
  return std::any_of(hosts.begin(), hosts.end(),
                     [&](const PrimaryHost& other) { return other.address == host.address; });
}

}  // namespace

RouteTable::RouteTable(const ShardParts& parts, const PrimaryFiles& primaries,
                       const Snapshot& snapshot)
    : parts_(parts),
      snapshot_(&snapshot),
      default_policy_(RetryPolicy::Default()),
      finder_(parts.io, parts.wheel, parts.post, parts.index, primaries, *this),
      reports_(parts, *this) {
  if (parts.index == 0) {  // for all of them
    for (const auto& [key, saved] : primaries.saved) {
      if (saved.answers > 0) {
        parts.shared.answers.At(key).Resume(saved.taken, saved.answers);
      }
    }
  }
  UseSnapshot(snapshot);
}

Route& RouteTable::RouteWithKey(uint64_t key) {
  const auto found = by_key_.find(key);
  if (found != by_key_.end()) {
    return *found->second;
  }
  RouteHome& home = *this;
  routes_.push_back(std::make_unique<Route>(parts_, home, key));
  routes_.back()->Resume(finder_.SavedOutages(key));
  by_key_[key] = routes_.back().get();
  return *routes_.back();
}

void RouteTable::UseSnapshot(const Snapshot& snapshot) {
  const Snapshot& snapshot_before = *std::exchange(snapshot_, &snapshot);
  NoteNewDomains(snapshot_before);
  std::vector<uint64_t> keys;
  const size_t maximum = snapshot.config.delivery.connections_per_primary_max;
  for (size_t index = 0; index < snapshot.destinations.size(); ++index) {
    const DestinationPlan& plan = snapshot.destinations[index];
    keys.push_back(plan.key);
    Route& route = RouteWithKey(plan.key);
    const bool was_ourselves = route.destination().state() == DestinationState::kHeld;
    route.UsePlan(plan, snapshot.hostname, maximum);
    route.SetGated(std::any_of(
        snapshot.domains.begin(), snapshot.domains.end(),
        [index](const auto& domain) { return domain.defers && domain.destination == index; }));
    if (was_ourselves) {
      OnHoldEnded(route);
    }
  }
  finder_.UseSnapshot(snapshot);
  for (const std::unique_ptr<Route>& route : routes_) {
    // Those without a plan too: a connection of theirs may be on its way to TLS.
    route->UseDelivery(snapshot.config.delivery, snapshot.client_tls.get());
    if (std::find(keys.begin(), keys.end(), route->key()) == keys.end()) {
      route->Retire();
      route->Forget();
    }
  }
  const std::vector<Lane*> at_work = LanesAtWork();
  for (const DomainId domain : domains_) {
    Way& way = ways_[domain];
    Lane* const before = way.lane;
    const SpoolTime held_until = HeldUntil(domain);
    way = Resolve(domain);
    if (way.lane != nullptr && held_until != SpoolTime()) {
      MARK("hold_ends_with_a_reload");
      held_until_[domain] = held_until;
    }
    if (before != nullptr && before != way.lane) {
      before->RemoveDomain(domain);
    }
    if (way.lane != nullptr && before != way.lane) {
      for (Lane* const lane : at_work) {  // all of them: it may have been nobody's for a while
        lane->HandOver(domain, *way.lane);
      }
    }
    if (way.lane != nullptr) {
      way.lane->AddDomain(domain);
    }
    if (way.route != nullptr && way.lane != before) {
      way.route->OnBacklog(domain, /*canaries_from=*/1);
    }
  }
  reports_.UseSnapshot(snapshot);
}

// Also those whose mail is not known yet, as the spool is still read.
void RouteTable::NoteNewDomains(const Snapshot& before) {
  if (&before == snapshot_) {
    return;  // a start
  }
  for (const DomainPlan& plan : snapshot_->domains) {
    if (before.FindDomain(plan.name) == nullptr) {
      held_until_[parts_.spool.Intern(plan.name)] = parts_.spool.Clock();
    }
  }
}

SpoolTime RouteTable::HeldUntil(DomainId domain) const {
  const auto way = ways_.find(domain);
  if (way == ways_.end()) {
    return SpoolTime();
  }
  const Route* const route = way->second.route;
  if (way->second.lane == nullptr || (route != nullptr && route->is_held())) {
    return parts_.spool.Clock();
  }
  const auto noted = held_until_.find(domain);
  return std::max(noted != held_until_.end() ? noted->second : SpoolTime(),
                  route != nullptr ? route->held_until() : SpoolTime());
}

RetryOrigin RouteTable::CountsFrom(MessageRef message, DomainId domain) const {
  const RetryOrigin origin =
      OriginOf(parts_.spool.Arrival(message), parts_.spool.StandingOf(message, domain));
  const SpoolTime held_until = HeldUntil(domain);
  return {std::max(origin.schedule, held_until), std::max(origin.age, held_until)};
}

std::vector<Lane*> RouteTable::LanesAtWork() {
  std::vector<Lane*> lanes;
  const auto add = [&lanes](Lane& lane) {
    if (!lane.queue().under_way().empty()) {
      lanes.push_back(&lane);
    }
  };
  for (const std::unique_ptr<Route>& route : routes_) {
    add(*route);
  }
  add(reports_);
  return lanes;
}

RouteTable::Way RouteTable::Resolve(DomainId domain) {
  Way way;
  const std::string_view name = parts_.spool.Name(domain);
  const bool is_reports = IsReportDomain(name);
  if (is_reports) {
    way.plan = snapshot_->reports.has_value() ? &*snapshot_->reports : nullptr;
  } else {
    way.plan = snapshot_->FindDomain(name);
  }
  if (way.plan == nullptr && is_reports) {
    LogWarning("held: reports to senders are queued, but dsn.route is \"off\"");
    return way;
  }
  if (way.plan == nullptr) {
    LogWarning(
        "held: mail for {} is queued, but the domain is not configured (any more); add it again "
        "and reload, or delete its mail. Before a restart that brings it back, so that its mail is "
        "not given up: backstay queue reset --domain {}",
        Escaped(parts_.spool.Name(domain)), Escaped(parts_.spool.Name(domain)));
    return way;
  }
  if (is_reports && snapshot_->reports_by_mx) {
    way.lane = &reports_;
    return way;
  }
  way.route = &RouteWithKey(snapshot_->destinations[way.plan->destination].key);
  way.lane = way.route;
  return way;
}

const RouteTable::Way& RouteTable::WayOf(DomainId domain) {
  const auto found = ways_.find(domain);
  if (found != ways_.end()) {
    return found->second;
  }
  domains_.push_back(domain);
  const Way way = Resolve(domain);
  if (way.lane != nullptr) {
    way.lane->AddDomain(domain);
  }
  return ways_[domain] = way;
}

Lane* RouteTable::LaneOf(DomainId domain) const {
  const auto found = ways_.find(domain);
  return found == ways_.end() ? nullptr : found->second.lane;
}

Route* RouteTable::RouteOf(DomainId domain) const {
  const auto found = ways_.find(domain);
  return found == ways_.end() ? nullptr : found->second.route;
}

Route* RouteTable::RouteOf(const DomainPlan& plan) const {
  return RouteTo(snapshot_->destinations[plan.destination].key);
}

const Route* RouteTable::PrimaryOf(std::string_view domain) const {
  const DomainPlan* const plan = snapshot_->FindDomain(domain);
  return plan == nullptr ? nullptr : RouteOf(*plan);
}

void RouteTable::Learn(DomainId domain, std::string_view address, bool is_taken) {
  const auto found = ways_.find(domain);
  if (found != ways_.end() && found->second.plan != nullptr && found->second.plan->verifies) {
    parts_.recipients.Learn(address, found->second.plan->name, is_taken);
  }
}

Route* RouteTable::RouteTo(uint64_t key) const {
  const auto found = by_key_.find(key);
  return found == by_key_.end() ? nullptr : found->second;
}

const RetryPolicy& RouteTable::PolicyOf(DomainId domain) const {
  const auto found = ways_.find(domain);
  if (found == ways_.end() || found->second.plan == nullptr) {
    return default_policy_;
  }
  return found->second.plan->retry;
}

bool RouteTable::IsOver(MessageRef message, uint32_t recipient, OnExpiry ending) const {
  const DomainId domain = parts_.spool.DomainOf(message, recipient);
  const Lane* const lane = LaneOf(domain);
  if (lane == nullptr || lane->queue().in_flight(message) || PolicyOf(domain).on_expiry != ending) {
    return false;  // without a way it is held, and nothing held is given up
  }
  return lane->MayGiveUp(message, recipient, CountsFrom(message, domain), domain);
}

absl::Duration RouteTable::DelayWarningOf(DomainId domain) const {
  const auto found = ways_.find(domain);
  return found == ways_.end() || found->second.plan == nullptr ? absl::ZeroDuration()
                                                               : found->second.plan->delay_warning;
}

void RouteTable::OnLiveMessage(DomainId domain, MessageRef message) {
  const Way& way = WayOf(domain);
  if (way.lane != nullptr) {
    way.lane->OnLiveMessage(domain, message);
  }
  if (way.route != nullptr && message < parts_.spool.RunStart()) {
    way.route->OnBacklog(domain, CanariesFrom());  // of a run before: told once a domain
  }
}

uint64_t RouteTable::CanariesFrom() const {
  return std::max<uint64_t>(kBacklogMin / parts_.post.shards(), Breaker::kRunMax);
}

void RouteTable::OnRecoveredDeferral(MessageRef message, uint32_t recipient, DomainId domain,
                                     Bytes note) {
  const Way& way = WayOf(domain);
  if (way.lane != nullptr) {
    way.lane->OnRecoveredDeferral(message, recipient, note);
  }
}

void RouteTable::OnPrimaries(uint64_t key, const FoundPrimaries& found) {
  Route& route = RouteWithKey(key);
  const std::vector<PrimaryHost> before = route.hosts();
  route.UsePrimaries(found);
  const std::vector<PrimaryHost>& now = route.hosts();
  if (std::any_of(now.begin(), now.end(),
                  [&](const PrimaryHost& host) { return IsAmong(host, before); })) {
    return;
  }
  if (!before.empty()) {
    MARK("primary_somewhere_else");
    route.Forget();
  }
  if (!now.empty()) {  // else what waits meets them when there are some
    MeetBacklog(route);
  }
}

void RouteTable::OnHoldEnded(Route& route) {
  route.Forget();
  MeetBacklog(route);
}

void RouteTable::MeetBacklog(Route& route) {
  for (const DomainId domain : domains_) {
    if (RouteOf(domain) == &route) {
      route.OnBacklog(domain, CanariesFrom());
    }
  }
}

// A lane forgets those that end in its hands. What an order or a reload ends otherwise goes here,
// seldom, as the walk is long.
bool RouteTable::MakeDeferralRoom() {
  const Instant now = parts_.io.Now();
  if (room_made_at_ != Instant() && now - room_made_at_ < kRoomMadeEvery) {
    return false;
  }
  MARK("deferral_room_made");
  room_made_at_ = now;
  for (const std::unique_ptr<Route>& route : routes_) {
    route->DropStrayDeferrals();
  }
  reports_.DropStrayDeferrals();
  return !deferral_room_.is_full();
}

bool RouteTable::IsUp(uint64_t key) const {
  const Route* const route = RouteTo(key);
  return route != nullptr && route->destination().state() == DestinationState::kUp;
}

void RouteTable::OnShardMessage(const ShardMessage& message) {
  if (message.kind == ShardMessage::Kind::kPrimaries ||
      message.kind == ShardMessage::Kind::kOutages) {
    finder_.OnShardMessage(message);
    return;
  }
  const auto found = by_key_.find(message.destination);
  if (found != by_key_.end()) {
    found->second->OnShardMessage(message);
  }
}

bool RouteTable::GoNow(uint64_t key) {
  Route* const route = RouteTo(key);
  return route != nullptr && route->GoNow(/*ask_others=*/true);
}

void RouteTable::OnRule(const Rule& rule) {
  if (rule.verb != RuleVerb::kReset && rule.verb != RuleVerb::kRelease &&
      rule.verb != RuleVerb::kStart) {
    return;  // what may not be tried any more is asked for before each attempt
  }
  const auto restart = [&](DomainId domain) {
    if (rule.verb == RuleVerb::kStart) {
      // Also where it has no route now: when it has one again nothing else would end it.
      parts_.shared.answers.At(DomainKey(parts_.spool.Name(domain))).Untrip();
    }
    Route* const route = RouteOf(domain);
    Lane* const lane = LaneOf(domain);
    if (route != nullptr && rule.verb == RuleVerb::kStart) {
      route->StartDomain(domain, rule.accepts_refusals);
    } else if (lane != nullptr) {
      lane->RestartDomain(domain);
    }
  };
  for (const std::string& domain : rule.domains) {
    restart(parts_.spool.Intern(domain));
  }
  for (size_t i = 0; rule.domains.empty() && i < domains_.size(); ++i) {
    restart(domains_[i]);
  }
}

void RouteTable::WantDispatch(Lane& lane) {
  if (!lane.linked()) {
    wanting_.PushBack(&lane);
  }
}

void RouteTable::OnSettlesDecided() {
  for (Lane* lane : std::exchange(waiting_for_settles_, {})) {
    lane->OnSettlesDecided();
  }
}

void RouteTable::Dispatch() {
  List<Lane> now;
  now.TakeAll(wanting_);  // what asks again meanwhile has its turn in the next turn
  while (Lane* lane = now.PopFront()) {
    lane->Dispatch();
  }
}

void RouteTable::Stop(bool now_too) {
  finder_.Stop();
  reports_.Stop(now_too);
  for (const std::unique_ptr<Route>& route : routes_) {
    route->Stop(now_too);
  }
}

bool RouteTable::idle() const {
  return finder_.idle() && reports_.idle() &&
         std::all_of(routes_.begin(), routes_.end(),
                     [](const std::unique_ptr<Route>& route) { return route->idle(); });
}

RouteCounters RouteTable::totals() const {
  RouteCounters sum = reports_.counters();
  for (const std::unique_ptr<Route>& route : routes_) {
    const RouteCounters& counters = route->counters();
    sum.delivered += counters.delivered;
    sum.deferred += counters.deferred;
    sum.failed += counters.failed;
    sum.discarded += counters.discarded;
  }
  return sum;
}

}  // namespace backstay
