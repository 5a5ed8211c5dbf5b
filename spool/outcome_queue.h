// spool/outcome_queue.h -- settles and deferral notes on their way into the log.
//
// They wait here, already encoded, until a batch takes them; the batch keeps its share until the
// sync has succeeded, and gives it back at the front when it fails. So none is lost while the
// process lives.
// See:    FORMAT.md 2 "outcomes".
#pragma once

#include <vector>

#include "absl/functional/function_ref.h"
#include "core/base/bytes.h"
#include "spool/format.h"

namespace backstay {

class OutcomeQueue {
 public:
  void Add(OutcomeEntry entry, Bytes detail);
  bool empty() const { return bytes_.empty(); }
  uint64_t entries() const { return entries_; }
  Bytes bytes() const { return bytes_; }

  // The longest run of whole entries at the front of `from` of at most `bytes_max`, at least one.
  static size_t FrontRun(Bytes from, size_t bytes_max);
  // Moves the first `bytes` (whole entries) to the end of `to`. True: an order is among them.
  bool MoveFront(size_t bytes, OutcomeQueue& to);
  // Puts everything in `other` before what is here; `other` is empty afterwards.
  void PutBack(OutcomeQueue& other);
  void Clear();

 private:
  std::vector<uint8_t> bytes_;
  uint64_t entries_ = 0;
};

// Calls `visit` for each entry. False: the payload is not a list of entries (what came before the
// broken one was visited).
bool ForEachOutcome(Bytes payload, absl::FunctionRef<void(const OutcomeEntry&, Bytes)> visit);

}  // namespace backstay
