// spool/account_book.h -- a shard's accounts: of each domain, since they are kept.
//
// They survive a crash to the recipient, although nothing is written for them: a checkpoint has
// what became of the messages in the segments that it covers, as of the moment at which its bits
// were taken, and what lies behind it is counted again by the recovery that reads it. So accounts
// of messages in segments that no checkpoint covers are kept apart, by segment.
//
// A message counts where it was stored first, its home.
//
// Pure. See: FORMAT.md 9; DESIGN 1.2.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/container/btree_map.h"
#include "core/base/units.h"
#include "spool/domain_account.h"
#include "spool/spool.h"

namespace backstay {

// As a checkpoint has them.
struct AccountState {
  struct Domain {
    std::string name;
    DomainAccount account;
  };
  WallTime since;  // they are kept
  std::vector<Domain> domains;
};

// Nothing: it is owed a report.
inline std::optional<Ending> EndingOf(SettleKind kind) {
  switch (kind) {
    case SettleKind::kDelivered:
      return Ending::kDelivered;
    case SettleKind::kFailed:
      return std::nullopt;
    case SettleKind::kDiscarded:
      return Ending::kDiscarded;
    case SettleKind::kQuarantined:
      return Ending::kQuarantined;
  }
  UNREACHABLE();
}

// With the report that it was waiting for.
inline Ending EndingOf(const Debt& debt) {
  return debt.was_delivered() ? Ending::kDelivered : Ending::kBounced;
}

class AccountBook {
 public:
  using Accounts = absl::btree_map<DomainId, DomainAccount>;  // in order: files are the same

  void Take(uint32_t home_segment, std::span<const DomainId> recipients, bool is_ours);
  void End(uint32_t home_segment, DomainId domain, Ending ending) {
    At(home_segment, domain).End(ending);
  }

  DomainAccount Of(DomainId domain) const;
  DomainAccount OfAll() const;
  WallTime since() const { return since_; }

  // A checkpoint is taken: from now on these are of its segments.
  void Cover(uint32_t segment);
  bool Covers(uint32_t segment) const { return segment <= covered_; }
  // Of the segments that are covered.
  const Accounts& covered() const { return base_; }

  // A recovery begins, perhaps not the first one of this start: what was counted of segments up to
  // `last` is forgotten. `covers`: by the checkpoint that it uses.
  void Restart(uint32_t last, uint32_t covers, WallTime since);
  // What that checkpoint has.
  void Load(DomainId domain, const DomainAccount& account) { base_[domain] += account; }
  // It has ended: of this domain so many are owed. Returns how many more should have been (now
  // counted as `missing`), or less than zero: so many more were found (now accepted).
  int64_t Balance(DomainId domain, uint64_t owed, Ending missing);

 private:
  // What is covered, then what is not.
  template <typename Take>
  void ForEach(Take take) const {
    take(base_);
    for (const auto& [segment, accounts] : open_) {
      take(accounts);
    }
  }
  DomainAccount& At(uint32_t segment, DomainId domain) {
    return Covers(segment) ? base_[domain] : open_[segment][domain];
  }

  WallTime since_;
  uint32_t covered_ = 0;
  Accounts base_;
  absl::btree_map<uint32_t, Accounts> open_;  // by segment
};

}  // namespace backstay
