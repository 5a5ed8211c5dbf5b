// core/queue/shared_word.h -- eight bytes that every shard may change: a small struct, replaced as
// a whole.
//
// What belongs together is in one word, so that a change is all or nothing, and exact whoever else
// is at it. Nobody waits: who finds that it has changed meanwhile looks again.
//
// Threads: every method from any thread. One of the few files with atomics (STYLE 23).
#pragma once

#include <atomic>
#include <bit>
#include <cstdint>
#include <type_traits>

namespace backstay {

template <typename T>
class SharedWord {
 public:
  static_assert(sizeof(T) == sizeof(uint64_t));
  static_assert(std::is_trivially_copyable_v<T>);

  explicit SharedWord(T value = T()) : word_(std::bit_cast<uint64_t>(value)) {}
  SharedWord(const SharedWord&) = delete;
  SharedWord& operator=(const SharedWord&) = delete;

  T Load() const { return std::bit_cast<T>(word_.load(std::memory_order_acquire)); }
  void Store(T value) { word_.store(std::bit_cast<uint64_t>(value), std::memory_order_release); }
  // `edit(T&)` says whether its change counts; it may run more than once, each time on what is
  // there then. False: nothing was changed.
  template <typename Edit>
  bool Change(Edit edit) {
    uint64_t before = word_.load(std::memory_order_acquire);
    while (true) {
      T value = std::bit_cast<T>(before);
      if (!edit(value)) {
        return false;
      }
      if (word_.compare_exchange_weak(before, std::bit_cast<uint64_t>(value),
                                      std::memory_order_acq_rel, std::memory_order_acquire)) {
        return true;
      }
    }
  }

 private:
  std::atomic<uint64_t> word_;
};

}  // namespace backstay
