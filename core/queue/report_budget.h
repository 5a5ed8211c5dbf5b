// core/queue/report_budget.h -- how many reports go out: in all, and to one sender. Pure.
//
// A report over a budget has a later turn; none is dropped. A sender who has had many books a place
// in time for each further one, so nobody has to be asked twice.
//
// Owns:   one entry a sender who is not as good as new, bounded: beyond it only the budget of all
//         counts.
// Units:  Instant. A restart begins with full budgets: it costs 1,000 reports beyond them, and 100
//         to one sender, at most, and each report is made once whenever that is. To keep them on
//         disk would be a record for each report; a file older than the last of them is no better.
// See:    DESIGN 9.
#pragma once

#include <cstddef>
#include <cstdint>

#include "absl/container/flat_hash_map.h"
#include "core/base/units.h"

namespace backstay {

class ReportBudget {
 public:
  // Of the process; each of `shards` has its share.
  static constexpr int64_t kBurst = 1'000;   // at once, then ...
  static constexpr int64_t kPerSecond = 20;  // ... so many: 72,000 an hour
  static constexpr int64_t kSenderBurst = 100;
  static constexpr int64_t kSenderPerMinute = 10;
  static constexpr size_t kSendersMax = 65'536;

  explicit ReportBudget(size_t shards);

  // When the next report may go, whoever it is for.
  Instant NextAt() const { return Allowed(all_, all_limit_); }
  // One has gone.
  void Charge(Instant now) { Book(all_, all_limit_, now); }
  // When one may go to this sender; nothing is booked.
  Instant NextFor(uint64_t sender, Instant now) const;
  // The same, and that place is taken.
  Instant Book(uint64_t sender, Instant now);
  size_t senders() const { return senders_.size(); }

 private:
  struct Limit {
    absl::Duration interval;  // between two in the long run
    absl::Duration ahead;     // so much may be used before its time
  };
  static Limit LimitOf(int64_t burst, absl::Duration interval, size_t shards);
  static Instant Allowed(Instant used_until, const Limit& limit) {
    return used_until - limit.ahead;
  }
  static Instant Book(Instant& used_until, const Limit& limit, Instant now);

  const Limit all_limit_;
  const Limit sender_limit_;
  // The budget is used up to this time; before now: it is full.
  Instant all_;
  absl::flat_hash_map<uint64_t, Instant> senders_;
};

}  // namespace backstay
