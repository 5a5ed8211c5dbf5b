// core/shard/late_watch.cc -- domain by domain, from the last that was told on.
#include "core/shard/late_watch.h"

#include <algorithm>

#include "core/base/mark.h"
#include "core/shard/retry_origin.h"

namespace backstay {
namespace {

constexpr absl::Duration kLookEvery = absl::Minutes(1);
constexpr size_t kStepsMax = 1024;
constexpr size_t kSeveralMax = 4096;

}  // namespace

LateWatch::LateWatch(Io& io, TimerWheel& wheel, Spool& spool, RouteTable& routes,
                     Reporter& reporter)
    : io_(io), wheel_(wheel), spool_(spool), routes_(routes), reporter_(reporter) {
  LateMailSource& source = *this;
  reporter_.UseLateMail(source);
}

void LateWatch::Start() {
  wheel_.Insert(&clock_, io_.Now() + kLookEvery);
}

void LateWatch::Stop() {
  wheel_.Cancel(&clock_);
  is_looking_ = false;
}

void LateWatch::Look() {
  wheel_.Insert(&clock_, io_.Now() + kLookEvery);
  if (!is_looking_) {  // else the one before is not at its end
    is_looking_ = true;
    looked_at_ = 0;
    reporter_.OnLateMail();
  }
}

std::optional<MessageRef> LateWatch::ToldUpTo(DomainId domain) const {
  if (const auto found = told_up_to_.find(domain); found != told_up_to_.end()) {
    return found->second;
  }
  const MessageRef before = spool_.ToldBefore(domain);
  return before == MessageRef() ? std::nullopt : std::optional(JustBefore(before));
}

std::optional<LateMail> LateWatch::NextLate() {
  size_t steps = 0;
  while (is_looking_ && looked_at_ < routes_.domains().size()) {
    const DomainId domain = routes_.domains()[looked_at_];
    const absl::Duration delay = routes_.DelayWarningOf(domain);
    const std::optional<MessageRef> next =
        delay > absl::ZeroDuration() ? spool_.NextLive(domain, ToldUpTo(domain)) : std::nullopt;
    if (!next.has_value() || spool_.Clock() - spool_.Arrival(*next) < delay) {
      EndDomain();
      continue;
    }
    if (std::optional<LateMail> late = Describe(domain, *next); late.has_value()) {
      return late;
    }
    told_up_to_[domain] = *next;
    if (++steps >= kStepsMax) {
      return std::nullopt;
    }
  }
  is_looking_ = false;
  return std::nullopt;
}

std::optional<LateMail> LateWatch::Describe(DomainId domain, MessageRef message) const {
  const absl::Duration delay = routes_.DelayWarningOf(domain);
  LateMail late;
  late.message = message;
  late.domain = domain;
  late.end = SpoolTime::Max();
  for (uint32_t i = 0; i < spool_.Recipients(message); ++i) {
    const DomainId of = spool_.DomainOf(message, i);
    if (!spool_.IsLive(message, i) || routes_.DelayWarningOf(of) != delay) {
      continue;
    }
    if (late.recipients.empty() && of != domain) {
      return std::nullopt;
    }
    late.is_for_several = late.is_for_several || of != domain;
    late.recipients.push_back(i);
    const RetryPolicy& policy = routes_.PolicyOf(of);
    if (policy.on_expiry == OnExpiry::kBounce) {
      late.end = std::min(late.end, policy.End(routes_.CountsFrom(message, of)));
    }
  }
  if (told_for_several_.contains(message)) {
    MARK("told_with_another_domain");
    return std::nullopt;
  }
  if (const Lane* const lane = routes_.LaneOf(domain); lane != nullptr) {
    late.reason = lane->last_reason();
  }
  return late;
}

void LateWatch::OnTold(const LateMail& late, bool is_stored) {
  told_up_to_[late.domain] = late.message;
  if (!is_stored) {
    return;
  }
  spool_.MarkTold(late.domain, late.message);
  if (late.is_for_several) {
    told_for_several_.insert(late.message);
    if (told_for_several_.size() > kSeveralMax) {
      told_for_several_.erase(told_for_several_.begin());
    }
  }
}

// Whoever did not want to be told: they are not read again after a restart.
void LateWatch::EndDomain() {
  const DomainId domain = routes_.domains()[looked_at_++];
  const auto told = told_up_to_.find(domain);
  if (told != told_up_to_.end() && spool_.ToldBefore(domain) <= told->second) {
    spool_.MarkTold(domain, told->second);
  }
}

}  // namespace backstay
