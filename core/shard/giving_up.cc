// core/shard/giving_up.cc -- two policies, one clock.
#include "core/shard/giving_up.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/base/log.h"
#include "core/shard/retry_origin.h"

namespace backstay {
namespace {

absl::Duration LifeOf(const RetryPolicy& policy) {
  return policy.End({}) - SpoolTime();
}

bool IsLess(const RetryPolicy& next, const RetryPolicy& running) {
  return next.on_expiry == OnExpiry::kBounce &&
         (running.on_expiry == OnExpiry::kHold || LifeOf(next) < LifeOf(running));
}

// The log's order is that of age. A reset makes all before it the same age, so when the oldest that
// may go has time left, so has the rest.
uint64_t CountOver(const Spool& spool, const RouteTable& routes, DomainId domain,
                   const RetryPolicy& policy, uint64_t held) {
  const std::optional<MessageRef> oldest = OldestOf(spool, domain);
  if (!oldest.has_value() || policy.on_expiry == OnExpiry::kHold) {
    return 0;
  }
  if (policy.End(routes.CountsFrom(*oldest, domain)) > spool.Clock()) {
    return 0;
  }
  const uint64_t old = spool.LiveRecipientsUntil(domain, spool.Clock() - LifeOf(policy));
  return old - std::min(old, held);
}

uint64_t CountHeld(Spool& spool, const std::string& domain) {
  Rule release;
  release.verb = RuleVerb::kRelease;
  release.domains = {domain};
  return spool.CountRule(release);
}

}  // namespace

void AddGivenUp(Spool& spool, const RouteTable& routes, bool is_queue_ready,
                const Snapshot& running, const Snapshot& next, GivingUp& sum) {
  for (size_t index = 0; index < next.domains.size(); ++index) {
    const DomainPlan& plan = next.domains[index];
    const DomainPlan* const before = running.FindDomain(plan.name);
    // Mail of a domain that was not configured was held, and its time begins with the reload.
    if (before == nullptr || !IsLess(plan.retry, before->retry)) {
      continue;
    }
    if (!is_queue_ready) {
      sum.unknown.fetch_add(1);
      continue;
    }
    const DomainId domain = spool.Intern(plan.name);
    if (spool.LiveRecipients(domain) == 0) {
      continue;
    }
    const uint64_t held = CountHeld(spool, plan.name);
    const uint64_t over = CountOver(spool, routes, domain, plan.retry, held);
    const uint64_t was_over = CountOver(spool, routes, domain, before->retry, held);
    if (over > was_over) {
      sum.recipients.fetch_add(over - was_over);
      sum.domain.store(index);
    }
  }
}

absl::Status Judge(const GivingUp& sum, const Snapshot& next) {
  if (const uint64_t recipients = sum.recipients.load(); recipients > 0) {
    const std::string name = Escaped(next.domains[sum.domain.load()].name);
    return absl::FailedPreconditionError(fmt::format(
        "it would give up {} queued recipients at once, of {} for one: their time would be over "
        "(retry.expire_after, max_retries, schedule or on_expiry); if that is meant: backstay "
        "reload --force; else their time begins anew with: backstay queue reset --domain {}",
        recipients, name, name));
  }
  if (sum.unknown.load() > 0) {
    return absl::FailedPreconditionError(
        "it gives mail less time, and not all that is queued is known yet; try again when the "
        "spool is read, or backstay reload --force");
  }
  return absl::OkStatus();
}

}  // namespace backstay
