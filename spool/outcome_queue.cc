// spool/outcome_queue.cc -- entries one behind the other in one vector.
#include "spool/outcome_queue.h"

#include "core/base/check.h"
#include "spool/record.h"

namespace backstay {
namespace {

// Bytes of the entry at the front of `bytes`, 0 if there is no whole one.
uint64_t EntryBytes(Bytes bytes) {
  if (bytes.size() < sizeof(OutcomeEntry)) {
    return 0;
  }
  const uint64_t size =
      sizeof(OutcomeEntry) + uint64_t{LoadStruct<OutcomeEntry>(bytes).detail_bytes};
  return size <= bytes.size() ? size : 0;
}

}  // namespace

void OutcomeQueue::Add(OutcomeEntry entry, Bytes detail) {
  entry.detail_bytes = static_cast<uint32_t>(detail.size());
  const size_t at = bytes_.size();
  bytes_.resize(at + sizeof(entry) + detail.size());
  std::memcpy(bytes_.data() + at, &entry, sizeof(entry));
  if (!detail.empty()) {
    std::memcpy(bytes_.data() + at + sizeof(entry), detail.data(), detail.size());
  }
  ++entries_;
}

size_t OutcomeQueue::FrontRun(Bytes from, size_t bytes_max) {
  uint64_t run = EntryBytes(from);
  ASSERT(run > 0);
  for (;;) {
    const uint64_t next = EntryBytes(from.subspan(static_cast<size_t>(run)));
    if (next == 0 || run + next > bytes_max) {
      return static_cast<size_t>(run);
    }
    run += next;
  }
}

bool OutcomeQueue::MoveFront(size_t bytes, OutcomeQueue& to) {
  const Bytes front = Bytes(bytes_).first(bytes);
  uint64_t count = 0;
  bool has_order = false;
  const bool whole = ForEachOutcome(front, [&](const OutcomeEntry& entry, Bytes) {
    ++count;
    has_order |= entry.code == static_cast<uint8_t>(OutcomeCode::kRule);
  });
  ASSERT(whole);
  to.bytes_.insert(to.bytes_.end(), front.begin(), front.end());
  to.entries_ += count;
  bytes_.erase(bytes_.begin(), bytes_.begin() + static_cast<ptrdiff_t>(bytes));
  entries_ -= count;
  return has_order;
}

void OutcomeQueue::PutBack(OutcomeQueue& other) {
  bytes_.insert(bytes_.begin(), other.bytes_.begin(), other.bytes_.end());
  entries_ += other.entries_;
  other.Clear();
}

void OutcomeQueue::Clear() {
  bytes_.clear();
  entries_ = 0;
}

bool ForEachOutcome(Bytes payload, absl::FunctionRef<void(const OutcomeEntry&, Bytes)> visit) {
  while (!payload.empty()) {
    const uint64_t size = EntryBytes(payload);
    if (size == 0) {
      return false;
    }
    visit(LoadStruct<OutcomeEntry>(payload),
          payload.subspan(sizeof(OutcomeEntry), static_cast<size_t>(size) - sizeof(OutcomeEntry)));
    payload = payload.subspan(static_cast<size_t>(size));
  }
  return true;
}

}  // namespace backstay
