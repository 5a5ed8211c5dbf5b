// io/uring/slot_table.h -- which op a completion belongs to, by index and generation.
//
// The kernel carries 64 bits with each request: slot index, generation and kind. A completion whose
// generation is not the slot's is stale and finds nothing. Slots never move, and a freed slot is
// the next one taken, so that a busy shard works in few cache lines.
//
// Owns: the slots, 40 bytes each; never shrinks.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "core/base/check.h"
#include "io/op.h"

namespace backstay {

enum class OpKind : uint8_t {
  kNone,
  kWake,       // internal: the read of the wake descriptor; no slot
  kCancelOp,   // internal: a cancellation; no slot
  kDnsSocket,  // internal: a socket of the DNS client is ready; no slot, but its number
  kAccept,
  kConnect,  // offset: index of the address in its side table
  kReceive,
  kSend,
  kAsk,           // no entry of the ring: see DnsClient
  kOpen,          // offset: the OpenMode
  kOpenUncached,  // kReadDirect on a file system without direct reads
  kRead,
  kReadBounced,  // offset: index of the bounce buffer in its side table
  kWrite,
  kSyncData,
  kSyncDirectory,
  kAllocate,
  kTruncate,
  kUnlink,
  kRename,  // offset: the other name
};

struct Slot {
  Op* op = nullptr;
  const void* pointer = nullptr;  // buffer or name
  // in the file, or what OpKind says; in a free slot: the next free one
  uint64_t offset = 0;
  uint32_t length = 0;
  int32_t fd = -1;
  uint32_t generation = 0;  // 24 bits are used
  OpKind kind = OpKind::kNone;
  bool cancel_asked = false;
  uint16_t retries = 0;  // modulo 2^16
};
static_assert(sizeof(Slot) == 40, "a million idle connections hold one each");

class SlotTable {
 public:
  static constexpr uint32_t kNoSlot = 0;  // so that Op::backend_slot is 0 when idle

  SlotTable() = default;
  SlotTable(const SlotTable&) = delete;
  SlotTable& operator=(const SlotTable&) = delete;

  uint32_t Take() {
    if (free_ == kNoSlot) {
      Grow();
    }
    const uint32_t index = free_;
    Slot& slot = At(index);
    free_ = static_cast<uint32_t>(slot.offset);
    ++in_use_;
    return index;
  }
  void Free(uint32_t index) {
    Slot& slot = At(index);
    ASSERT(slot.kind != OpKind::kNone);
    slot.kind = OpKind::kNone;
    slot.op = nullptr;
    slot.cancel_asked = false;
    slot.retries = 0;
    slot.generation = (slot.generation + 1) & kGenerationMask;
    slot.offset = free_;
    free_ = index;
    --in_use_;
  }
  Slot& At(uint32_t index) { return chunks_[index / kChunkSlots][index % kChunkSlots]; }
  uint64_t UserData(uint32_t index) {
    const Slot& slot = At(index);
    return index | static_cast<uint64_t>(slot.generation) << kGenerationShift |
           static_cast<uint64_t>(slot.kind) << kKindShift;
  }
  // Null when the slot has been freed or reused since.
  Slot* Find(uint64_t user_data) {
    const uint32_t index = IndexOf(user_data);
    if (index == kNoSlot || index / kChunkSlots >= chunks_.size()) {
      return nullptr;
    }
    Slot& slot = At(index);
    const bool same = slot.generation == ((user_data >> kGenerationShift) & kGenerationMask) &&
                      slot.kind == KindOf(user_data);
    return same ? &slot : nullptr;
  }
  static uint32_t IndexOf(uint64_t user_data) { return static_cast<uint32_t>(user_data); }
  static OpKind KindOf(uint64_t user_data) { return static_cast<OpKind>(user_data >> kKindShift); }
  static uint64_t WithoutSlot(OpKind kind) { return static_cast<uint64_t>(kind) << kKindShift; }
  uint32_t in_use() const { return in_use_; }

 private:
  static constexpr uint32_t kChunkSlots = 1024;
  static constexpr int kGenerationShift = 32;
  static constexpr int kKindShift = 56;
  static constexpr uint32_t kGenerationMask = (1u << (kKindShift - kGenerationShift)) - 1;

  void Grow() {
    const auto first = static_cast<uint32_t>(chunks_.size()) * kChunkSlots;
    chunks_.push_back(std::make_unique<Slot[]>(kChunkSlots));
    // Downwards, so that the lowest index is taken first; slot 0 is nobody's.
    for (uint32_t index = first + kChunkSlots; index-- > first;) {
      if (index != kNoSlot) {
        At(index).offset = free_;
        free_ = index;
      }
    }
  }

  std::vector<std::unique_ptr<Slot[]>> chunks_;
  uint32_t free_ = kNoSlot;
  uint32_t in_use_ = 0;
};

}  // namespace backstay
