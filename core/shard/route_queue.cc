// core/shard/route_queue.cc -- cursors, attempts given back, deferrals that came due.
#include "core/shard/route_queue.h"

#include <algorithm>
#include <utility>

#include "core/base/check.h"
#include "core/base/mark.h"

namespace backstay {
namespace {

// DESIGN 6: recipients with their own 4xx that have no entry wait for the limbo pass.
constexpr absl::Duration kLimboWait = absl::Minutes(10);
// Of so many messages one is of recipients that the primary has deferred before.
constexpr size_t kLimboShare = 8;

bool Contains(const std::vector<MessageRef>& messages, MessageRef message) {
  return std::find(messages.begin(), messages.end(), message) != messages.end();
}

void RemoveOne(std::vector<MessageRef>& messages, MessageRef message) {
  const auto found = std::find(messages.begin(), messages.end(), message);
  if (found != messages.end()) {
    *found = messages.back();
    messages.pop_back();
  }
}

}  // namespace

RouteQueue::RouteQueue(const Spool& spool, DeferralRoom& room) : spool_(spool), deferrals_(room) {}

void RouteQueue::AddDomain(DomainId domain) {
  if (cursors_.try_emplace(domain).second) {
    domains_.push_back(domain);
    passed_ = SpoolTime();  // no pass has met its mail
  }
  Activate(domain);
}

void RouteQueue::RemoveDomain(DomainId domain) {
  cursors_.erase(domain);
  domains_.erase(std::remove(domains_.begin(), domains_.end(), domain), domains_.end());
  active_.erase(std::remove(active_.begin(), active_.end(), domain), active_.end());
}

bool RouteQueue::HasDomain(DomainId domain) const {
  return cursors_.contains(domain);
}

void RouteQueue::OnLive(DomainId domain, MessageRef message) {
  Cursor& cursor = cursors_[domain];
  if (cursor.after.has_value() && message <= *cursor.after) {
    MARK("older_mail_appeared");
    passed_ = SpoolTime();
    cursor.after.reset();
    cursor.is_backlog = true;
  } else if (cursor.is_backlog && cursor.active && !cursor.fresh_from.has_value()) {
    cursor.fresh_from = message;
  }
  if (cursor.fresh_after.has_value() && message <= *cursor.fresh_after) {
    cursor.fresh_after.reset();
  }
  Activate(domain);
}

void RouteQueue::Activate(DomainId domain) {
  Cursor& cursor = cursors_[domain];
  if (!cursor.active) {
    cursor.active = true;
    active_.push_back(domain);
  }
}

void RouteQueue::Restart() {
  refused_unlisted_ = SpoolTime();
  StartPass(/*recovery=*/true);
}

void RouteQueue::RestartDomain(DomainId domain) {
  refused_unlisted_ = SpoolTime();
  if (HasDomain(domain)) {
    cursors_[domain].Rewind();
    Activate(domain);
  }
}

void RouteQueue::PutRefusedLast(DomainId domain) {
  if (HasDomain(domain)) {
    cursors_[domain].puts_refused_last = true;
  }
}

void RouteQueue::StartPass(bool recovery) {
  recovery_pass_ = recovery;
  pass_began_ = spool_.Clock();
  limbo_due_ = SpoolTime::Max();
  again_.clear();  // the pass meets them all
  due_.clear();
  peeked_.reset();
  for (const DomainId domain : domains_) {
    cursors_[domain].Rewind();
    Activate(domain);
  }
}

void RouteQueue::CollectDue(SpoolTime now) {
  if (now >= limbo_due_ && !pass_began_.has_value()) {
    MARK("limbo_pass");
    StartPass(/*recovery=*/false);
  }
  while (const std::optional<DeferralTable::Key> key = deferrals_.PopDue(now)) {
    const MessageRef message{key->segment, key->block};
    // Deleted meanwhile, or another lane's since a reload.
    if (!spool_.IsLive(message, key->recipient) ||
        !HasDomain(spool_.DomainOf(message, key->recipient))) {
      deferrals_.Erase(*key);
      continue;
    }
    if (due_.empty() || due_.back() != message) {
      due_.push_back(message);
    }
  }
}

// Nobody of the domain is live there but whom the primary has refused.
bool RouteQueue::IsRefused(DomainId domain, MessageRef message) const {
  for (uint32_t recipient = 0; recipient < spool_.Recipients(message); ++recipient) {
    if (!spool_.IsLive(message, recipient) || spool_.DomainOf(message, recipient) != domain) {
      continue;
    }
    const Deferral* deferral = deferrals_.Find({message.segment, message.block, recipient});
    if (deferral == nullptr || deferral->refused_since == SpoolTime()) {
      return false;
    }
  }
  return true;
}

std::optional<MessageRef> RouteQueue::NextOfBacklog(DomainId domain, Cursor& cursor) {
  std::optional<MessageRef> next = spool_.NextDeliverable(domain, cursor.after);
  while (next.has_value() && cursor.puts_refused_last && IsRefused(domain, *next)) {
    MARK("refused_mail_passed_over");
    cursor.refused.push_back(*next);
    cursor.after = next;
    next = spool_.NextDeliverable(domain, cursor.after);
  }
  return next;
}

void RouteQueue::MeetRefused(Cursor& cursor) {
  cursor.puts_refused_last = false;
  due_.insert(due_.end(), cursor.refused.begin(), cursor.refused.end());
  cursor.refused.clear();
}

// The next of the domain: of what arrived since, or of the backlog, by turns.
std::optional<RouteQueue::Found> RouteQueue::Advance(DomainId domain, Cursor& cursor) {
  cursor.fresh_turn = !cursor.fresh_turn;
  if (cursor.fresh_from.has_value() && cursor.fresh_turn) {
    const auto fresh =
        spool_.NextDeliverable(domain, cursor.fresh_after.value_or(JustBefore(*cursor.fresh_from)));
    if (fresh.has_value()) {
      MARK("fresh_mail_beside_a_backlog");
      cursor.fresh_after = fresh;
      return Found{*fresh, /*is_backlog=*/false};
    }
  }
  std::optional<MessageRef> next = NextOfBacklog(domain, cursor);
  if (cursor.fresh_from.has_value() && (!next.has_value() || *next >= *cursor.fresh_from)) {
    // The backlog is done; what went out beside it is not met again.
    cursor.after = cursor.fresh_after.value_or(JustBefore(*cursor.fresh_from));
    cursor.fresh_from.reset();
    cursor.fresh_after.reset();
    cursor.is_backlog = false;
    next = spool_.NextDeliverable(domain, cursor.after);
  }
  if (!next.has_value()) {
    cursor.is_backlog = false;
    MeetRefused(cursor);
    return std::nullopt;
  }
  cursor.after = next;
  return Found{*next, recovery_pass_};
}

std::optional<RouteQueue::Found> RouteQueue::NextByCursor() {
  while (!active_.empty()) {
    const DomainId domain = active_.front();
    Cursor& cursor = cursors_[domain];
    const std::optional<Found> next = Advance(domain, cursor);
    active_.pop_front();
    if (!next.has_value()) {
      cursor.active = false;
      continue;
    }
    active_.push_back(domain);  // the other domains have their turn first
    if (!in_flight(next->message)) {
      return next;
    }
    // Under way for other recipients: those of this domain may not be among them (a reload brought
    // the domain back meanwhile), so it is met again when it is released.
    MARK("met_while_under_way");
    MeetAgain(next->message);
  }
  recovery_pass_ = false;
  if (pass_began_.has_value()) {
    passed_ = *std::exchange(pass_began_, std::nullopt);
  }
  return std::nullopt;
}

bool RouteQueue::Peek() {
  if (peeked_.has_value() && in_flight(peeked_->message)) {
    MARK("peeked_went_under_way");  // another lane's, since a reload
    MeetAgain(std::exchange(peeked_, std::nullopt)->message);
  }
  if (!peeked_.has_value()) {
    peeked_ = NextByCursor();
  }
  return peeked_.has_value();
}

void RouteQueue::MeetAgain(MessageRef message) {
  if (std::find(due_.begin(), due_.end(), message) == due_.end()) {
    due_.push_back(message);
  }
}

// A deferral may come due while its message is under way; it waits until the message is released.
std::deque<MessageRef>::iterator RouteQueue::FirstFreeDue() {
  return std::find_if(due_.begin(), due_.end(),
                      [this](MessageRef message) { return !in_flight(message); });
}

// The lane that had its domain before may have it in hand.
std::deque<Attempt>::iterator RouteQueue::FirstFreeAgain() {
  return std::find_if(again_.begin(), again_.end(),
                      [this](const Attempt& attempt) { return !in_flight(attempt.message); });
}

bool RouteQueue::HasWork(SpoolTime now) {
  CollectDue(now);
  if (FirstFreeAgain() != again_.end() || FirstFreeDue() != due_.end()) {
    return true;
  }
  return Peek() || FirstFreeDue() != due_.end();  // the end of a pass adds to them
}

std::optional<Attempt> RouteQueue::Take(SpoolTime now) {
  while (HasWork(now)) {
    const Attempt attempt = TakeFirst();
    // What was given back may have gone out by another way meanwhile, and its file with it.
    if (spool_.IsOwed(attempt.message)) {
      Claim(attempt.message);
      return attempt;
    }
    MARK("attempt_for_nobody");
  }
  return std::nullopt;
}

Attempt RouteQueue::TakeFirst() {
  Attempt attempt;
  if (const auto again = FirstFreeAgain(); again != again_.end()) {
    attempt = *again;
    again_.erase(again);
    return attempt;
  }
  const bool has_other = Peek();  // which may add to those that are due
  const auto due = FirstFreeDue();
  if (due != due_.end() && (since_limbo_ + 1 >= kLimboShare || !has_other)) {
    since_limbo_ = 0;
    attempt.message = *due;
    due_.erase(due);
  } else {
    ++since_limbo_;
    const Found found = *std::exchange(peeked_, std::nullopt);
    attempt.message = found.message;
    attempt.recovery = found.is_backlog;
  }
  return attempt;
}

void RouteQueue::Claim(MessageRef message) {
  ASSERT(!in_flight(message));
  in_flight_.push_back(message);
}

void RouteQueue::GiveBack(const Attempt& attempt) {
  Release(attempt.message);
  again_.push_front(attempt);
}

void RouteQueue::Release(MessageRef message) {
  RemoveOne(in_flight_, message);
}

void RouteQueue::EndWait(MessageRef message) {
  RemoveOne(elsewhere_, message);
}

bool RouteQueue::in_flight(MessageRef message) const {
  return Contains(in_flight_, message) || Contains(elsewhere_, message);
}

SpoolTime RouteQueue::NextDue() const {
  // Limbo waits for the end of the pass that goes on: it would begin that anew, and what lies
  // behind its first ten minutes would never be met.
  return pass_began_.has_value() ? deferrals_.NextDue()
                                 : std::min(deferrals_.NextDue(), limbo_due_);
}

bool RouteQueue::Eligible(const Attempt& attempt, uint32_t recipient, DomainId domain,
                          SpoolTime now) const {
  if (!HasDomain(domain) || !spool_.IsLive(attempt.message, recipient)) {
    return false;
  }
  const Standing standing = spool_.StandingOf(attempt.message, domain);
  if (standing.is_held || standing.is_expired) {
    return false;
  }
  if (attempt.recovery) {
    return true;
  }
  const Deferral* deferral =
      deferrals_.Find({attempt.message.segment, attempt.message.block, recipient});
  return deferral == nullptr || deferral->next_try <= now ||
         deferral->last_try < standing.schedule_from;
}

void RouteQueue::AfterOverflow(SpoolTime now) {
  limbo_due_ = std::min(limbo_due_, now + kLimboWait);
}

void RouteQueue::NoteUnlisted(bool is_refused, SpoolTime now) {
  MARK("deferral_table_full");
  unlisted_at_ = now;
  if (is_refused && refused_unlisted_ == SpoolTime()) {
    refused_unlisted_ = now;
  }
  AfterOverflow(now);
}

void RouteQueue::DropStrayDeferrals() {
  deferrals_.EraseIf([this](const DeferralTable::Key& key) {
    const MessageRef message{key.segment, key.block};
    return !spool_.IsLive(message, key.recipient) ||
           !HasDomain(spool_.DomainOf(message, key.recipient));
  });
}

// While there is room the next refusal has an entry of its own, and counts from there.
SpoolTime RouteQueue::RefusedUnlistedSince(SpoolTime now) const {
  const bool is_known = deferrals_.is_full() && refused_unlisted_ != SpoolTime();
  return is_known ? refused_unlisted_ : now;
}

// If all found room since that pass began, who has no entry waits for another reason.
SpoolTime RouteQueue::UnlistedTriedSince() const {
  return unlisted_at_ >= passed_ ? passed_ : SpoolTime();
}

}  // namespace backstay
