// core/shard/route_outcomes.cc -- what became of a message: settled, deferred, sent again.
#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <utility>

#include "core/base/check.h"
#include "core/base/log.h"
#include "core/base/mark.h"
#include "core/shard/failure_text.h"
#include "core/shard/route.h"

namespace backstay {
namespace {

// DESIGN 3.2 "bounce_after": a primary that was down so recently may not be what it was yet.
constexpr absl::Duration kRecently = absl::Hours(24);

// Said of the recipient itself: 5.1.Y is about the address.
bool IsUnknownUser(const Outcome& outcome) {
  return outcome.kind == Outcome::Kind::kFailed && outcome.phase == Outcome::Phase::kRcpt &&
         outcome.code == 550 && outcome.enhanced.starts_with("5.1.");
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
      const bool is_of_recipient = outcome.phase == Outcome::Phase::kRcpt;
      if (!is_of_recipient) {
        fate = MessageFate::kPutOff;
      } else if (fate != MessageFate::kPutOff) {
        fate = MessageFate::kDeferred;
      }
    }
  }
  return fate;
}

}  // namespace

void Route::OnUnreadable(const Attempt& attempt, ReadOutcome outcome) {
  Release(attempt.message);
  OnEnded(attempt, MessageFate::kUntried, absl::ZeroDuration());
  SetAside(attempt.message, outcome);
}

void Route::OnOutcomes(const Attempt& attempt, const AttemptReport& report) {
  ASSERT(report.recipients.size() == report.outcomes.size());
  Release(attempt.message);
  const MessageFate fate = FateOf(report.outcomes);
  OnEnded(attempt, fate, report.transmitting);
  if (fate == MessageFate::kTaken) {
    watch_.OnTaken(report.relay);
  } else if (fate == MessageFate::kPutOff) {
    OnHostTrouble(report.relay, /*is_silence=*/false, "it puts off each message");
  }
  if (report.is_chained && fate != MessageFate::kUntried) {
    chains_lost_ = 0;
  }
  std::optional<uint32_t> again_from = report.more_from;
  const bool is_progress = fate == MessageFate::kTaken;
  bool is_deferred = false;
  for (size_t position = 0; position < report.recipients.size(); ++position) {
    const Outcome& outcome = report.outcomes[position];
    if (RepeatsAtOnce(attempt, outcome, is_progress)) {
      again_from =
          std::min(again_from.value_or(report.recipients[position]), report.recipients[position]);
      continue;
    }
    Apply(attempt, report, position);
    is_deferred = is_deferred || outcome.kind != Outcome::Kind::kDelivered;
  }
  if (again_from.has_value()) {
    Attempt again = attempt;
    again.from_recipient = *again_from;
    again.breaks += again_from == report.more_from || is_progress ? 0 : 1;
    // Recipients of this transaction behind the first that is to be repeated may have been deferred
    // for themselves: their entries now say when, also in a recovery pass.
    again.recovery = attempt.recovery && (again_from == report.more_from || !is_deferred);
    GiveBack(again);
  }
  home_.WantDispatch(*this);
}

// "Too many recipients" behind some that were taken: the rest has a transaction of its own, as
// often as each takes some (RFC 5321 s4.5.3.1.10).
// The connection's fault, not the message's: it comes first again, once. For a message may be what
// ends connections (a 421 at it each time, or content at which they break), and then it must not
// stand before all others: it waits like a deferred one. If the primary went down with it, its
// return overrides the wait.
bool Route::RepeatsAtOnce(const Attempt& attempt, const Outcome& outcome, bool is_progress) const {
  if (outcome.kind != Outcome::Kind::kDeferred || outcome.own) {
    return false;
  }
  const bool is_one_too_many =
      outcome.phase == Outcome::Phase::kRcpt && (outcome.code == 452 || outcome.code == 552);
  return stopping_ || (is_progress && is_one_too_many) ||
         (attempt.breaks == 0 && !IsLostInContent(outcome));
}

// ---- refusals ----

void Route::OnBacklog(DomainId domain, uint64_t canaries_from) {
  const uint64_t messages = parts_.spool.LiveMessages(domain);
  if (messages == 0 || IsReportDomain(parts_.spool.Name(domain))) {
    return;
  }
  MARK("backlog_on_trial");
  trials_[domain] = parts_.spool.Clock();
  queue_.ForgetUnlistedRefusals();
  if (messages >= canaries_from && destination_.Doubt(parts_.io.Now())) {
    LogInfo("primary {}: {} messages for {} have waited here and it has taken none; a few go first",
            plan_.name, messages, Escaped(parts_.spool.Name(domain)));
    Broadcast(ShardMessage::Kind::kPlacesChanged, "");  // each says whether it has mail, too
    home_.WantDispatch(*this);
  }
}

bool Route::IsOnTrial(DomainId domain, SpoolTime arrival) const {
  const auto trial = trials_.find(domain);
  return trial != trials_.end() && arrival <= trial->second;
}

// The answers are the domain's, whoever gave them: what is usual does not change with the primary.
Breaker& Route::BreakerOf(DomainId domain) {
  if (const auto found = breakers_.find(domain); found != breakers_.end()) {
    return found->second;
  }
  const uint64_t key = DomainKey(parts_.spool.Name(domain));
  return breakers_.try_emplace(domain, parts_.shared.answers.At(key)).first->second;
}

Breaker::Verdict Route::AskBreaker(const AttemptReport& report, size_t position) {
  const Outcome& outcome = report.outcomes[position];
  const DomainId domain = report.domains[position];
  if (IsReportDomain(parts_.spool.Name(domain))) {
    return Breaker::Verdict::kNone;  // of senders who do not exist a smart host refuses hundreds
  }
  Breaker& breaker = BreakerOf(domain);
  if (outcome.kind == Outcome::Kind::kDelivered) {
    breaker.OnTaken();
  } else if (outcome.kind == Outcome::Kind::kDeferred) {
    breaker.OnDeferred();
  } else {
    const std::hash<std::string_view> hash;
    const Breaker::Verdict verdict = breaker.OnRefused(
        outcome, hash(report.envelope.reverse_path),
        hash(report.envelope.recipients[report.recipients[position]].address),
        destination_.state() == DestinationState::kRamping || IsOnTrial(domain, report.arrival));
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

bool Route::IsTripped(DomainId domain) const {
  const auto breaker = breakers_.find(domain);
  return breaker != breakers_.end() && breaker->second.tripped();
}

absl::Duration Route::HoldOff(DomainId domain, SpoolTime arrival) const {
  const bool was_down = destination_.WasDownSince(parts_.io.Now() - kRecently);
  return was_down || IsOnTrial(domain, arrival) ? home_.PolicyOf(domain).bounce_after
                                                : absl::ZeroDuration();
}

// Whether this refusal ends it for the recipient.
bool Route::IsFinal(const Attempt& attempt, const AttemptReport& report, size_t position,
                    Breaker::Verdict verdict) const {
  const DomainId domain = report.domains[position];
  if (verdict == Breaker::Verdict::kAccepted) {
    return true;
  }
  if (verdict == Breaker::Verdict::kTripped || IsTripped(domain) ||
      parts_.spool.StopOf(domain) != DomainStop::kNone) {
    return false;
  }
  const SpoolTime now = parts_.spool.Clock();
  const RetryOrigin origin = CountsFrom(attempt.message, domain);
  const Deferral* const before = DeferralOf(attempt.message, report.recipients[position], origin);
  if (verdict == Breaker::Verdict::kDoubted && before == nullptr) {
    return false;  // nothing says that this doubt is a minute old
  }
  const SpoolTime since = RefusedSince(before, now);
  const absl::Duration doubt =
      verdict == Breaker::Verdict::kDoubted ? kDoubtFor : absl::ZeroDuration();
  return now - since >= std::max(HoldOff(domain, report.arrival), doubt);
}

// ---- records ----

// One recipient's verdict becomes a record.
void Route::Apply(const Attempt& attempt, const AttemptReport& report, size_t position) {
  const Outcome& outcome = report.outcomes[position];
  const DomainId domain = report.domains[position];
  const bool is_taken = outcome.kind == Outcome::Kind::kDelivered;
  const Breaker::Verdict verdict = AskBreaker(report, position);
  if (outcome.kind == Outcome::Kind::kDeferred ||
      (!is_taken && !IsFinal(attempt, report, position, verdict))) {
    Defer(attempt, report, position, HoldOff(domain, report.arrival));
    return;
  }
  if (is_taken) {
    destination_.OnDelivered(parts_.io.Now());
  }
  if (is_taken || IsUnknownUser(outcome)) {
    home_.Learn(domain, report.envelope.recipients[report.recipients[position]].address, is_taken);
  }
  Settle(attempt, report, position);
}

}  // namespace backstay
