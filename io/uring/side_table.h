// io/uring/side_table.h -- what a rare kind of op carries beyond its slot, found by index.
//
// Owns: its entries; they never move while taken, and freed ones are reused.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

namespace backstay {

template <typename Entry>
class SideTable {
 public:
  uint32_t Take() {
    if (free_.empty()) {
      entries_.emplace_back();
      return static_cast<uint32_t>(entries_.size() - 1);
    }
    const uint32_t index = free_.back();
    free_.pop_back();
    return index;
  }
  void Free(uint32_t index) {
    entries_[index] = Entry();
    free_.push_back(index);
  }
  Entry& At(uint64_t index) { return entries_[index]; }

 private:
  std::deque<Entry> entries_;
  std::vector<uint32_t> free_;
};

}  // namespace backstay
