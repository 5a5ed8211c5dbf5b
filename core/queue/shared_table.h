// core/queue/shared_table.h -- what all shards know of one thing, by its key; made by whoever asks
// first.
//
// Nothing is ever taken out, so what At() returns stays where it is: a destination or a domain that
// a reload removes and another brings back has its counts again.
//
// Owns:    the entries, as long as it lives; as many as keys were ever asked for.
// Threads: every method from any thread; what T does is T's. One of the few files with atomics
//          (STYLE 23).
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace backstay {

template <typename T>
class SharedTable {
 public:
  // A T is made with the number of shards.
  explicit SharedTable(size_t shards) : shards_(shards) {}
  SharedTable(const SharedTable&) = delete;
  SharedTable& operator=(const SharedTable&) = delete;
  ~SharedTable() {
    for (const std::atomic<Entry*>& head : heads_) {
      Entry* entry = head.load();
      while (entry != nullptr) {
        const std::unique_ptr<Entry> gone(entry);
        entry = gone->next;
      }
    }
  }

  // Null: nobody has asked for it.
  const T* Find(uint64_t key) const {
    const Entry* const entry = FindIn(heads_[key % kHeads].load(std::memory_order_acquire), key);
    return entry == nullptr ? nullptr : &entry->value;
  }

  T& At(uint64_t key) {
    std::atomic<Entry*>& head = heads_[key % kHeads];
    Entry* first = head.load(std::memory_order_acquire);
    std::unique_ptr<Entry> fresh;
    while (true) {
      if (Entry* const entry = FindIn(first, key); entry != nullptr) {
        return entry->value;
      }
      if (fresh == nullptr) {
        fresh = std::make_unique<Entry>(key, shards_);
      }
      fresh->next = first;
      if (head.compare_exchange_strong(first, fresh.get(), std::memory_order_acq_rel,
                                       std::memory_order_acquire)) {
        return fresh.release()->value;  // the list's from now on
      }
    }
  }

 private:
  static constexpr size_t kHeads = 1024;
  struct Entry {
    Entry(uint64_t wanted, size_t shards) : key(wanted), value(shards) {}

    const uint64_t key;
    T value;
    Entry* next = nullptr;
  };
  // What hangs on a head never changes but at the front.
  static Entry* FindIn(Entry* entry, uint64_t key) {
    while (entry != nullptr && entry->key != key) {
      entry = entry->next;
    }
    return entry;
  }

  const size_t shards_;
  std::array<std::atomic<Entry*>, kHeads> heads_ = {};
};

}  // namespace backstay
