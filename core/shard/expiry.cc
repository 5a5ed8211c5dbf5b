// core/shard/expiry.cc -- walks the oldest mail of each domain once a minute.
#include "core/shard/expiry.h"

#include <utility>

#include "core/base/check.h"
#include "core/base/mark.h"
#include "core/shard/message_flags.h"

namespace backstay {
namespace {

constexpr absl::Duration kLookEvery = absl::Minutes(1);

}  // namespace

Expiry::Expiry(Io& io, TimerWheel& wheel, Spool& spool, RouteTable& routes)
    : io_(io), wheel_(wheel), spool_(spool), routes_(routes), reader_(spool, *this) {}

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

void Expiry::Look() {
  if (!reading_.has_value() && !reader_.busy()) {
    domain_ = 0;
    after_.reset();
    Continue();
  }
  wheel_.Insert(&clock_, io_.Now() + kLookEvery);
}

// Goes on until a message must be read or every domain has been looked at.
void Expiry::Continue() {
  while (!stopped_ && domain_ < routes_.domains().size()) {
    const DomainId domain = routes_.domains()[domain_];
    const std::optional<MessageRef> next = spool_.NextLive(domain, after_);
    if (!next.has_value() || spool_.Clock() < routes_.PolicyOf(domain).End(spool_.Arrival(*next))) {
      ++domain_;
      after_.reset();
      continue;
    }
    after_ = next;
    if (IsOver(domain, *next)) {
      reading_ = next;
      reader_.Open(*next);
      return;
    }
  }
}

// Old enough; is it also given up? What is under way now is looked at again in a minute.
bool Expiry::IsOver(DomainId domain, MessageRef message) const {
  const Route* route = routes_.RouteOf(domain);
  if (route == nullptr) {
    return false;  // held: nothing held is given up
  }
  const RetryPolicy& policy = routes_.PolicyOf(domain);
  return policy.on_expiry == OnExpiry::kBounce && !route->queue().in_flight(message) &&
         policy.GiveUp(spool_.Arrival(message), spool_.Clock(), route->last_failure(),
                       std::nullopt);
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
    Route* route = routes_.RouteOf(domain);
    if (!IsOver(domain, message) || route->GrantedMore(message, recipient, head.arrival, domain)) {
      continue;
    }
    notes.push_back(route->OnExpired(message, recipient, kind));
    settles.push_back({recipient, kind, {}});
    ++expired_;
  }
  for (size_t index = 0; index < settles.size(); ++index) {
    settles[index].detail = AsBytes(notes[index]);
  }
  if (!settles.empty()) {
    spool_.Settle(message, settles);
  }
}

}  // namespace backstay
