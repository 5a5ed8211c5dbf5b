// core/shard/lane.cc -- outcomes become records: settled, deferred, set aside.
#include "core/shard/lane.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "core/base/check.h"
#include "core/base/log.h"
#include "core/base/mark.h"
#include "core/shard/failure_text.h"

namespace backstay {
namespace {

// What breaks a connection may be the message; others go first, but not for the schedule's minutes.
constexpr absl::Duration kPauseAfterBreak = absl::Seconds(15);
constexpr uint32_t kBreaksMax = 5;  // doublings

absl::Duration PauseAfterBreak(uint32_t attempts) {
  return kPauseAfterBreak * (1 << std::min(attempts - 1, kBreaksMax));
}

// The primary as reports name it: RFC 3464 s2.3.5, RFC 5321 s4.1.3.
std::string RemoteOf(const AttemptReport& report) {
  const bool has_name =
      !report.relay_name.empty() && report.relay_name != report.relay.AddressString();
  return has_name ? std::string(report.relay_name)
                  : fmt::format("[{}]", report.relay.AddressLiteral());
}

// RFC 3461 s5.2.2: who offers DSN was told what the sender wants, and sees to it; else nobody
// behind us will.
bool IsRelayed(const AttemptReport& report, size_t position) {
  const Recipient& recipient = report.envelope.recipients[report.recipients[position]];
  return report.outcomes[position].kind == Outcome::Kind::kDelivered && !report.offers_dsn &&
         (recipient.notify & Notify::kSuccess) != 0;
}

}  // namespace

void Lane::AddDomain(DomainId domain) {
  queue_.AddDomain(domain);
  WantDispatch();
}

void Lane::HandOver(DomainId domain, Lane& heir) {
  if (&heir == this) {
    return;
  }
  for (const MessageRef message : queue_.under_way()) {
    bool is_concerned = false;
    for (uint32_t i = 0; i < parts_.spool.Recipients(message); ++i) {
      is_concerned = is_concerned || parts_.spool.DomainOf(message, i) == domain;
    }
    if (is_concerned) {
      MARK("heir_waits");
      heir.queue_.Wait(message);
      heirs_.emplace_back(message, &heir);
    }
  }
}

void Lane::Release(MessageRef message) {
  queue_.Release(message);
  TellHeirs(message);
}

void Lane::GiveBack(const Attempt& attempt) {
  queue_.GiveBack(attempt);
  TellHeirs(attempt.message);
}

void Lane::TellHeirs(MessageRef message) {
  std::erase_if(heirs_, [&](const auto& waiting) {
    if (waiting.first != message) {
      return false;
    }
    waiting.second->queue_.EndWait(message);
    waiting.second->WantDispatch();
    return true;
  });
}

void Lane::OnLiveMessage(DomainId domain, MessageRef message) {
  queue_.OnLive(domain, message);
  WantDispatch();
}

void Lane::RestartDomain(DomainId domain) {
  queue_.RestartDomain(domain);
  WantDispatch();
}

void Lane::OnRecoveredDeferral(MessageRef message, uint32_t recipient, Bytes note) {
  const std::optional<Deferral> deferral = DecodeDeferralNote(note);
  if (!deferral.has_value()) {
    MARK("deferral_note_not_ours");
    return;  // it is tried again at once, which is what a lost note means
  }
  if (!queue_.deferrals().Insert({message.segment, message.block, recipient}, *deferral)) {
    queue_.AfterOverflow(parts_.spool.Clock());
  }
}

void Lane::OnSettlesDecided() {
  waits_for_settles_ = false;
  WantDispatch();
}

// What a crash delivers again is bounded by the connections: a delivery ends with its settle.
bool Lane::HasRoomForSettles(size_t deliveries_max) {
  const uint64_t decided = parts_.spool.SettlesDecided();
  while (!settles_.empty() && settles_.front() <= decided) {
    settles_.pop_front();
  }
  const bool has_room = settles_.size() < deliveries_max;
  if (!has_room && !waits_for_settles_) {
    waits_for_settles_ = true;
    lane_home_.WaitForSettles(*this);
  }
  return has_room;
}

bool Lane::IsLostInContent(const Outcome& outcome) {
  return outcome.code == 0 && !outcome.own &&
         (outcome.phase == Outcome::Phase::kData || outcome.phase == Outcome::Phase::kEndOfData);
}

SpoolTime Lane::RefusedSince(const Deferral* before, SpoolTime now) const {
  if (before == nullptr) {
    return queue_.RefusedUnlistedSince(now);
  }
  return before->refused_since != SpoolTime() ? before->refused_since : now;
}

// ---- records ----

void Lane::SetAside(MessageRef message, ReadOutcome outcome) {
  const QueueId id = parts_.spool.Id(message);
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
  const uint32_t recipients = parts_.spool.Recipients(message);
  for (uint32_t recipient = 0; recipient < recipients; ++recipient) {
    if (parts_.spool.IsLive(message, recipient)) {
      settles.push_back({recipient, SettleKind::kQuarantined, {}});
    }
  }
  Event event;
  event.kind = EventKind::kQuarantined;
  event.id = name;
  parts_.log.Add(event);
  if (!settles.empty()) {
    parts_.spool.Settle(message, settles);
  }
}

// A deletion does not wait for what is under way.
bool Lane::IsStillLive(MessageRef message, uint32_t recipient) const {
  const bool is_live = parts_.spool.IsLive(message, recipient);
  if (!is_live) {
    MARK("deleted_under_way");
  }
  return is_live;
}

// A report that fails has nobody to be told of it: discarded by that rule.
void Lane::Settle(const Attempt& attempt, const AttemptReport& report, size_t position) {
  const uint32_t recipient = report.recipients[position];
  const bool is_taken = report.outcomes[position].kind == Outcome::Kind::kDelivered;
  const bool has_sender = !report.envelope.reverse_path.empty();
  queue_.deferrals().Erase({attempt.message.segment, attempt.message.block, recipient});
  RecipientSettle settle;
  settle.recipient = recipient;
  EventKind event = EventKind::kDelivered;
  const bool is_live = IsStillLive(attempt.message, recipient);
  if (is_taken) {
    ++counters_.delivered;
  } else if (has_sender) {
    event = EventKind::kFailed;
    ++counters_.failed;
  } else {
    event = EventKind::kDiscarded;
    settle.kind = SettleKind::kDiscarded;
    ++counters_.discarded;
  }
  Log(event, attempt, report, position);
  if (!is_live) {
    return;
  }
  std::string note;
  const bool is_relayed = has_sender && IsRelayed(report, position);
  if (event == EventKind::kFailed || is_relayed) {
    settle.kind = SettleKind::kFailed;  // a report is owed
    note = DebtNote(report, position, is_relayed);
    settle.detail = AsBytes(note);
  }
  parts_.spool.Settle(attempt.message, {&settle, 1});
  if (event == EventKind::kFailed) {
    parts_.reporter.OnFailed(attempt.message);
  } else if (is_relayed) {
    parts_.reporter.OnRelayed(attempt.message);
  }
  LogIfRemoved(parts_.log, parts_.spool, attempt.message);
  if (is_taken) {
    settles_.push_back(parts_.spool.SettlesQueued());
  }
}

// What the report will say of it.
std::string Lane::DebtNote(const AttemptReport& report, size_t position, bool is_relayed) const {
  const Outcome& outcome = report.outcomes[position];
  Deferral last;
  last.code = static_cast<uint16_t>(outcome.code);
  last.text = AnswerText(outcome);
  last.last_try = parts_.spool.Clock();
  last.remote = outcome.code != 0 ? RemoteOf(report) : "";
  last.is_relayed = is_relayed;
  return EncodeDeferralNote(last);
}

void Lane::Log(EventKind kind, const Attempt& attempt, const AttemptReport& report,
               size_t position) {
  if (!parts_.log.is_on()) {
    return;
  }
  const auto id = parts_.spool.Id(attempt.message).ToText();
  const bool is_nowhere = report.relay == SocketAddress();
  const std::string relay = is_nowhere ? "" : report.relay.AddressString();
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

void Lane::Defer(const Attempt& attempt, const AttemptReport& report, size_t position,
                 absl::Duration hold_off) {
  Log(EventKind::kDeferred, attempt, report, position);
  const uint32_t recipient = report.recipients[position];
  const DeferralTable::Key key{attempt.message.segment, attempt.message.block, recipient};
  if (!IsStillLive(attempt.message, recipient)) {
    queue_.deferrals().Erase(key);
    return;
  }
  const DomainId domain = report.domains[position];
  const Outcome& outcome = report.outcomes[position];
  const SpoolTime now = parts_.spool.Clock();
  const RetryOrigin origin = CountsFrom(attempt.message, domain);
  const Deferral* before = DeferralOf(attempt.message, recipient, origin);
  Deferral deferral;
  deferral.last_try = now;
  deferral.first_own = before != nullptr ? before->first_own : now;
  deferral.attempts = before != nullptr ? before->attempts + 1 : 1;
  const RetryPolicy& policy = PolicyOf(domain);
  const bool is_scheduled =
      !attempt.recovery &&
      (before != nullptr ? policy.IsScheduled(origin, before->last_try, before->next_try)
                         : policy.IsScheduled(origin, now));
  deferral.next_try = policy.NextTry(origin, now, is_scheduled);
  if (outcome.kind == Outcome::Kind::kDeferred && !outcome.own) {
    deferral.next_try = std::min(deferral.next_try, now + PauseAfterBreak(deferral.attempts));
  } else if (outcome.kind == Outcome::Kind::kFailed) {
    deferral.refused_since = RefusedSince(before, now);
    deferral.next_try = std::max(deferral.refused_since + hold_off, now + kDoubtFor);
  }
  deferral.code = static_cast<uint16_t>(outcome.code);
  deferral.text = AnswerText(outcome);
  deferral.remote = outcome.code != 0 ? RemoteOf(report) : "";
  ++counters_.deferred;
  if (!queue_.deferrals().Insert(key, deferral) &&
      !(lane_home_.MakeDeferralRoom() && queue_.deferrals().Insert(key, deferral))) {
    // No note either: there would be no room for it after a restart.
    queue_.NoteUnlisted(outcome.kind == Outcome::Kind::kFailed, now);
    return;
  }
  const std::string note = EncodeDeferralNote(deferral);
  parts_.spool.Defer(attempt.message, recipient, domain, AsBytes(note));
}

// ---- expiry ----

const Deferral* Lane::DeferralOf(MessageRef message, uint32_t recipient,
                                 const RetryOrigin& origin) const {
  const Deferral* deferral = queue_.deferrals().Find({message.segment, message.block, recipient});
  return deferral != nullptr && deferral->last_try >= origin.schedule ? deferral : nullptr;
}

// What another recipient was told says nothing of this one: it may only not have had its turn.
bool Lane::MayGiveUp(MessageRef message, uint32_t recipient, const RetryOrigin& origin,
                     DomainId domain) const {
  const Deferral* deferral = DeferralOf(message, recipient, origin);
  const RetryPolicy& policy = PolicyOf(domain);
  const SpoolTime now = parts_.spool.Clock();
  if (deferral == nullptr) {
    const SpoolTime tried = std::max(last_failure_, queue_.UnlistedTriedSince());
    return policy.GiveUp(origin, now, tried, std::nullopt);
  }
  return policy.GiveUp(origin, now, std::max(last_failure_, deferral->last_try),
                       deferral->first_own);
}

std::string Lane::OnExpired(MessageRef message, uint32_t recipient, SettleKind kind) {
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
