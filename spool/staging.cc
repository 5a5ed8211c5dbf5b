// spool/staging.cc -- the pool and the lists.
#include "spool/staging.h"

#include <malloc.h>

#include <algorithm>

#include "core/base/mark.h"

namespace backstay {
namespace {

// Parts while memory is short: small, but far above the cost of a record.
constexpr size_t kSmallPartBytes = 32_KiB;

}  // namespace

Staging::Chunk Staging::Take() {
  ++chunks_out_;
  if (free_.empty()) {
    return std::make_unique_for_overwrite<uint8_t[]>(kChunkBytes);
  }
  Chunk chunk = std::move(free_.back());
  free_.pop_back();
  return chunk;
}

void Staging::Give(Chunk chunk) {
  --chunks_out_;
  if (free_.size() * kChunkBytes < bytes_max_) {
    free_.push_back(std::move(chunk));
  }
}

// The chunks lie among smaller things, so that freeing alone would leave their pages resident.
void Staging::GiveBackMemory() {
  if (free_.size() * kChunkBytes > kIdleBytesMax) {
    free_.resize(kIdleBytesMax / kChunkBytes);
    malloc_trim(0);
  }
}

size_t Staging::part_bytes() const {
  return bytes() > bytes_max_ / 2 ? std::min(part_bytes_, kSmallPartBytes) : part_bytes_;
}

void Staging::Activate(StagedWriter& writer) {
  if (!writer.active_node.linked()) {
    active_.PushBack(&writer.active_node);
  }
}

void Staging::WaitForRoom(StagedWriter& writer) {
  if (!writer.wait_node.linked()) {
    waiting_.PushBack(&writer.wait_node);
  }
}

void Staging::WaitForRefusal(StagedWriter& writer) {
  writer.wait_node.Unlink();
  refused_.PushBack(&writer.wait_node);
}

void Staging::TellRefused() {
  while (StagedNode* node = refused_.PopFront()) {
    node->writer.TellFailed();
  }
}

void Staging::Pump() {
  while (StagedNode* node = waiting_.front()) {
    if (!node->writer.Pump(false)) {
      break;
    }
  }
  PumpForced();
}

// Many small stagings can exceed the budget without any of them being due: then the owners have
// stopped reading, and nothing would ever become due.
void Staging::PumpForced() {
  if (!over_budget()) {
    return;
  }
  MARK("staging flushed over budget");
  for (StagedNode* node = active_.front(); node != nullptr && bytes() > bytes_max_ / 4 * 3;
       node = active_.Next(node)) {
    if (!node->writer.is_finishing() && !node->writer.Pump(true)) {
      return;
    }
  }
}

void Staging::RefuseWaiting(CommitResult result) {
  List<StagedNode> looked_at;
  looked_at.TakeAll(waiting_);
  while (StagedNode* node = looked_at.PopFront()) {
    if (node->writer.is_finishing()) {
      node->writer.Refuse(result);
    } else {
      MARK("unfinished message given up");
      node->writer.GiveUp(result);
    }
  }
}

void Staging::LoseParts(uint32_t segment, uint64_t from) {
  StagedNode* next = nullptr;
  for (StagedNode* node = active_.front(); node != nullptr; node = next) {
    next = active_.Next(node);  // a writer that fails leaves the list
    node->writer.LoseParts(segment, from);
  }
}

}  // namespace backstay
