// core/policy/recipient_table.cc -- search, shift, rebuild.
#include "core/policy/recipient_table.h"

#include <algorithm>
#include <utility>

#include "core/base/check.h"

namespace backstay {
namespace {

constexpr size_t kHomesMin = 56;
// Room behind the last home, at first and whenever it is used up.
constexpr size_t kTail = 64;

bool IsCrowded(size_t entries, size_t homes) {
  return entries * 14 > homes * 13;
}

}  // namespace

size_t RecipientTable::HomeOf(uint64_t key) const {
  const unsigned __int128 scaled = static_cast<unsigned __int128>(key << kSkippedBits) * homes_;
  return static_cast<size_t>(scaled >> 64);
}

// Of the first entry that is not less than `key`, or of the gap before it. A table is not empty.
size_t RecipientTable::PlaceOf(uint64_t key) const {
  size_t place = HomeOf(key);
  while (place < keys_.size() && keys_[place] != 0 && keys_[place] < key) {
    ++place;
  }
  return place;
}

std::optional<uint32_t> RecipientTable::Find(uint64_t key) const {
  if (size_ == 0) {
    return std::nullopt;
  }
  const size_t place = PlaceOf(key);
  const bool found = place < keys_.size() && keys_[place] == key;
  return found ? std::optional(values_[place]) : std::nullopt;
}

bool RecipientTable::Set(uint64_t key, uint32_t value) {
  ASSERT(key != 0);
  if (size_ > 0) {
    const size_t place = PlaceOf(key);
    if (place < keys_.size() && keys_[place] == key) {
      values_[place] = value;
      return true;
    }
  }
  if (size_ >= entries_max_) {
    return false;
  }
  const auto keep_all = [](uint64_t, uint32_t) { return true; };
  if (IsCrowded(size_ + 1, homes_)) {
    Rebuild(std::max(kHomesMin, homes_ + homes_ / 7), keep_all);
  }
  InsertAt(PlaceOf(key), key, value);
  return true;
}

void RecipientTable::InsertAt(size_t place, uint64_t key, uint32_t value) {
  const auto from = static_cast<std::ptrdiff_t>(place);
  auto gap = std::find(keys_.begin() + from, keys_.end(), uint64_t{0});
  if (gap == keys_.end()) {
    const auto end = gap - keys_.begin();
    Extend();
    gap = keys_.begin() + end;
  }
  const auto values_gap = values_.begin() + (gap - keys_.begin());
  std::copy_backward(keys_.begin() + from, gap, gap + 1);
  std::copy_backward(values_.begin() + from, values_gap, values_gap + 1);
  keys_[place] = key;
  values_[place] = value;
  ++size_;
}

// By no more than that: a vector that grows by itself doubles.
void RecipientTable::Extend() {
  const size_t places = keys_.size() + kTail;
  keys_.reserve(places);
  keys_.resize(places);
  values_.reserve(places);
  values_.resize(places);
}

// Those behind it that are not at home move up, so that no gap lies before them.
void RecipientTable::Erase(uint64_t key) {
  size_t place = size_ > 0 ? PlaceOf(key) : keys_.size();
  if (place >= keys_.size() || keys_[place] != key) {
    return;
  }
  for (size_t next = place + 1;
       next < keys_.size() && keys_[next] != 0 && HomeOf(keys_[next]) < next; ++next) {
    keys_[next - 1] = keys_[next];
    values_[next - 1] = values_[next];
    place = next;
  }
  keys_[place] = 0;
  --size_;
}

void RecipientTable::ForEach(absl::FunctionRef<void(uint64_t, uint32_t)> visit) const {
  for (size_t place = 0; place < keys_.size(); ++place) {
    if (keys_[place] != 0) {
      visit(keys_[place], values_[place]);
    }
  }
}

size_t RecipientTable::EraseIf(absl::FunctionRef<bool(uint64_t, uint32_t)> is_over) {
  size_t kept = 0;
  ForEach([&](uint64_t key, uint32_t value) { kept += is_over(key, value) ? 0 : 1; });
  const size_t erased = size_ - kept;
  if (erased > 0) {
    Rebuild(std::max(kHomesMin, kept + kept / 7),
            [&](uint64_t key, uint32_t value) { return !is_over(key, value); });
  }
  return erased;
}

// In ascending order each entry goes to its home or right behind the one before it.
void RecipientTable::Rebuild(size_t homes, absl::FunctionRef<bool(uint64_t, uint32_t)> keep) {
  const std::vector<uint64_t> keys = std::exchange(keys_, {});
  const std::vector<uint32_t> values = std::exchange(values_, {});
  homes_ = homes;
  size_ = 0;
  keys_ = std::vector<uint64_t>(homes + kTail);
  values_ = std::vector<uint32_t>(homes + kTail);
  size_t next = 0;
  for (size_t place = 0; place < keys.size(); ++place) {
    if (keys[place] == 0 || !keep(keys[place], values[place])) {
      continue;
    }
    next = std::max(next, HomeOf(keys[place]));
    if (next == keys_.size()) {
      Extend();
    }
    keys_[next] = keys[place];
    values_[next++] = values[place];
    ++size_;
  }
}

}  // namespace backstay
