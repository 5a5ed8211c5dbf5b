// core/queue/deferral_room.h -- how many deferrals the tables of one shard hold together.
//
// A shard has a table for each primary, of which there may be thousands: what all of them remember
// is bounded, not each.
//
// Outlives: the tables.
#pragma once

#include <cstddef>

#include "core/base/check.h"

namespace backstay {

class DeferralRoom {
 public:
  // DESIGN 6: recipients of a shard with their own 4xx that have an entry; about 400 bytes each.
  static constexpr size_t kOfShard = 100'000;

  explicit DeferralRoom(size_t entries_max) : entries_max_(entries_max) {}
  DeferralRoom(const DeferralRoom&) = delete;
  DeferralRoom& operator=(const DeferralRoom&) = delete;

  bool is_full() const { return entries_ >= entries_max_; }
  void Take() {
    ASSERT(!is_full());
    ++entries_;
  }
  void GiveBack(size_t entries) {
    ASSERT(entries_ >= entries);
    entries_ -= entries;
  }

 private:
  const size_t entries_max_;
  size_t entries_ = 0;
};

}  // namespace backstay
