// core/shard/route.cc -- a destination's mail and connections on one shard.
#include "core/shard/route.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "core/base/check.h"
#include "core/base/log.h"
#include "core/base/mark.h"
#include "core/shard/failure_text.h"

namespace backstay {
namespace {

// DESIGN 6: how often a gated primary is looked at, and how old what is known of it may be when a
// client asks.
constexpr absl::Duration kLookEvery = absl::Seconds(10);
constexpr absl::Duration kFresh = absl::Seconds(2);
// The list is in the order of trying: another host has the mail no longer than it must.
constexpr absl::Duration kFirstAgainAfter = absl::Minutes(5);
// Deliveries of one connection whose settles are not synced yet: those that gather while others are
// written, on a primary that takes each within a fraction of a millisecond.
constexpr size_t kSettlesPerConnection = 4;
// What other shards have ends mostly with a message to this one; but not always.
constexpr absl::Duration kLookAgainAfter = absl::Milliseconds(100);

}  // namespace

Route::Route(const ShardParts& parts, RouteHome& home, uint64_t key)
    : Lane(parts, home),
      tls_(parts.io, parts.handshakes),
      outbound_{parts.io, parts.wheel, parts.outbox, tls_, times_},
      home_(home),
      key_(key),
      is_home_(key % parts.post.shards() == parts.index),
      destination_(parts.shared.destinations.At(key).ramp, is_home_),
      places_(parts.shared.destinations.At(key).places, parts.index),
      probe_(outbound_, *this),
      verifier_(outbound_, *this) {}

Route::~Route() = default;

void Route::UsePlan(const DestinationPlan& plan, std::string_view hostname,
                    size_t connections_max) {
  plan_ = plan;
  hostname_.assign(hostname);
  retired_ = false;
  destination_.SetConnectionsMax(connections_max);
  // What was held as ourselves may be another by our new name.
  LetGo();
  UseFound();
  NoteHold();
  home_.WantDispatch(*this);
}

void Route::UsePrimaries(const FoundPrimaries& found) {
  standing_ = found.standing;
  standing_reason_ = found.reason;
  found_ = found.hosts;
  UseFound();
  NoteHold();
  home_.WantDispatch(*this);
}

void Route::UseFound() {
  if (hosts_ == found_) {
    return;
  }
  hosts_ = found_;
  address_ = 0;
  addresses_failed_ = 0;
  probe_.Stop();  // of places that are not its any more
  destination_.Release();
  destination_.ProbeNow(parts_.io.Now());
  for (const std::unique_ptr<Delivery>& delivery : deliveries_) {
    if (!HasHost(delivery->connection().address())) {
      MARK("delivery_to_a_place_of_before");
      delivery->LeaveBehind();
    }
  }
  if (!verifier_.idle() && !HasHost(verifier_.address())) {
    verifier_.LeaveBehind();
  }
}

void Route::LetGo() {
  home_holds_ = false;
  if (destination_.state() == DestinationState::kHeld) {
    probe_.Stop();  // it asks one host, and its answer would stand for all
  }
  destination_.Release();
}

bool Route::HasHost(const SocketAddress& address) const {
  return std::any_of(hosts_.begin(), hosts_.end(),
                     [&](const PrimaryHost& host) { return host.address == address; });
}

void Route::Retire() {
  retired_ = true;
  probe_.Stop();
  home_.WantDispatch(*this);
}

void Route::RemoveDomain(DomainId domain) {
  Lane::RemoveDomain(domain);
  breakers_.erase(domain);
  trials_.erase(domain);
}

void Route::StartDomain(DomainId domain, bool accepts_refusals) {
  BreakerOf(domain).Disarm(accepts_refusals);
  LetGo();
  NoteHold();
  RestartDomain(domain);
  queue_.PutRefusedLast(domain);
}

// ---- starting what may start ----

void Route::Dispatch() {
  BuryFinished();
  LeavePassedOver();
  CountPlaces();
  is_blocked_ = false;
  if (!retired_ && !stopping_ && !hosts_.empty()) {
    StartProbeIfDue();
    TellHomeAgain();
    StartDeliveries();
  } else {
    places_.SetWorking(false);
  }
  GiveWay();
  SetAlarm();
}

void Route::BuryFinished() {
  deliveries_.erase(std::remove_if(deliveries_.begin(), deliveries_.end(),
                                   [](const std::unique_ptr<Delivery>& delivery) {
                                     return delivery->finished();
                                   }),
                    deliveries_.end());
}

void Route::StartDeliveries() {
  const SpoolTime now = parts_.spool.Clock();
  if (!destination_.may_deliver()) {
    places_.SetWorking(false);
    return;
  }
  if (!HasRoomForSettles(SettlesMax())) {
    WaitForPlace(false);
    return;
  }
  if (!queue_.HasWork(now)) {
    places_.SetWorking(false);
    OnNothingLeft();
    return;
  }
  places_.SetWorking(true);
  if (destination_.MayStart(parts_.io.Now())) {
    for (const std::unique_ptr<Delivery>& delivery : deliveries_) {
      if (!queue_.HasWork(now)) {
        break;
      }
      delivery->Poke();
    }
  }
  WaitForPlace(queue_.HasWork(now) && !OpenConnection() && IsKeptWaiting());
}

Instant Route::ProbeDue() const {
  if (is_look_asked_) {
    return Instant();
  }
  if (destination_.state() == DestinationState::kDown) {
    return is_home_ ? destination_.next_probe() : Instant::Max();
  }
  return destination_.may_deliver() ? NextLook() : Instant::Max();
}

// While it is up: for a gated domain, for another shard that cannot get through, or because the
// first of the list may be back.
Instant Route::NextLook() const {
  Instant next = address_ != 0 ? first_again_at_ : Instant::Max();
  if (is_home_ && is_gated_) {
    next = std::min(next, next_look_);
  }
  if (is_home_ && is_doubted_) {
    next = std::min(next, doubt_from_);
  }
  return next;
}

void Route::StartProbeIfDue() {
  const Instant now = parts_.io.Now();
  if (probe_.running() || now < ProbeDue()) {
    probe_from_ = Instant();
    return;
  }
  if (probe_from_ == Instant()) {
    probe_from_ = parts_.shared.probes.Take(now);
  }
  if (now < probe_from_) {
    MARK("probe_waits_for_others");
    return;
  }
  probe_from_ = Instant();
  is_looking_ = std::exchange(is_look_asked_, false);
  next_look_ = now + kLookEvery;
  first_again_at_ = now + kFirstAgainAfter;
  if (destination_.state() == DestinationState::kHeld && ourselves_.has_value()) {
    return probe_.Start({*ourselves_}, hostname_);  // what the others say ends no hold
  }
  probe_.Start(hosts_, hostname_);
}

// DESIGN 6 "Gated domains". What it says is of a moment ago; a primary that went away since is
// looked at now, and the next one who asks hears of it.
bool Route::MustTryPrimary(absl::Duration store_after) {
  const Instant now = parts_.io.Now();
  if (destination_.may_deliver() && now - destination_.last_good() >= kFresh &&
      now - probe_asked_ >= kFresh) {
    probe_asked_ = now;
    if (is_home_) {
      next_look_ = now;
      home_.WantDispatch(*this);
    } else {
      parts_.post.Post(parts_.index, key_ % parts_.post.shards(),
                       {.kind = ShardMessage::Kind::kProbeWanted, .destination = key_});
    }
  }
  if (retired_ || hosts_.empty()) {
    return false;
  }
  return destination_.state() == DestinationState::kUp ||
         now - destination_.not_up_since() < store_after;
}

PrimaryHealth Route::health() const {
  if (retired_ || stopping_ || hosts_.empty()) {
    return PrimaryHealth::kAway;
  }
  switch (destination_.state()) {
    case DestinationState::kUp:
    case DestinationState::kSuspect:  // without mail only a question finds out how it is
      return PrimaryHealth::kUp;
    case DestinationState::kRamping:
      return PrimaryHealth::kUnsure;
    case DestinationState::kDown:
    case DestinationState::kHeld:
      return PrimaryHealth::kAway;
  }
  UNREACHABLE();
}

bool Route::is_held() const {
  if (!hosts_.empty()) {
    return destination_.state() == DestinationState::kHeld ||
           (home_holds_ && destination_.state() == DestinationState::kDown);
  }
  switch (standing_) {
    case PrimaryStanding::kNoAddress:
    case PrimaryStanding::kNotAllowed:
    case PrimaryStanding::kBestMx:
    case PrimaryStanding::kSelf:
      return true;
    case PrimaryStanding::kFound:
    case PrimaryStanding::kNotAsked:
    case PrimaryStanding::kFailed:
      return false;
  }
  UNREACHABLE();
}

void Route::NoteHold() {
  const bool was_held = std::exchange(was_held_, is_held());
  if (was_held && !was_held_) {
    MARK("held_no_more");
    held_until_ = parts_.spool.Clock();
  }
}

const PrimaryHost* Route::VerifierHost() {
  return health() == PrimaryHealth::kAway ? nullptr : &hosts_[address_];
}

void Route::OnVerifierGreeted() {
  addresses_failed_ = 0;
  Feed(DestinationEvent::kAnswered, "");
}

void Route::OnVerifierFailed(const OutboundConnection& connection) {
  OnNotGreeted(connection, FailureThere(connection));
}

// What is due sooner than a pause of canaries ends waits for that.
NextEvent Route::NextAlarm() const {
  const Instant now = parts_.io.Now();
  NextEvent next;
  if (!probe_.running()) {
    next.Offer(NextEvent::Kind::kProbe, std::max(ProbeDue(), probe_from_));
  }
  if (!destination_.may_deliver()) {
    return next;
  }
  const Instant paused = destination_.in_canaries() ? destination_.paused_until() : Instant();
  for (const Instant pause : {pause_until_, paused}) {
    if (pause > now) {
      next.Offer(NextEvent::Kind::kPause, pause);
    }
  }
  const SpoolTime due = queue_.NextDue();
  if (due != SpoolTime::Max() && !waits_for_settles()) {
    next.Offer(NextEvent::Kind::kRetry, std::max(now + (due - parts_.spool.Clock()), paused));
  }
  return next;
}

NextEvent Route::Upcoming() const {
  if (retired_ || stopping_ || hosts_.empty()) {
    return {};
  }
  return probe_.running() ? NextEvent{NextEvent::Kind::kProbe, parts_.io.Now()} : NextAlarm();
}

void Route::SetAlarm() {
  if (retired_ || stopping_ || hosts_.empty()) {
    parts_.wheel.Cancel(&alarm_);  // there is nothing to do at any time
    return;
  }
  Instant next = NextAlarm().at;
  if (is_blocked_) {
    next = std::min(next, parts_.io.Now() + kLookAgainAfter);
  }
  if (!is_home_ && destination_.state() == DestinationState::kDown) {
    next = tell_home_at_;
  }
  parts_.wheel.Cancel(&alarm_);
  if (next != Instant::Max()) {
    parts_.wheel.Insert(&alarm_, next);
  }
}

void Route::Stop(bool now_too) {
  stopping_ = true;
  probe_.Stop();
  verifier_.Stop();
  parts_.wheel.Cancel(&alarm_);
  for (const std::unique_ptr<Delivery>& delivery : deliveries_) {
    delivery->Stop(now_too);
  }
  home_.WantDispatch(*this);
}

bool Route::idle() const {
  return probe_.idle() && verifier_.idle() &&
         std::all_of(
             deliveries_.begin(), deliveries_.end(),
             [](const std::unique_ptr<Delivery>& delivery) { return delivery->finished(); });
}

// ---- what deliveries ask and tell ----

// What a crash delivers again is bounded by the connections: their settles under way, the message
// that each sends and the one behind it.
size_t Route::SettlesMax() const {
  const size_t share = destination_.connections_max() / parts_.post.shards();
  return kSettlesPerConnection * std::max<size_t>({places_.held(), share, 1});
}

bool Route::Begin(Attempt& attempt) {
  const Instant now = parts_.io.Now();
  if (!MayBegin(/*is_counted=*/true)) {
    return false;
  }
  const std::optional<uint32_t> era = destination_.TryStart(now);
  attempt.era = era.value_or(attempt.era);
  return era.has_value();
}

void Route::OnFollowed(Attempt& attempt) {
  attempt.era = destination_.OnFollow();
}

std::optional<Attempt> Route::NextAttempt() {
  const Instant now = parts_.io.Now();
  if (!MayBegin(/*is_counted=*/false) || !queue_.HasWork(parts_.spool.Clock())) {
    return std::nullopt;
  }
  const std::optional<uint32_t> era = destination_.TryStart(now);
  if (!era.has_value()) {
    return std::nullopt;  // another shard was faster
  }
  std::optional<Attempt> attempt = queue_.Take(parts_.spool.Clock());
  if (!attempt.has_value()) {
    destination_.OnEnd(*era, MessageFate::kUntried, absl::ZeroDuration(), now);
    return std::nullopt;
  }
  attempt->era = *era;
  home_.WantDispatch(*this);  // another connection may be worth opening now
  return attempt;
}

bool Route::MayChain() {
  return !retired_ && !stopping_ && parts_.io.Now() >= chains_from_ && destination_.MayFollow() &&
         MayUse(/*is_counted=*/true);
}

// While a connection is free, or may be opened, a message need not wait behind another.
std::optional<Attempt> Route::NextAhead() {
  if (!MayChain() || !destination_.full() || !HasRoomForSettles(SettlesMax())) {
    return std::nullopt;
  }
  return queue_.Take(parts_.spool.Clock());
}

void Route::OnNotBegun(const Attempt& attempt) {
  MARK("read_ahead_given_back");
  GiveBack(attempt);
  home_.WantDispatch(*this);
}

bool Route::Eligible(const Attempt& attempt, uint32_t recipient, DomainId domain) {
  // The stop is on its way to the disk; the release meets all of the domain's mail again.
  return !IsTripped(domain) && queue_.Eligible(attempt, recipient, domain, parts_.spool.Clock());
}

void Route::OnNotStarted(const Attempt& attempt) {
  GiveBack(attempt);
  OnEnded(attempt, MessageFate::kUntried, absl::ZeroDuration());
}

void Route::OnNothingToDo(const Attempt& attempt) {
  Release(attempt.message);
  OnEnded(attempt, MessageFate::kUntried, absl::ZeroDuration());
}

}  // namespace backstay
