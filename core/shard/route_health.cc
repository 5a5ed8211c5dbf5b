// core/shard/route_health.cc -- what connections and probes say of the primary, and who is told.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "core/base/check.h"
#include "core/base/log.h"
#include "core/base/mark.h"
#include "core/shard/failure_text.h"
#include "core/shard/route.h"

namespace backstay {
namespace {

// After a connection that ended badly while the destination counts as up: no hot loop of connects.
constexpr absl::Duration kPauseAfterBadEnd = absl::Seconds(1);
// A primary that loses what it gets behind an end of data, in spite of its PIPELINING.
constexpr absl::Duration kUnchainedFor = absl::Minutes(10);
constexpr uint32_t kUnchainedMax = 7;  // doublings
// Each is a pass through all that waits.
constexpr absl::Duration kGoNowEvery = absl::Seconds(10);
constexpr absl::Duration kDoubtAgainAfter = absl::Seconds(1);
// While it is down the home route tells of every probe, and those are seconds apart.
constexpr absl::Duration kSilenceMax = absl::Minutes(1);
// Longer than greylisting takes.
constexpr absl::Duration kCanariesSpeakAfter = absl::Hours(1);

}  // namespace

void Route::OnDeliveryGreeted(Delivery& delivery) {
  addresses_failed_ = 0;
  watch_.OnGreeted(delivery.connection().address());
  Feed(DestinationEvent::kAnswered, "");
}

void Route::OnDeliveryClosed(Delivery& delivery) {
  home_.WantDispatch(*this);
  if (stopping_ || delivery.stopping()) {
    return;  // we ended it: that says nothing about the primary
  }
  const OutboundConnection& connection = delivery.connection();
  const std::string reason = FailureThere(connection);
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
  if (connection.session().chain_unanswered() &&
      failure != ClientSession::Failure::kServiceClosing) {
    OnChainLost();
  }
  pause_until_ = parts_.io.Now() + kPauseAfterBadEnd;
  if (!OnHostTrouble(connection.address(), connection.deadline_passed(), reason)) {
    Feed(DestinationEvent::kTrouble, reason);
  }
}

// It answers and takes nothing. The next address of the list has its turn, and this one another
// chance in a while (NextLook). Mail is not sent to and fro: where no other host is good it stays.
// True: it goes elsewhere now, so this is no trouble of the whole list.
bool Route::OnHostTrouble(const SocketAddress& host, bool is_silence, std::string_view reason) {
  if (hosts_.size() < 2 || !HasHost(host)) {
    return false;
  }
  const Instant now = parts_.io.Now();
  watch_.Keep(hosts_);
  if (!watch_.OnTrouble(host, is_silence, now) && !watch_.IsPassedOver(host, now)) {
    return false;
  }
  if (const SocketAddress& at = hosts_[address_].address; at != host) {
    return !watch_.IsPassedOver(at, now);  // others that were open to it break off, too
  }
  const std::optional<size_t> other = watch_.FirstGood(hosts_, now);
  if (!other.has_value()) {
    MARK("no_other_host_is_good");
    return false;
  }
  MARK("host_passed_over");
  LogWarning("{}: {} answers and takes no mail ({}); {} has it for a while", plan_.name,
             host.ToString(), Escaped(reason), hosts_[*other].address.ToString());
  address_ = *other;
  first_again_at_ = std::min(watch_.PassedOverUntil(host), now + HostWatch::kPassedOverFor);
  home_.WantDispatch(*this);
  return true;
}

// What is open to a host that takes nothing ends behind the message that is under way on it.
void Route::LeavePassedOver() {
  const Instant now = parts_.io.Now();
  if (hosts_.size() < 2 || watch_.IsPassedOver(hosts_[address_].address, now)) {
    return;
  }
  for (const std::unique_ptr<Delivery>& delivery : deliveries_) {
    if (!delivery->stopping() && watch_.IsPassedOver(delivery->connection().address(), now)) {
      delivery->LeaveBehind();
    }
  }
}

// It may have been chance: the next chain will tell.
void Route::OnChainLost() {
  const Instant now = parts_.io.Now();
  if (now >= chains_from_) {
    MARK("unchained_for_a_while");
    chains_from_ = now + kUnchainedFor * (1 << std::min(chains_lost_++, kUnchainedMax));
  }
}

// Of MX hosts only those that are better than we are get mail (RFC 5321 s5.1): the others would
// send it back to us. A list says nothing of who sends to whom: all others of it are tried.
void Route::OnMetOurselves(const OutboundConnection& connection, std::string_view reason) {
  const auto at = std::find_if(hosts_.begin(), hosts_.end(), [&](const PrimaryHost& host) {
    return host.address == connection.address();
  });
  ASSERT(at != hosts_.end());
  const bool by_mx = !plan_.list.mx_domain.empty();
  const auto is_out = [by_mx, ours = *at](const PrimaryHost& host) {
    return host.address == ours.address || (by_mx && host.preference >= ours.preference);
  };
  if (!std::all_of(hosts_.begin(), hosts_.end(), is_out)) {
    LogError("{}: {} greets with our own name; only {} are tried", plan_.name,
             connection.address().ToString(), by_mx ? "better hosts" : "the others");
    std::erase_if(hosts_, is_out);
    address_ = 0;
    probe_.Stop();  // it counts in the list as it was
    for (const std::unique_ptr<Delivery>& delivery : deliveries_) {
      if (!HasHost(delivery->connection().address())) {
        delivery->LeaveBehind();
      }
    }
    home_.WantDispatch(*this);
    return;
  }
  const PrimaryStanding standing = by_mx ? PrimaryStanding::kBestMx : PrimaryStanding::kSelf;
  LogError(
      "held ({}): {} greets with our own name ({}); mail to ourselves would loop. When it has "
      "another: backstay primary probe",
      Describe(standing), plan_.name, Escaped(reason));
  ourselves_ = *at;
  probe_.Stop();  // what another host says late ends no hold
  Feed(DestinationEvent::kIsSelf, Describe(standing));
  if (is_home_) {
    TellOfHold();
  }
}

// The connection never got through EHLO. The next address of the list has its turn; when none is
// left, the destination is what the last one said.
void Route::OnNotGreeted(const OutboundConnection& connection, std::string_view reason) {
  const ClientSession::Failure failure = connection.session().failure();
  if (!HasHost(connection.address())) {
    return;  // where it was is not its place any more
  }
  if (failure == ClientSession::Failure::kSelf) {
    return OnMetOurselves(connection, reason);
  }
  if (connection.tls_fallback()) {
    pause_until_ = parts_.io.Now() + kPauseAfterBadEnd;
    return;  // the host is well; its next connection does without
  }
  watch_.Keep(hosts_);
  watch_.OnNotGreeted(connection.address(), parts_.io.Now());
  address_ = (address_ + 1) % hosts_.size();
  if (++addresses_failed_ < hosts_.size()) {
    return;
  }
  addresses_failed_ = 0;
  const bool soft = IsSoftFailure(connection);
  const bool ours = connection.connect_error() == IoError::kNoDescriptors ||
                    connection.connect_error() == IoError::kNoMemory;
  pause_until_ = parts_.io.Now() + kPauseAfterBadEnd;
  if (!ours) {
    Feed(soft ? DestinationEvent::kTrouble : DestinationEvent::kUnreachable, reason);
  }
}

void Route::Feed(DestinationEvent event, std::string_view reason) {
  if (destination_.state() == DestinationState::kHeld && event != DestinationEvent::kIsSelf) {
    home_.WantDispatch(*this);
    return;  // and it is held for what it was held for
  }
  if (event == DestinationEvent::kUnreachable || event == DestinationEvent::kTrouble ||
      event == DestinationEvent::kProbeFailed || event == DestinationEvent::kIsSelf) {
    last_reason_.assign(reason);
  }
  const DestinationState before = destination_.state();
  if (destination_.Feed(event, parts_.io.Now(), parts_.io.random())) {
    if (destination_.state() == DestinationState::kDown) {
      WentDown(reason);
    } else if (before == DestinationState::kDown &&
               destination_.state() != DestinationState::kHeld) {
      CameUp();
    }
  }
  if (destination_.state() == DestinationState::kDown) {
    last_failure_ = parts_.spool.Clock();
  }
  NoteHold();
  home_.WantDispatch(*this);
}

bool Route::GoNow(bool ask_others) {
  const Instant now = parts_.io.Now();
  if (retired_ || hosts_.empty() || destination_.state() == DestinationState::kHeld) {
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

void Route::LookNow() {
  GoNow(/*ask_others=*/false);
  const Instant now = parts_.io.Now();
  const bool is_again = looked_at_.has_value() && now < *looked_at_ + kGoNowEvery;
  if (!is_home_ || retired_ || hosts_.empty() || is_again) {
    return;
  }
  looked_at_ = now;
  if (destination_.state() == DestinationState::kHeld) {
    UseFound();  // another host of the list greeted so before, and may have another name, too
    NoteHold();
  }
  // What is down GoNow() has looked at.
  is_look_asked_ = destination_.state() != DestinationState::kDown;
  home_.WantDispatch(*this);
}

void Route::Resume(const Outages& outages) {
  outages_ = outages;
  if (outages_.empty()) {
    return;
  }
  const WallTime wall = parts_.io.WallNow();
  const Instant now = parts_.io.Now();
  const auto ago = [&](WallTime then) { return now - std::max(wall - then, absl::ZeroDuration()); };
  const Outage& last = outages_.back();
  if (last.lasts()) {
    MARK("resumed_as_down");
    destination_.ResumeDown(ago(last.since), now);
    last_reason_ = last.reason;
  } else {
    destination_.ResumeUp(ago(last.until));
  }
}

void Route::WentDown(std::string_view reason) {
  for (const std::unique_ptr<Delivery>& delivery : deliveries_) {
    delivery->LeaveBehind();
  }
  verifier_.LeaveBehind();
  if (!is_home_) {
    TellHome(reason);
    return;
  }
  LogWarning("primary {} is down ({}); probing", plan_.name, reason);
  outages_.push_back({parts_.io.WallNow(), WallTime(), std::string(reason)});
  if (outages_.size() > kOutagesMax) {
    outages_.erase(outages_.begin());
  }
  home_.OnOutages(*this);
  home_.OnWentDown(*this);
  Broadcast(ShardMessage::Kind::kDestinationDown, reason);
}

void Route::TellHome(std::string_view reason) {
  tell_home_at_ = parts_.io.Now() + kSilenceMax;
  parts_.post.Post(parts_.index, key_ % parts_.post.shards(),
                   {.kind = ShardMessage::Kind::kDestinationFailed,
                    .destination = key_,
                    .reason = std::string(reason)});
}

// What it was told may have come before a reload that made it know the destination, or while it
// held it.
void Route::TellHomeAgain() {
  if (!is_home_ && destination_.state() == DestinationState::kDown &&
      parts_.io.Now() >= tell_home_at_) {
    MARK("home_told_again");
    TellHome(last_reason_);
  }
}

// Everything queued is eligible at once (DESIGN 6), and canaries go first.
void Route::CameUp() {
  queue_.Restart();
  last_failure_ = SpoolTime();  // whose time is over has one more try, at what is up now
  deferring_since_.reset();
  if (is_home_) {
    outages_.back().until = parts_.io.WallNow();
    home_.OnOutages(*this);
    LogInfo("primary {} is back", plan_.name);
    Broadcast(ShardMessage::Kind::kDestinationUp, "");
  }
}

// That it answers EHLO does not bring mail back to a host that was passed over a moment ago.
void Route::OnProbeAnswered(size_t host) {
  if (destination_.state() == DestinationState::kHeld) {
    LogInfo("primary {} has a name of its own again", plan_.name);
    EndHold();
    return Broadcast(ShardMessage::Kind::kDestinationUp, "");
  }
  const Instant now = parts_.io.Now();
  const SocketAddress& address = hosts_[host].address;
  watch_.OnGreeted(address);
  const bool is_bad = watch_.IsPassedOver(address, now);
  address_ = is_bad ? watch_.FirstGood(hosts_, now).value_or(host) : host;
  addresses_failed_ = 0;
  if (std::exchange(is_doubted_, false) && destination_.may_deliver()) {
    MARK("doubted_and_well");
    Broadcast(ShardMessage::Kind::kDestinationUp, "");
  }
  if (std::exchange(is_looking_, false)) {
    MARK("looked_and_well");  // another shard may hold it
    Broadcast(ShardMessage::Kind::kDestinationUp, "");
  }
  Feed(DestinationEvent::kProbeAnswered, "");
}

// The host that greeted as we do has a name of its own, here or as the home shard met it.
void Route::EndHold() {
  MARK("held_as_ourselves_and_well");
  destination_.Release();
  queue_.Restart();
  home_.OnHoldEnded(*this);
  Feed(DestinationEvent::kProbeAnswered, "");
}

// Who waits for this shard's word hears that nothing fails any more: nothing held is given up. The
// others find out by themselves.
void Route::TellOfHold() {
  FoundPrimaries met;
  met.standing = plan_.list.mx_domain.empty() ? PrimaryStanding::kSelf : PrimaryStanding::kBestMx;
  for (size_t shard = 0; shard < parts_.post.shards(); ++shard) {
    if (shard != parts_.index) {
      parts_.post.Post(parts_.index, shard,
                       {.kind = ShardMessage::Kind::kDestinationDown,
                        .destination = key_,
                        .primaries = {met},
                        .reason = last_reason_});
    }
  }
}

void Route::OnProbeFailed(bool is_soft, std::string_view reason) {
  if (destination_.state() == DestinationState::kHeld) {
    LogWarning("primary {} stays held ({}): {}", plan_.name, last_reason_, reason);
    return home_.WantDispatch(*this);  // a look may have been asked for meanwhile
  }
  if (is_soft && destination_.may_deliver()) {
    doubt_from_ = parts_.io.Now() + kDoubtAgainAfter;
    return Feed(DestinationEvent::kTrouble, reason);
  }
  is_doubted_ = false;
  Feed(DestinationEvent::kProbeFailed, reason);
  if (is_home_) {
    Broadcast(ShardMessage::Kind::kProbeFailed, reason);
  }
}

// For a while that may be greylisting. Then they speak for the rest, which would take days to be
// tried at their pace.
void Route::OnCanariesDeferred() {
  const SpoolTime now = parts_.spool.Clock();
  deferring_since_ = deferring_since_.value_or(now);
  if (now - *deferring_since_ >= kCanariesSpeakAfter) {
    MARK("canaries_speak_for_the_rest");
    last_failure_ = now;
  }
}

// A message that was begun is over.
void Route::OnEnded(const Attempt& attempt, MessageFate fate, absl::Duration took) {
  const bool had_canaries = destination_.in_canaries();
  const Instant paused_before = destination_.paused_until();
  destination_.OnEnd(attempt.era, fate, took, parts_.io.Now());
  if (!destination_.in_canaries()) {
    deferring_since_.reset();
  } else if (destination_.paused_until() > paused_before) {
    OnCanariesDeferred();
  }
  if (had_canaries && !destination_.in_canaries()) {
    Broadcast(ShardMessage::Kind::kPlacesChanged, "");
  }
}

void Route::OnNothingLeft() {
  if (std::any_of(deliveries_.begin(), deliveries_.end(), [](const auto& delivery) {
        return delivery->attempting() && !delivery->stopping();
      })) {
    return;
  }
  const bool had_canaries = destination_.in_canaries();
  destination_.OnNothingLeft();
  if (had_canaries && !destination_.in_canaries()) {
    Broadcast(ShardMessage::Kind::kPlacesChanged, "");  // nobody waits for canaries any more
  }
  for (auto& [domain, breaker] : breakers_) {
    breaker.OnNothingLeft();
  }
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
  if (message.kind == ShardMessage::Kind::kPlacesChanged) {
    home_.WantDispatch(*this);
    return;
  }
  tell_home_at_ = parts_.io.Now() + kSilenceMax;
  switch (message.kind) {
    case ShardMessage::Kind::kDestinationFailed:
      // Another shard cannot get through. Whether nobody can a probe will tell.
      if (destination_.state() == DestinationState::kDown) {
        Broadcast(ShardMessage::Kind::kDestinationDown, last_reason_);
      } else if (destination_.state() == DestinationState::kHeld) {
        TellOfHold();
      } else {
        doubt_from_ = is_doubted_ ? doubt_from_ : parts_.io.Now();
        is_doubted_ = true;
        home_.WantDispatch(*this);
      }
      return;
    case ShardMessage::Kind::kDestinationDown:
      home_holds_ = !message.primaries.empty() && destination_.state() == DestinationState::kDown;
      if (home_holds_) {
        last_reason_ = message.reason;
      }
      if (!message.primaries.empty()) {
        return NoteHold();
      }
      Feed(DestinationEvent::kUnreachable, message.reason);
      return;
    case ShardMessage::Kind::kProbeFailed:
      home_holds_ = false;
      Feed(DestinationEvent::kProbeFailed, message.reason);
      return;
    case ShardMessage::Kind::kDestinationUp:
      home_holds_ = false;
      if (destination_.state() == DestinationState::kHeld) {
        return EndHold();  // it answered the home shard, and not as ourselves
      }
      Feed(DestinationEvent::kProbeAnswered, "");
      return;
    case ShardMessage::Kind::kGoNow:
      GoNow(/*ask_others=*/false);
      return;
    case ShardMessage::Kind::kProbeWanted:
      next_look_ = parts_.io.Now();
      home_.WantDispatch(*this);
      return;
    case ShardMessage::Kind::kPlacesChanged:
    case ShardMessage::Kind::kPrimaries:
    case ShardMessage::Kind::kOutages:
    case ShardMessage::Kind::kStop:
    case ShardMessage::Kind::kReload:
    case ShardMessage::Kind::kReloadPlanned:
    case ShardMessage::Kind::kRule:
    case ShardMessage::Kind::kRuleAnswer:
    case ShardMessage::Kind::kBreakerTripped:
    case ShardMessage::Kind::kAsk:
    case ShardMessage::Kind::kExpiryAhead:
    case ShardMessage::Kind::kAnswered:
    case ShardMessage::Kind::kRecipientAsk:
    case ShardMessage::Kind::kRecipientKnown:
    case ShardMessage::Kind::kRecipientLearned:
      break;
  }
  UNREACHABLE();
}

}  // namespace backstay
