// io/uring/receive_buffers.cc -- one ring of buffers, registered with the kernel.
//
// Under AddressSanitizer a buffer that is not lent is poisoned: bytes kept too long are found.
#include "io/uring/receive_buffers.h"

#include <sys/mman.h>

#include <bit>
#include <cerrno>

#include "core/base/check.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#include <sanitizer/asan_interface.h>
#endif
#endif
#if !defined(ASAN_POISON_MEMORY_REGION)
#define ASAN_POISON_MEMORY_REGION(at, bytes) (static_cast<void>(at), static_cast<void>(bytes))
#define ASAN_UNPOISON_MEMORY_REGION(at, bytes) (static_cast<void>(at), static_cast<void>(bytes))
#endif

namespace backstay {
namespace {

constexpr uint32_t kCountMax = 32768;

void* MapMemory(size_t bytes) {
  void* mapped = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return mapped == MAP_FAILED ? nullptr : mapped;
}

}  // namespace

ReceiveBuffers::~ReceiveBuffers() {
  if (memory_ != nullptr) {
    ASAN_UNPOISON_MEMORY_REGION(memory_, size_t{count_} * buffer_bytes_);
    munmap(memory_, size_t{count_} * buffer_bytes_);
  }
  if (ring_ != nullptr) {
    munmap(ring_, count_ * sizeof(io_uring_buf));
  }
}

int ReceiveBuffers::Create(Ring& ring, uint32_t count, uint32_t buffer_bytes) {
  ASSERT(memory_ == nullptr);
  ASSERT(std::has_single_bit(count));
  ASSERT(count <= kCountMax);
  count_ = count;
  buffer_bytes_ = buffer_bytes;
  ring_ = static_cast<io_uring_buf_ring*>(MapMemory(count * sizeof(io_uring_buf)));
  memory_ = static_cast<uint8_t*>(MapMemory(size_t{count} * buffer_bytes));
  if (ring_ == nullptr || memory_ == nullptr) {
    return ENOMEM;
  }
  io_uring_buf_reg registration{};
  registration.ring_addr = reinterpret_cast<uintptr_t>(ring_);
  registration.ring_entries = count;
  registration.bgid = kGroup;
  const int outcome = io_uring_register_buf_ring(&ring.raw(), &registration, 0);
  if (outcome < 0) {
    return -outcome;
  }
  io_uring_buf_ring_init(ring_);
  ASAN_POISON_MEMORY_REGION(memory_, size_t{count} * buffer_bytes);
  for (uint32_t id = 0; id < count; ++id) {
    Add(static_cast<uint16_t>(id));
  }
  return 0;
}

Bytes ReceiveBuffers::Lend(uint16_t id, size_t count) {
  ASSERT(id < count_);
  ASSERT(count <= buffer_bytes_);
  ASAN_UNPOISON_MEMORY_REGION(BufferOf(id), count);
  return {BufferOf(id), count};
}

void ReceiveBuffers::Return(uint16_t id) {
  ASSERT(id < count_);
  ASAN_POISON_MEMORY_REGION(BufferOf(id), buffer_bytes_);
  Add(id);
}

void ReceiveBuffers::Add(uint16_t id) {
  // Not through liburing: before 2.4 the header's `bufs` is an array of zero length in a union,
  // which bounds checkers take at its word.
  auto* entries = reinterpret_cast<io_uring_buf*>(ring_);
  io_uring_buf& entry = entries[ring_->tail & (count_ - 1)];
  entry.addr = reinterpret_cast<uintptr_t>(BufferOf(id));
  entry.len = buffer_bytes_;
  entry.bid = id;
  io_uring_smp_store_release(&ring_->tail, static_cast<uint16_t>(ring_->tail + 1));
}

}  // namespace backstay
