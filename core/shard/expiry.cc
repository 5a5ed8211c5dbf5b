// core/shard/expiry.cc -- walks the oldest mail of each domain once a minute.
#include "core/shard/expiry.h"

#include <utility>

#include "core/base/check.h"
#include "core/base/mark.h"
#include "core/shard/message_flags.h"
#include "core/shard/retry_origin.h"

namespace backstay {
namespace {

constexpr absl::Duration kLookEvery = absl::Minutes(1);
constexpr absl::Duration kLookSoon = absl::Milliseconds(50);
// Recipients, of one turn: some hundreds of microseconds.
constexpr size_t kPassedOverMax = 1'024;

}  // namespace

Expiry::Expiry(Io& io, TimerWheel& wheel, Spool& spool, RouteTable& routes, Reporter& reporter,
               EventLog& log, const ExpiryWatch::Place& place)
    : io_(io),
      wheel_(wheel),
      spool_(spool),
      routes_(routes),
      reporter_(reporter),
      log_(log),
      parking_(io, spool, routes),
      watch_(io, spool, routes, place),
      reader_(spool, *this) {}

void Expiry::Start() {
  stopped_ = false;
  wheel_.Insert(&clock_, io_.Now() + kLookEvery);
}

void Expiry::Stop() {
  stopped_ = true;
  wheel_.Cancel(&clock_);
  reading_.reset();
  reader_.Close();
}

void Expiry::OnMinute() {
  if (!is_soon_) {
    watch_.Look();
  }
  Look();
}

void Expiry::Look() {
  if (!reading_.has_value() && !reader_.busy()) {
    if (!std::exchange(is_paused_, false)) {
      Begin();
    }
    Continue();
  }
  SetClock();
}

void Expiry::SetClock() {
  is_soon_ = std::exchange(look_soon_, false);
  wheel_.Insert(&clock_, io_.Now() + (is_soon_ ? kLookSoon : kLookEvery));
}

void Expiry::LookNow() {
  if (!stopped_) {
    look_again_ = reading_.has_value() || reader_.busy() || is_paused_;
    Look();
  }
}

// The next that may be over: the log's order is that of age, so it ends at the first that has time
// left. Where a message with an order of its own lies says nothing: it is looked at, and passed.
std::optional<MessageRef> Expiry::NextOld(DomainId domain) {
  std::optional<MessageRef> next = spool_.NextLive(domain, after_);
  if (!next.has_value()) {
    return std::nullopt;
  }
  Standing standing = spool_.StandingOf(*next, domain);
  if (standing.is_held) {
    // Nothing held is given up; what lies behind the hold, or was released by itself, has its age.
    const std::optional<MessageRef> released = spool_.NextDeliverable(domain, *next);
    next = spool_.NextLive(domain, JustBefore(std::max(spool_.HeldBefore(domain), *next)));
    if (released.has_value() && (!next.has_value() || *released < *next)) {
      next = released;
    }
    if (!next.has_value()) {
      return std::nullopt;
    }
    standing = spool_.StandingOf(*next, domain);
  }
  const RetryOrigin origin = OriginOf(spool_.Arrival(*next), standing);
  const RetryPolicy& policy = routes_.PolicyOf(domain);
  const bool is_old = standing.is_expired || (policy.on_expiry == OnExpiry::kBounce &&
                                              spool_.Clock() >= policy.End(origin));
  return is_old || spool_.HasOwnOrder(*next) ? next : std::nullopt;
}

void Expiry::Begin() {
  looks_at_ordered_ = true;
  looked_at_ = 0;
  after_.reset();
}

void Expiry::ParkIfHeld(DomainId domain) {
  if (routes_.PolicyOf(domain).on_expiry == OnExpiry::kHold && parking_.Step(domain)) {
    MARK("parked_in_pieces");
    look_soon_ = true;
  }
}

void Expiry::Read(MessageRef message) {
  reading_ = message;
  reader_.Open(message);
}

std::optional<MessageRef> Expiry::NextOrdered() {
  while (looks_at_ordered_) {
    after_ = spool_.NextExpired(after_);
    if (!after_.has_value()) {
      looks_at_ordered_ = false;
    } else if (IsOverForSome(*after_, std::nullopt)) {
      return after_;
    }
  }
  return std::nullopt;
}

// For the first recipient that is found, of that domain or of any.
bool Expiry::IsOverForSome(MessageRef message, std::optional<DomainId> domain) const {
  for (uint32_t i = 0; i < spool_.Recipients(message); ++i) {
    const bool is_meant = !domain.has_value() || spool_.DomainOf(message, i) == *domain;
    if (is_meant && spool_.IsLive(message, i) && IsOver(message, i)) {
      return true;
    }
  }
  return false;
}

// Goes on until a message must be read, every domain has been looked at, or it has been enough for
// a turn: old mail that is not over (its primary has no address, say) may be millions.
void Expiry::Continue() {
  size_t passed_over = 0;
  while (!stopped_ && (looked_at_ < routes_.domains().size() || look_again_)) {
    if (looked_at_ >= routes_.domains().size()) {
      look_again_ = false;
      Begin();
      continue;
    }
    if (reporter_.IsFull()) {
      MARK("expiry_waits_for_reports");
      first_domain_ += looked_at_ + 1;
      looked_at_ = routes_.domains().size();
      look_again_ = false;
      return;
    }
    if (const std::optional<MessageRef> ordered = NextOrdered(); ordered.has_value()) {
      return Read(*ordered);
    }
    const std::vector<DomainId>& domains = routes_.domains();
    const DomainId domain = domains[(first_domain_ + looked_at_) % domains.size()];
    if (!after_.has_value()) {
      ParkIfHeld(domain);
    }
    const std::optional<MessageRef> next = NextOld(domain);
    if (!next.has_value()) {
      ++looked_at_;
      after_.reset();
      continue;
    }
    after_ = next;
    if (IsOverForSome(*next, domain)) {
      return Read(*next);
    }
    passed_over += spool_.Recipients(*next);
    if (passed_over >= kPassedOverMax) {
      MARK("expiry_goes_on_later");
      is_paused_ = look_soon_ = true;
      return;
    }
  }
}

// Also by a rule. What is under way now is looked at again in a minute.
bool Expiry::IsOver(MessageRef message, uint32_t recipient) const {
  const DomainId domain = spool_.DomainOf(message, recipient);
  const Standing standing = spool_.StandingOf(message, domain);
  if (standing.is_expired) {
    const Lane* const lane = routes_.LaneOf(domain);
    return lane == nullptr || !lane->queue().in_flight(message);
  }
  return !standing.is_held && routes_.IsOver(message, recipient, OnExpiry::kBounce);
}

void Expiry::OnHead(ReadOutcome outcome) {
  if (stopped_ || !reading_.has_value()) {
    reader_.Close();
    return;
  }
  if (outcome == ReadOutcome::kOk) {
    SettleExpired();
  } else {
    MARK("expired_message_unreadable");  // the next delivery attempt settles what to do with it
  }
  reading_.reset();
  reader_.Close();
  Continue();
  if (look_soon_) {
    SetClock();
  }
}

void Expiry::OnContent(ReadOutcome, Bytes) {
  UNREACHABLE();  // only heads are read
}

void Expiry::SettleExpired() {
  const MessageHead& head = reader_.head();
  const MessageRef message = *reading_;
  const SettleKind kind = (head.flags & MessageFlags::kNullReversePath) != 0
                              ? SettleKind::kDiscarded
                              : SettleKind::kFailed;
  std::vector<RecipientSettle> settles;
  std::vector<std::string> notes;
  for (uint32_t recipient = 0; recipient < head.recipient_domains.size(); ++recipient) {
    if (!spool_.IsLive(message, recipient)) {
      continue;
    }
    const DomainId domain = spool_.Intern(head.domains[head.recipient_domains[recipient]]);
    Lane* lane = routes_.LaneOf(domain);
    if (!IsOver(message, recipient)) {
      continue;
    }
    notes.push_back(lane != nullptr ? lane->OnExpired(message, recipient, kind)
                                    : EncodeDeferralNote(Deferral()));
    settles.push_back({recipient, kind, {}});
    ++expired_;
  }
  for (size_t index = 0; index < settles.size(); ++index) {
    settles[index].detail = AsBytes(notes[index]);
  }
  if (!settles.empty()) {
    LogExpired(settles);
    spool_.Settle(message, settles);
    if (kind == SettleKind::kFailed) {
      reporter_.OnFailed(message);
    }
    LogIfRemoved(log_, spool_, message);
  }
}

void Expiry::LogExpired(const std::vector<RecipientSettle>& settles) {
  const std::optional<Envelope> envelope =
      log_.is_on() ? DecodeEnvelope(reader_.head().envelope) : std::nullopt;
  if (!envelope.has_value() ||
      envelope->recipients.size() != reader_.head().recipient_domains.size()) {
    return;
  }
  const auto id = spool_.Id(*reading_).ToText();
  for (const RecipientSettle& settle : settles) {
    const std::optional<Deferral> last = DecodeDeferralNote(settle.detail);
    Event event;
    event.kind = EventKind::kExpired;
    event.id = std::string_view(id.data(), id.size());
    event.sender = envelope->reverse_path;
    event.recipient = envelope->recipients[settle.recipient].address;
    event.waited = spool_.Clock() - reader_.head().arrival;
    if (last.has_value()) {
      event.reply = {last->code, {}, last->text};
    }
    log_.Add(event);
  }
}

}  // namespace backstay
