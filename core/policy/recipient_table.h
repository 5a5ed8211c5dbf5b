// core/policy/recipient_table.h -- ten million keys with 32 bits each, in 15 bytes apiece.
//
// Open addressing in order of the keys: a key's home is its rank among all numbers, entries lie in
// ascending order at or behind their homes, and no gap lies between. So a search ends at the first
// greater key, and the table may be nearly full: it grows by a seventh when 13 of 14 places are
// taken, copying in one pass. Keys must look random (SipHash); their first kSkippedBits are the
// same in one table.
//
// Owns:   two arrays. Bound: `entries_max`; then Set is false.
// Units:  12 bytes a place.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/functional/function_ref.h"

namespace backstay {

class RecipientTable {
 public:
  static constexpr int kSkippedBits = 6;  // which of 64 tables

  explicit RecipientTable(size_t entries_max) : entries_max_(entries_max) {}

  std::optional<uint32_t> Find(uint64_t key) const;
  // Adds or replaces; `key` is not 0. False: full, nothing changed.
  bool Set(uint64_t key, uint32_t value);
  void Erase(uint64_t key);
  // In order of the keys.
  void ForEach(absl::FunctionRef<void(uint64_t key, uint32_t value)> visit) const;
  // Forgets those for which `is_over`; gives memory back.
  size_t EraseIf(absl::FunctionRef<bool(uint64_t key, uint32_t value)> is_over);
  size_t size() const { return size_; }
  size_t bytes() const { return keys_.size() * (sizeof(uint64_t) + sizeof(uint32_t)); }

 private:
  size_t HomeOf(uint64_t key) const;
  size_t PlaceOf(uint64_t key) const;
  void InsertAt(size_t place, uint64_t key, uint32_t value);
  void Extend();
  void Rebuild(size_t homes, absl::FunctionRef<bool(uint64_t key, uint32_t value)> keep);

  const size_t entries_max_;
  size_t size_ = 0;
  size_t homes_ = 0;            // places that are homes; a few more follow for the last entries
  std::vector<uint64_t> keys_;  // 0: free
  std::vector<uint32_t> values_;
};

}  // namespace backstay
