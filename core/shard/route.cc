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

// After a connection that ended badly while the destination counts as up: no hot loop of connects.
constexpr absl::Duration kPauseAfterBadEnd = absl::Seconds(1);
// DESIGN 6: how often a gated primary is looked at, and how old what is known of it may be when a
// client asks.
constexpr absl::Duration kLookEvery = absl::Seconds(10);
constexpr absl::Duration kFresh = absl::Seconds(2);

// Each is a pass through all that waits.
constexpr absl::Duration kGoNowEvery = absl::Seconds(10);

}  // namespace

Route::Route(const ShardParts& parts, RouteHome& home, uint64_t key)
    : parts_(parts),
      home_(home),
      key_(key),
      queue_(parts.spool),
      probe_(parts.io, parts.wheel, parts.outbox, *this),
      verifier_(parts.io, parts.wheel, parts.outbox, *this) {}

Route::~Route() = default;

void Route::UsePlan(const DestinationPlan& plan, std::string_view hostname, size_t connections_max,
                    bool is_home) {
  plan_ = plan;
  hostname_.assign(hostname);
  is_home_ = is_home;
  retired_ = false;
  address_ = 0;
  destination_.SetConnectionsMax(connections_max);
  if (plan_.hosts.empty()) {
    LogWarning("held: {} has no numeric address; names are not resolved yet", plan_.name);
  }
  home_.WantDispatch(*this);
}

void Route::Retire() {
  retired_ = true;
  probe_.Stop();
}

void Route::AddDomain(DomainId domain) {
  queue_.AddDomain(domain);
  home_.WantDispatch(*this);
}

void Route::RemoveDomain(DomainId domain) {
  queue_.RemoveDomain(domain);
}

void Route::OnLiveMessage(DomainId domain, MessageRef message) {
  queue_.OnLive(domain, message);
  home_.WantDispatch(*this);
}

void Route::RestartDomain(DomainId domain) {
  queue_.RestartDomain(domain);
  home_.WantDispatch(*this);
}

void Route::OnRecoveredDeferral(MessageRef message, uint32_t recipient, Bytes note) {
  const std::optional<Deferral> deferral = DecodeDeferralNote(note);
  if (!deferral.has_value()) {
    MARK("deferral_note_not_ours");
    return;  // it is tried again at once, which is what a lost note means
  }
  if (!queue_.deferrals().Insert({message.segment, message.block, recipient}, *deferral)) {
    queue_.AfterOverflow(parts_.spool.Clock());
  }
}

// ---- starting what may start ----

void Route::Dispatch() {
  BuryFinished();
  if (!retired_ && !stopping_ && !plan_.hosts.empty()) {
    StartProbeIfDue();
    StartDeliveries();
  }
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
  if (!destination_.may_deliver() || !HasRoomForSettles()) {
    return;
  }
  const SpoolTime now = parts_.spool.Clock();
  size_t waiting = 0;  // connections that have not found their message yet
  for (const std::unique_ptr<Delivery>& delivery : deliveries_) {
    if (!queue_.HasWork(now)) {
      return;
    }
    delivery->Poke();
    waiting += delivery->attempting() ? 0 : 1;
  }
  // One unproven connection at a time: each that gets through brings the next, so one message does
  // not open twenty connections.
  if (waiting == 0 && deliveries_.size() < destination_.window() && queue_.HasWork(now) &&
      parts_.io.Now() >= pause_until_) {
    DeliveryHome& home = *this;
    deliveries_.push_back(std::make_unique<Delivery>(parts_.io, parts_.wheel, parts_.outbox,
                                                     parts_.spool, hostname_,
                                                     parts_.log.NextConnection(), home));
    deliveries_.back()->Connect(plan_.hosts[address_]);
  }
}

bool Route::IsProbeDue() const {
  if (destination_.state() == DestinationState::kDown) {
    return parts_.io.Now() >= destination_.next_probe();
  }
  return is_gated_ && destination_.may_deliver() && parts_.io.Now() >= next_look_;
}

void Route::StartProbeIfDue() {
  if (is_home_ && probe_.idle() && !probe_.running() && IsProbeDue()) {
    next_look_ = parts_.io.Now() + kLookEvery;
    probe_.Start(plan_.hosts, hostname_);
  }
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
  if (retired_ || plan_.hosts.empty()) {
    return false;
  }
  return destination_.state() == DestinationState::kUp ||
         now - destination_.not_up_since() < store_after;
}

PrimaryHealth Route::health() const {
  if (retired_ || stopping_ || plan_.hosts.empty()) {
    return PrimaryHealth::kAway;
  }
  switch (destination_.state()) {
    case DestinationState::kUp:
      return PrimaryHealth::kUp;
    case DestinationState::kSuspect:
      return PrimaryHealth::kUnsure;
    case DestinationState::kDown:
    case DestinationState::kHeld:
      return PrimaryHealth::kAway;
  }
  UNREACHABLE();
}

const PrimaryHost* Route::VerifierHost() {
  return health() == PrimaryHealth::kAway ? nullptr : &plan_.hosts[address_];
}

void Route::OnVerifierGreeted() {
  addresses_failed_ = 0;
  Feed(DestinationEvent::kAnswered, "");
}

void Route::OnVerifierFailed(const OutboundConnection& connection) {
  OnNotGreeted(connection,
               fmt::format("{}: {}", connection.address().ToString(), FailureText(connection)));
}

void Route::SetAlarm() {
  Instant next = Instant::Max();
  if (retired_ || stopping_) {
    return;
  }
  if (is_home_ && destination_.state() == DestinationState::kDown && !probe_.running()) {
    next = destination_.next_probe();
  } else if (is_home_ && is_gated_ && destination_.may_deliver() && !probe_.running()) {
    next = next_look_;
  }
  if (destination_.may_deliver()) {
    const SpoolTime due = queue_.NextDue();
    if (due != SpoolTime::Max()) {
      next = std::min(next, parts_.io.Now() + (due - parts_.spool.Clock()));
    }
    if (pause_until_ > parts_.io.Now()) {
      next = std::min(next, pause_until_);
    }
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

// What a crash delivers again is bounded by the connections: a delivery ends with its settle.
bool Route::HasRoomForSettles() {
  const uint64_t decided = parts_.spool.SettlesDecided();
  while (!settles_.empty() && settles_.front() <= decided) {
    settles_.pop_front();
  }
  const bool has_room = settles_.size() < destination_.connections_max();
  if (!has_room && !waits_for_settles_) {
    waits_for_settles_ = true;
    home_.WaitForSettles(*this);
  }
  return has_room;
}

void Route::OnSettlesDecided() {
  waits_for_settles_ = false;
  home_.WantDispatch(*this);
}

std::optional<Attempt> Route::NextAttempt() {
  if (retired_ || stopping_ || !destination_.may_deliver() || !HasRoomForSettles()) {
    return std::nullopt;
  }
  const std::optional<Attempt> attempt = queue_.Take(parts_.spool.Clock());
  if (attempt.has_value()) {
    home_.WantDispatch(*this);  // another connection may be worth opening now
  }
  return attempt;
}

bool Route::Eligible(const Attempt& attempt, uint32_t recipient, DomainId domain) {
  return queue_.Eligible(attempt, recipient, domain, parts_.spool.Clock());
}

void Route::OnNotStarted(const Attempt& attempt) {
  queue_.GiveBack(attempt);
}

void Route::OnNothingToDo(const Attempt& attempt) {
  queue_.Release(attempt.message);
}

void Route::OnMoreRecipients(const Attempt& attempt, uint32_t from_recipient) {
  more_.push_back(attempt);
  more_.back().from_recipient = from_recipient;
}

// ---- health ----

void Route::OnDeliveryGreeted(Delivery&) {
  addresses_failed_ = 0;
  Feed(DestinationEvent::kAnswered, "");
}

void Route::OnDeliveryClosed(Delivery& delivery) {
  home_.WantDispatch(*this);
  if (stopping_ || delivery.stopping()) {
    return;  // we ended it: that says nothing about the primary
  }
  const OutboundConnection& connection = delivery.connection();
  const std::string reason =
      fmt::format("{}: {}", connection.address().ToString(), FailureText(connection));
  if (!connection.greeted()) {
    OnNotGreeted(connection, reason);
    return;
  }
  const ClientSession::Failure failure = connection.session().failure();
  if (failure == ClientSession::Failure::kNone && !connection.deadline_passed()) {
    return;  // an orderly end
  }
  if (failure == ClientSession::Failure::kConnectionLost && !delivery.was_attempting()) {
    return;  // an idle connection that the primary closed
  }
  pause_until_ = parts_.io.Now() + kPauseAfterBadEnd;
  Feed(DestinationEvent::kTrouble, reason);
}

// The connection never got through EHLO. The next address of the list has its turn; when none is
// left, the destination is what the last one said.
void Route::OnNotGreeted(const OutboundConnection& connection, std::string_view reason) {
  const ClientSession::Failure failure = connection.session().failure();
  if (failure == ClientSession::Failure::kSelf) {
    LogError("held: {} greets with our own name; mail to ourselves would loop", plan_.name);
    Feed(DestinationEvent::kIsSelf, reason);
    return;
  }
  address_ = (address_ + 1) % plan_.hosts.size();
  if (++addresses_failed_ < plan_.hosts.size()) {
    return;
  }
  addresses_failed_ = 0;
  const bool soft =
      connection.connect_error() == IoError::kNone &&
      (failure == ClientSession::Failure::kDeferredGreeting ||
       failure == ClientSession::Failure::kDeferredEhlo ||
       failure == ClientSession::Failure::kServiceClosing || connection.deadline_passed());
  const bool ours = connection.connect_error() == IoError::kNoDescriptors ||
                    connection.connect_error() == IoError::kNoMemory;
  pause_until_ = parts_.io.Now() + kPauseAfterBadEnd;
  if (!ours) {
    Feed(soft ? DestinationEvent::kTrouble : DestinationEvent::kUnreachable, reason);
  }
}

void Route::Feed(DestinationEvent event, std::string_view reason) {
  if (event == DestinationEvent::kUnreachable || event == DestinationEvent::kTrouble ||
      event == DestinationEvent::kProbeFailed) {
    last_failure_ = parts_.spool.Clock();
    last_reason_.assign(reason);
  }
  const DestinationState before = destination_.state();
  if (destination_.Feed(event, parts_.io.Now(), parts_.io.random())) {
    if (destination_.state() == DestinationState::kDown) {
      WentDown(reason);
    } else if (before == DestinationState::kDown) {
      CameUp();
    }
  }
  home_.WantDispatch(*this);
}

bool Route::GoNow(bool ask_others) {
  const Instant now = parts_.io.Now();
  if (retired_ || plan_.hosts.empty() || destination_.state() == DestinationState::kHeld) {
    return false;
  }
  if (went_now_.has_value() && now < *went_now_ + kGoNowEvery) {
    MARK("asked_to_go_again");
    return true;
  }
  went_now_ = now;
  if (ask_others) {
    Broadcast(ShardMessage::Kind::kGoNow, "");
  }
  if (destination_.may_deliver()) {
    queue_.Restart();
  } else {
    destination_.ProbeNow(now);
  }
  home_.WantDispatch(*this);
  return true;
}

void Route::WentDown(std::string_view reason) {
  for (const std::unique_ptr<Delivery>& delivery : deliveries_) {
    delivery->StopWhenIdle();
  }
  if (!is_home_) {
    parts_.post.Post(parts_.index, key_ % parts_.post.shards(),
                     {.kind = ShardMessage::Kind::kDestinationFailed,
                      .destination = key_,
                      .reason = std::string(reason)});
    return;
  }
  LogWarning("primary {} is down ({}); probing", plan_.name, reason);
  Broadcast(ShardMessage::Kind::kDestinationDown, reason);
}

// Everything queued is eligible at once (DESIGN 6).
void Route::CameUp() {
  queue_.Restart();
  if (is_home_) {
    LogInfo("primary {} is back; {} recipients are queued here", plan_.name,
            parts_.spool.Stats().recipients_live);
    Broadcast(ShardMessage::Kind::kDestinationUp, "");
  }
}

void Route::OnProbeOver(int answered, std::string_view reason) {
  if (answered >= 0) {
    address_ = static_cast<size_t>(answered);
    addresses_failed_ = 0;
    Feed(DestinationEvent::kProbeAnswered, "");
    return;
  }
  Feed(DestinationEvent::kProbeFailed, reason);
  Broadcast(ShardMessage::Kind::kProbeFailed, reason);
}

void Route::Broadcast(ShardMessage::Kind kind, std::string_view reason) {
  for (size_t shard = 0; shard < parts_.post.shards(); ++shard) {
    if (shard != parts_.index) {
      parts_.post.Post(parts_.index, shard,
                       {.kind = kind, .destination = key_, .reason = std::string(reason)});
    }
  }
}

void Route::OnShardMessage(const ShardMessage& message) {
  switch (message.kind) {
    case ShardMessage::Kind::kDestinationFailed:
      // Another shard cannot get through. The probe will tell whether that is so; if it answers,
      // the others hear at once that the destination is up.
      if (destination_.state() == DestinationState::kDown) {
        Broadcast(ShardMessage::Kind::kDestinationDown, last_reason_);
      } else {
        Feed(DestinationEvent::kUnreachable, message.reason);
      }
      return;
    case ShardMessage::Kind::kDestinationDown:
      Feed(DestinationEvent::kUnreachable, message.reason);
      return;
    case ShardMessage::Kind::kProbeFailed:
      Feed(DestinationEvent::kProbeFailed, message.reason);
      return;
    case ShardMessage::Kind::kDestinationUp:
      Feed(DestinationEvent::kProbeAnswered, "");
      return;
    case ShardMessage::Kind::kGoNow:
      GoNow(/*ask_others=*/false);
      return;
    case ShardMessage::Kind::kProbeWanted:
      next_look_ = parts_.io.Now();
      home_.WantDispatch(*this);
      return;
    case ShardMessage::Kind::kStop:
    case ShardMessage::Kind::kReload:
    case ShardMessage::Kind::kRule:
    case ShardMessage::Kind::kRuleAnswer:
    case ShardMessage::Kind::kAsk:
    case ShardMessage::Kind::kAnswered:
    case ShardMessage::Kind::kRecipientAsk:
    case ShardMessage::Kind::kRecipientKnown:
    case ShardMessage::Kind::kRecipientLearned:
      break;
  }
  UNREACHABLE();
}

}  // namespace backstay
