// spool/sweep.h -- carries out deletions by rule: so many messages a turn, and nothing is written.
//
// The rule itself is the record; a restart carries it out again. Until it is done the rule book
// keeps the cursor of the domain behind the cut, so that no deleted message is tried. An order for
// many domains is one walk, and segments that have none of them are passed over.
//
// Turn:  Step() is bounded.
// See:   FORMAT.md 2 "rules".
#pragma once

#include <cstdint>
#include <optional>

#include "absl/functional/function_ref.h"
#include "spool/index.h"
#include "spool/rule_book.h"

namespace backstay {

class Sweep {
 public:
  // Recipients that are gone, one by one.
  using Gone = absl::FunctionRef<void(MessageRef, uint32_t recipient)>;

  Sweep(SegmentSet& segments, Index& index) : segments_(segments), index_(index) {}
  Sweep(const Sweep&) = delete;
  Sweep& operator=(const Sweep&) = delete;

  // Looks at up to `messages_max` messages for the first deletion in the book, which leaves the
  // book when nothing is left of it; a domain looked for in a segment counts as a message.
  // `in_flight`: what lies there or behind it comes to the index later, or never.
  // `outcomes_queued`: the rule is durable with those.
  void Step(RuleBook& rules, uint32_t messages_max, std::optional<MessageRef> in_flight,
            uint64_t outcomes_queued, Gone gone);
  // The deletion means what is in flight: there is nothing to do until that is decided.
  bool waits() const { return waits_; }

 private:
  // False: all of the segment was looked at.
  bool StepSegment(Segment& segment, const Deletion& deletion, uint32_t& budget,
                   uint64_t outcomes_queued, Gone gone);

  SegmentSet& segments_;
  Index& index_;
  uint32_t segment_ = 0;  // looked at next
  // In it, behind this block. Not a message's number: those change when the segment's file goes.
  uint32_t block_ = 0;
  bool waits_ = false;
};

}  // namespace backstay
