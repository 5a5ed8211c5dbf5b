// core/shard/quota_clerk.cc -- a word to the others whenever it matters.
#include "core/shard/quota_clerk.h"

#include "core/base/check.h"

namespace backstay {
namespace {

constexpr absl::Duration kQuotaClock = absl::Seconds(1);

bool HasQuota(const DomainPlan& plan) {
  return plan.quota_messages > 0 || plan.quota_bytes > 0;
}

}  // namespace

QuotaClerk::QuotaClerk(Io& io, TimerWheel& wheel, Spool& spool, SharedTable<DomainTally>& domains,
                       size_t shard)
    : io_(io), wheel_(wheel), spool_(spool), domains_(domains), shard_(shard) {}

void QuotaClerk::UseSnapshot(const Snapshot& snapshot) {
  for (auto& [domain, line] : lines_) {
    line.tally->StopTelling(shard_);
  }
  lines_.clear();
  const bool is_asked = !snapshot.config.smtp.etrn_from.empty();
  for (const DomainPlan& plan : snapshot.domains) {
    if (is_asked || HasQuota(plan)) {
      const DomainId domain = spool_.Intern(plan.name);
      Line& line = lines_[domain];
      line.tally = &domains_.At(plan.key);
      Tell(domain, line);
    }
  }
}

void QuotaClerk::OnLiveMessage(DomainId domain) {
  if (const auto found = lines_.find(domain); found != lines_.end()) {
    Tell(domain, found->second);
  }
}

bool QuotaClerk::HasRoom(const DomainPlan& plan) {
  if (!HasQuota(plan)) {
    return true;
  }
  const DomainTally::Load all = TellNow(plan).tally->Sum();
  return (plan.quota_messages == 0 || all.messages < plan.quota_messages) &&
         (plan.quota_bytes == 0 || all.bytes < plan.quota_bytes);
}

std::optional<uint64_t> QuotaClerk::Waiting(const DomainPlan& plan) {
  const std::optional<DomainTally::Load> all = TellNow(plan).tally->WholeSum();
  return all.has_value() ? std::optional(all->messages) : std::nullopt;
}

QuotaClerk::Line& QuotaClerk::TellNow(const DomainPlan& plan) {
  const DomainId domain = spool_.Intern(plan.name);
  const auto found = lines_.find(domain);
  ASSERT(found != lines_.end());
  Tell(domain, found->second);
  return found->second;
}

void QuotaClerk::Tell(DomainId domain, Line& line) {
  const DomainTally::Load load{spool_.LiveMessages(domain), spool_.LiveBytes(domain)};
  line.told = load;
  line.tally->Tell(shard_, load, queue_ready_);
  if (load != DomainTally::Load() && !clock_.armed()) {
    wheel_.Insert(&clock_, io_.Now() + kQuotaClock);
  }
}

void QuotaClerk::OnQueueReady() {
  queue_ready_ = true;
  for (auto& [domain, line] : lines_) {
    Tell(domain, line);
  }
}

// Who had nothing has said so, and a message would have been told.
void QuotaClerk::OnClock() {
  for (auto& [domain, line] : lines_) {
    if (line.told != DomainTally::Load()) {
      Tell(domain, line);
    }
  }
}

}  // namespace backstay
