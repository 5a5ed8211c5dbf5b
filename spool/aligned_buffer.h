// spool/aligned_buffer.h -- growable bytes on a block boundary, so that the file may be written
// and read around the page cache.
//
// Owns:  its memory; keeps it when emptied, gives it back on Release.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "core/base/bytes.h"
#include "core/base/check.h"
#include "spool/format.h"

namespace backstay {

class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  AlignedBuffer(const AlignedBuffer&) = delete;
  AlignedBuffer& operator=(const AlignedBuffer&) = delete;

  uint8_t* data() { return memory_.get(); }
  size_t size() const { return size_; }
  size_t capacity() const { return capacity_; }
  Bytes bytes() const { return {memory_.get(), size_}; }
  void clear() { size_ = 0; }
  // Empties it and gives its memory back.
  void Release() {
    memory_.reset();
    size_ = 0;
    capacity_ = 0;
  }

  // What is added has any content. Pointers into the buffer are gone.
  void Resize(size_t size) {
    if (size > capacity_) {
      Grow(size);
    }
    size_ = size;
  }
  // Drops the first `bytes`.
  void Consume(size_t bytes) {
    ASSERT(bytes <= size_);
    if (bytes > 0 && bytes < size_) {
      std::memmove(memory_.get(), memory_.get() + bytes, size_ - bytes);
    }
    size_ -= bytes;
  }

 private:
  struct Free {
    void operator()(uint8_t* memory) const { std::free(memory); }
  };

  // Doubles while it is small. A large one takes what it needs and a step more: the bounds of what
  // is put in are bounds of its memory.
  void Grow(size_t size) {
    const size_t step = std::clamp<size_t>(capacity_, 64_KiB, 1_MiB);
    const size_t wanted = std::max(size, capacity_ + step);
    const size_t capacity = (wanted + kBlockBytes - 1) / kBlockBytes * kBlockBytes;
    auto* memory = static_cast<uint8_t*>(std::aligned_alloc(kBlockBytes, capacity));
    ASSERT(memory != nullptr);
    if (size_ > 0) {
      std::memcpy(memory, memory_.get(), size_);
    }
    memory_.reset(memory);
    capacity_ = capacity;
  }

  std::unique_ptr<uint8_t, Free> memory_;
  size_t size_ = 0;
  size_t capacity_ = 0;
};

}  // namespace backstay
