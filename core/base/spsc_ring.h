// core/base/spsc_ring.h -- bounded ring between two threads: one pushes, one pops.
//
// Owns:    its slots. Values are copied in and out.
// Errors:  Push on a full ring returns false and changes nothing; the caller keeps the value.
// Threads: exactly one producer and one consumer; one of the few files with atomics (STYLE 23).
#pragma once

#include <atomic>
#include <cstddef>
#include <vector>

#include "core/base/check.h"

namespace backstay {

template <typename T>
class SpscRing {
 public:
  explicit SpscRing(size_t capacity) : slots_(capacity + 1) { ASSERT(capacity > 0); }
  SpscRing(const SpscRing&) = delete;
  SpscRing& operator=(const SpscRing&) = delete;

  bool Push(const T& value) {
    const size_t tail = tail_.load(std::memory_order_relaxed);
    const size_t next = Next(tail);
    if (next == head_.load(std::memory_order_acquire)) {
      return false;
    }
    slots_[tail] = value;
    tail_.store(next, std::memory_order_release);
    return true;
  }

  bool Pop(T& value) {
    const size_t head = head_.load(std::memory_order_relaxed);
    if (head == tail_.load(std::memory_order_acquire)) {
      return false;
    }
    value = slots_[head];
    head_.store(Next(head), std::memory_order_release);
    return true;
  }

 private:
  size_t Next(size_t index) const { return index + 1 == slots_.size() ? 0 : index + 1; }

  std::vector<T> slots_;  // one more than the capacity: a full ring is told from an empty one
  alignas(64) std::atomic<size_t> head_{0};  // written by the consumer
  alignas(64) std::atomic<size_t> tail_{0};  // written by the producer
};

}  // namespace backstay
