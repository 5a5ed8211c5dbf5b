// core/shard/route_outcomes.cc -- what became of a message: settled, deferred, sent again.
#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <utility>

#include "core/base/check.h"
#include "core/base/log.h"
#include "core/base/mark.h"
#include "core/shard/retry_origin.h"
#include "core/shard/route.h"

namespace backstay {
namespace {

// What breaks a connection may be the message; others go first, but not for the schedule's minutes.
constexpr absl::Duration kPauseAfterBreak = absl::Seconds(15);
constexpr uint32_t kBreaksMax = 5;  // doublings
// DESIGN 3.2 "bounce_after": a primary that was down so recently may not be what it was yet.
constexpr absl::Duration kRecently = absl::Hours(24);
// A refusal that may be one of many waits so long for the others.
constexpr absl::Duration kDoubtFor = absl::Minutes(1);

absl::Duration PauseAfterBreak(uint32_t attempts) {
  return kPauseAfterBreak * (1 << std::min(attempts - 1, kBreaksMax));
}

SpoolTime RefusedSince(const Deferral* before, SpoolTime now) {
  const bool was_refused = before != nullptr && before->refused_since != SpoolTime();
  return was_refused ? before->refused_since : now;
}

std::string AnswerText(const Outcome& outcome) {
  return outcome.enhanced.empty() ? outcome.text
                                  : fmt::format("{} {}", outcome.enhanced, outcome.text);
}

// The primary as reports name it: RFC 3464 s2.3.5, RFC 5321 s4.1.3.
std::string RemoteOf(const AttemptReport& report) {
  const bool has_name =
      !report.relay_name.empty() && report.relay_name != report.relay.AddressString();
  return has_name ? std::string(report.relay_name)
                  : fmt::format("[{}]", report.relay.AddressLiteral());
}

// Said of the recipient itself: 5.1.Y is about the address.
bool IsUnknownUser(const Outcome& outcome) {
  return outcome.kind == Outcome::Kind::kFailed && outcome.phase == Outcome::Phase::kRcpt &&
         outcome.code == 550 && outcome.enhanced.starts_with("5.1.");
}

// The content was on its way when the connection broke.
bool IsLostInContent(const Outcome& outcome) {
  return outcome.code == 0 && !outcome.own &&
         (outcome.phase == Outcome::Phase::kData || outcome.phase == Outcome::Phase::kEndOfData);
}

MessageFate FateOf(const std::vector<Outcome>& outcomes) {
  MessageFate fate = MessageFate::kUntried;
  for (const Outcome& outcome : outcomes) {
    if (outcome.kind == Outcome::Kind::kDelivered) {
      return MessageFate::kTaken;
    }
    if (outcome.kind == Outcome::Kind::kFailed && fate == MessageFate::kUntried) {
      fate = MessageFate::kRefused;
    } else if (outcome.kind == Outcome::Kind::kDeferred && outcome.own) {
      fate = MessageFate::kDeferred;
    }
  }
  return fate;
}

}  // namespace

void Route::OnUnreadable(const Attempt& attempt, ReadOutcome outcome) {
  queue_.Release(attempt.message);
  OnEnded(MessageFate::kUntried, absl::ZeroDuration());
  const QueueId id = parts_.spool.Id(attempt.message);
  const auto text = id.ToText();
  const std::string_view name(text.data(), text.size());
  if (outcome == ReadOutcome::kUnreadable) {
    LogError("message {} cannot be read now; it stays queued", name);
    queue_.AfterOverflow(parts_.spool.Clock());  // met again by a later pass
    return;
  }
  MARK("quarantined_on_read");
  LogError("message {} is damaged on disk: quarantined, nothing of it is delivered", name);
  std::vector<RecipientSettle> settles;
  const uint32_t recipients = parts_.spool.Recipients(attempt.message);
  for (uint32_t recipient = 0; recipient < recipients; ++recipient) {
    if (parts_.spool.IsLive(attempt.message, recipient)) {
      settles.push_back({recipient, SettleKind::kQuarantined, {}});
    }
  }
  counters_.quarantined += settles.size();
  Event event;
  event.kind = EventKind::kQuarantined;
  event.id = name;
  parts_.log.Add(event);
  if (!settles.empty()) {
    parts_.spool.Settle(attempt.message, settles);
  }
}

void Route::OnOutcomes(const Attempt& attempt, const AttemptReport& report) {
  ASSERT(report.recipients.size() == report.outcomes.size());
  queue_.Release(attempt.message);
  const MessageFate fate = FateOf(report.outcomes);
  OnEnded(fate, report.transmitting);
  if (report.is_chained && fate != MessageFate::kUntried) {
    chains_lost_ = 0;
  }
  std::optional<uint32_t> again_from = report.more_from;
  for (size_t position = 0; position < report.recipients.size(); ++position) {
    const Outcome& outcome = report.outcomes[position];
    if (RepeatsAtOnce(outcome)) {
      again_from =
          std::min(again_from.value_or(report.recipients[position]), report.recipients[position]);
      continue;
    }
    Apply(attempt, report, position);
  }
  if (again_from.has_value()) {
    Attempt again = attempt;
    again.from_recipient = *again_from;
    // Recipients of this transaction behind the first that is to be repeated may have been deferred
    // for themselves: their entries now say when, also in a recovery pass.
    again.recovery = false;
    queue_.GiveBack(again);
  }
  home_.WantDispatch(*this);
}

// The connection's fault, not the message's: it comes first again. But a message whose content was
// on its way when the connection broke may be what breaks it, so it waits like a deferred one; if
// the primary went down with it, its return overrides the wait.
bool Route::RepeatsAtOnce(const Outcome& outcome) const {
  if (outcome.kind != Outcome::Kind::kDeferred || outcome.own) {
    return false;
  }
  return stopping_ || !IsLostInContent(outcome);
}

// ---- refusals ----

Breaker::Verdict Route::AskBreaker(const AttemptReport& report, size_t position) {
  const Outcome& outcome = report.outcomes[position];
  const DomainId domain = report.domains[position];
  Breaker& breaker = breakers_[domain];
  if (outcome.kind == Outcome::Kind::kDelivered) {
    breaker.OnTaken();
  } else if (outcome.kind == Outcome::Kind::kDeferred) {
    breaker.OnDeferred();
  } else {
    const std::hash<std::string_view> hash;
    const Breaker::Verdict verdict =
        breaker.OnRefused(outcome, hash(report.envelope.reverse_path),
                          hash(report.envelope.recipients[report.recipients[position]].address),
                          destination_.state() == DestinationState::kRamping);
    if (verdict == Breaker::Verdict::kTripped) {
      Trip(domain, outcome);
    }
    return verdict;
  }
  return Breaker::Verdict::kNone;
}

void Route::Trip(DomainId domain, const Outcome& outcome) {
  MARK("breaker_tripped");
  const std::string name(parts_.spool.Name(domain));
  LogError(
      "held: {} refuses everybody at {} ({} {}); nothing is bounced. Look at the primary, then: "
      "backstay primary release {}",
      plan_.name, Escaped(name), outcome.code, Escaped(AnswerText(outcome)), Escaped(name));
  parts_.post.Post(parts_.index, parts_.post.desk(),
                   {.kind = ShardMessage::Kind::kBreakerTripped, .reason = name});
}

absl::Duration Route::HoldOff(DomainId domain) const {
  const bool was_down = destination_.WasDownSince(parts_.io.Now() - kRecently);
  return was_down ? home_.PolicyOf(domain).bounce_after : absl::ZeroDuration();
}

// Whether this refusal ends it for the recipient.
bool Route::IsFinal(const Attempt& attempt, const AttemptReport& report, size_t position,
                    Breaker::Verdict verdict) const {
  const DomainId domain = report.domains[position];
  if (verdict == Breaker::Verdict::kAccepted) {
    return true;
  }
  if (verdict == Breaker::Verdict::kTripped || breakers_.at(domain).tripped() ||
      parts_.spool.StopOf(domain) != DomainStop::kNone) {
    return false;
  }
  const SpoolTime now = parts_.spool.Clock();
  const RetryOrigin origin =
      OriginOf(report.arrival, parts_.spool.StandingOf(attempt.message, domain));
  const SpoolTime since =
      RefusedSince(DeferralOf(attempt.message, report.recipients[position], origin), now);
  const absl::Duration doubt =
      verdict == Breaker::Verdict::kDoubted ? kDoubtFor : absl::ZeroDuration();
  return now - since >= std::max(HoldOff(domain), doubt);
}

// ---- records ----

// One recipient's verdict becomes a record.
void Route::Apply(const Attempt& attempt, const AttemptReport& report, size_t position) {
  const uint32_t recipient = report.recipients[position];
  const Outcome& outcome = report.outcomes[position];
  const DeferralTable::Key key{attempt.message.segment, attempt.message.block, recipient};
  const Breaker::Verdict verdict = AskBreaker(report, position);
  if (outcome.kind == Outcome::Kind::kDeferred ||
      (outcome.kind == Outcome::Kind::kFailed && !IsFinal(attempt, report, position, verdict))) {
    Log(EventKind::kDeferred, attempt, report, position);
    Defer(attempt, report, position);
    return;
  }
  queue_.deferrals().Erase(key);
  RecipientSettle settle;
  settle.recipient = recipient;
  std::string note;
  EventKind event = EventKind::kDelivered;
  if (outcome.kind == Outcome::Kind::kDelivered) {
    destination_.OnDelivered(parts_.io.Now());
    ++counters_.delivered;
  } else if (report.envelope.reverse_path.empty()) {
    event = EventKind::kDiscarded;
    settle.kind = SettleKind::kDiscarded;
    ++counters_.discarded;
  } else {
    event = EventKind::kFailed;
    settle.kind = SettleKind::kFailed;
    Deferral last;
    last.code = static_cast<uint16_t>(outcome.code);
    last.text = AnswerText(outcome);
    last.last_try = parts_.spool.Clock();
    last.remote = outcome.code != 0 ? RemoteOf(report) : "";
    note = EncodeDeferralNote(last);
    settle.detail = AsBytes(note);
    ++counters_.failed;
  }
  Log(event, attempt, report, position);
  if (outcome.kind == Outcome::Kind::kDelivered || IsUnknownUser(outcome)) {
    home_.Learn(report.domains[position], report.envelope.recipients[recipient].address,
                outcome.kind == Outcome::Kind::kDelivered);
  }
  parts_.spool.Settle(attempt.message, {&settle, 1});
  if (settle.kind == SettleKind::kFailed) {
    parts_.reporter.OnFailed(attempt.message);
  }
  LogIfRemoved(parts_.log, parts_.spool, attempt.message);
  if (settle.kind == SettleKind::kDelivered) {
    settles_.push_back(parts_.spool.SettlesQueued());
  }
}

void Route::Log(EventKind kind, const Attempt& attempt, const AttemptReport& report,
                size_t position) {
  if (!parts_.log.is_on()) {
    return;
  }
  const auto id = parts_.spool.Id(attempt.message).ToText();
  const std::string relay = report.relay.AddressString();
  const Outcome& outcome = report.outcomes[position];
  Event event;
  event.kind = kind;
  event.connection = report.connection;
  event.id = std::string_view(id.data(), id.size());
  event.sender = report.envelope.reverse_path;
  event.recipient = report.envelope.recipients[report.recipients[position]].address;
  event.relay = relay;
  event.relay_port = report.relay.port();
  event.tls = report.tls;
  event.reply = {outcome.code, outcome.enhanced, outcome.text};
  if (outcome.code == 0 && outcome.text.empty()) {
    event.reply.text = "connection lost";
  }
  event.connecting = report.connecting;
  event.transmitting = report.transmitting;
  event.waited = parts_.spool.Clock() - report.arrival - event.connecting - event.transmitting;
  parts_.log.Add(event);
}

void Route::Defer(const Attempt& attempt, const AttemptReport& report, size_t position) {
  const uint32_t recipient = report.recipients[position];
  const DomainId domain = report.domains[position];
  const Outcome& outcome = report.outcomes[position];
  const SpoolTime now = parts_.spool.Clock();
  const DeferralTable::Key key{attempt.message.segment, attempt.message.block, recipient};
  const RetryOrigin origin =
      OriginOf(report.arrival, parts_.spool.StandingOf(attempt.message, domain));
  const Deferral* before = DeferralOf(attempt.message, recipient, origin);
  Deferral deferral;
  deferral.last_try = now;
  deferral.first_own = before != nullptr ? before->first_own : now;
  deferral.attempts = before != nullptr ? before->attempts + 1 : 1;
  deferral.next_try = home_.PolicyOf(domain).NextTry(origin, now, !attempt.recovery);
  if (IsLostInContent(outcome)) {
    deferral.next_try = std::min(deferral.next_try, now + PauseAfterBreak(deferral.attempts));
  } else if (outcome.kind == Outcome::Kind::kFailed) {
    deferral.refused_since = RefusedSince(before, now);
    deferral.next_try = std::max(deferral.refused_since + HoldOff(domain), now + kDoubtFor);
  }
  deferral.code = static_cast<uint16_t>(outcome.code);
  deferral.text = AnswerText(outcome);
  deferral.remote = outcome.code != 0 ? RemoteOf(report) : "";
  last_failure_ = now;
  ++counters_.deferred;
  const std::string note = EncodeDeferralNote(deferral);
  parts_.spool.Defer(attempt.message, recipient, domain, AsBytes(note));
  if (!queue_.deferrals().Insert(key, std::move(deferral))) {
    queue_.AfterOverflow(now);
  }
}

// ---- expiry ----

// Null as well for one that is older than the last reset.
const Deferral* Route::DeferralOf(MessageRef message, uint32_t recipient,
                                  const RetryOrigin& origin) const {
  const Deferral* deferral = queue_.deferrals().Find({message.segment, message.block, recipient});
  return deferral != nullptr && deferral->last_try >= origin.schedule ? deferral : nullptr;
}

bool Route::GrantedMore(MessageRef message, uint32_t recipient, const RetryOrigin& origin,
                        DomainId domain) const {
  const Deferral* deferral = DeferralOf(message, recipient, origin);
  return deferral != nullptr && !home_.PolicyOf(domain).GiveUp(origin, parts_.spool.Clock(),
                                                               last_failure_, deferral->first_own);
}

std::string Route::OnExpired(MessageRef message, uint32_t recipient, SettleKind kind) {
  const DeferralTable::Key key{message.segment, message.block, recipient};
  const Deferral* deferral = queue_.deferrals().Find(key);
  Deferral last;
  if (deferral != nullptr) {
    last = *deferral;
  } else {
    last.text = last_reason_;
  }
  queue_.deferrals().Erase(key);
  (kind == SettleKind::kDiscarded ? counters_.discarded : counters_.failed) += 1;
  return EncodeDeferralNote(last);
}

}  // namespace backstay
