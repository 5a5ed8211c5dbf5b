// core/shard/debt_list.h -- messages of which a report is owed, each due when no more of it has
// come for a moment. Pure.
//
// A primary hears of a message's recipients in groups, and what it refuses of each group is an
// event of its own. A report for each would send the (perhaps forged) sender ten of a thousand
// recipients: so what fails within moments of each other is told of at once.
//
// Units:  times are arguments and do not go back.
// See:    DESIGN 9 "one DSN per message and settling event".
#pragma once

#include <cstddef>
#include <deque>
#include <optional>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "core/base/units.h"
#include "spool/spool.h"

namespace backstay {

class DebtList {
 public:
  static constexpr absl::Duration kQuietFor = absl::Seconds(2);
  static constexpr absl::Duration kGatherMax = absl::Seconds(30);  // from the first one on

  void Add(MessageRef message, Instant now);
  // One that is due, and no longer in the list.
  std::optional<MessageRef> Take(Instant now);
  void Remove(MessageRef message) { debts_.erase(message); }
  // All of them, in the order of their places; the list is empty.
  std::vector<MessageRef> TakeAll();
  // None is due before; Max(): there is none.
  Instant NextDue() const { return due_.empty() ? Instant::Max() : due_.front().first; }
  size_t size() const { return debts_.size(); }

 private:
  struct Debt {
    Instant first;
    Instant due;
  };

  absl::btree_map<MessageRef, Debt> debts_;
  // In the order of time. Where the debt is gone, or due at another time, it says nothing.
  std::deque<std::pair<Instant, MessageRef>> due_;
};

}  // namespace backstay
