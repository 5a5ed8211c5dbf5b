// io/uring/receive_buffers.h -- the buffers that the kernel fills, one ring for all sockets.
//
// An idle connection holds no buffer. The kernel takes the next one when bytes arrive; it comes
// back as soon as the completion that lent it has returned.
//
// Owns:  the memory of the buffers and of the ring that names them.
// Units: ids are 16 bits, the kernel's.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/base/bytes.h"
#include "io/uring/ring.h"

namespace backstay {

class ReceiveBuffers {
 public:
  static constexpr uint16_t kGroup = 0;

  ReceiveBuffers() = default;
  ReceiveBuffers(const ReceiveBuffers&) = delete;
  ReceiveBuffers& operator=(const ReceiveBuffers&) = delete;
  ~ReceiveBuffers();  // after the ring is gone

  // `count` is a power of two, at most 32,768 (the kernel's bound). 0 or an errno.
  [[nodiscard]] int Create(Ring& ring, uint32_t count, uint32_t buffer_bytes);
  // The first `count` bytes of buffer `id`, readable until Return.
  Bytes Lend(uint16_t id, size_t count);
  void Return(uint16_t id);

 private:
  uint8_t* BufferOf(uint16_t id) { return memory_ + size_t{id} * buffer_bytes_; }
  void Add(uint16_t id);

  io_uring_buf_ring* ring_ = nullptr;
  uint8_t* memory_ = nullptr;
  uint32_t count_ = 0;
  uint32_t buffer_bytes_ = 0;
};

}  // namespace backstay
