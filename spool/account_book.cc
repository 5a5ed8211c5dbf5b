// spool/account_book.cc -- sums over what checkpoints cover and what they do not.
#include "spool/account_book.h"

#include <algorithm>

namespace backstay {

void AccountBook::Take(uint32_t home_segment, std::span<const DomainId> recipients, bool is_ours) {
  for (const DomainId domain : recipients) {
    DomainAccount& account = At(home_segment, domain);
    ++(is_ours ? account.generated : account.accepted);
  }
}

DomainAccount AccountBook::Of(DomainId domain) const {
  DomainAccount sum;
  ForEach([&](const Accounts& accounts) {
    if (const auto found = accounts.find(domain); found != accounts.end()) {
      sum += found->second;
    }
  });
  return sum;
}

DomainAccount AccountBook::OfAll() const {
  DomainAccount sum;
  ForEach([&](const Accounts& accounts) {
    for (const auto& [domain, account] : accounts) {
      sum += account;
    }
  });
  return sum;
}

void AccountBook::Cover(uint32_t segment) {
  covered_ = std::max(covered_, segment);
  while (!open_.empty() && Covers(open_.begin()->first)) {
    for (const auto& [domain, account] : open_.begin()->second) {
      base_[domain] += account;
    }
    open_.erase(open_.begin());
  }
}

void AccountBook::Restart(uint32_t last, uint32_t covers, WallTime since) {
  since_ = since;
  covered_ = covers;
  base_.clear();
  open_.erase(open_.begin(), open_.upper_bound(last));
}

int64_t AccountBook::Balance(DomainId domain, uint64_t owed, Ending missing) {
  const DomainAccount account = Of(domain);
  const auto gap = static_cast<int64_t>(account.taken() - account.ended() - owed);
  if (gap > 0) {
    base_[domain].End(missing, static_cast<uint64_t>(gap));
  } else if (gap < 0) {
    base_[domain].accepted += static_cast<uint64_t>(-gap);
  }
  return gap;
}

}  // namespace backstay
