// spool/replay.h -- entries of outcome records, applied to an index in the order of the log.
//
// Pure. What recovery and the offline tools know of outcomes: who is settled, which note is the
// last, which rules are in force.
// Errors: Apply() says whether the entry can be one of ours; what it names may be gone.
// See:    FORMAT.md 2 "outcomes".
#pragma once

#include "spool/checkpoint.h"
#include "spool/index.h"
#include "spool/rule_book.h"

namespace backstay {

class Replay {
 public:
  explicit Replay(Index& index) : index_(index) {}
  Replay(const Replay&) = delete;
  Replay& operator=(const Replay&) = delete;

  // False: damaged, or of a newer version; nothing changed.
  bool Apply(const OutcomeEntry& entry, Bytes detail);
  // Settled for another reason than an entry of the log.
  void Discard(MessageRef message, uint32_t recipient);
  // The end of the log: notes and marks of messages that are not there (any more) go.
  void DropStale();

  NoteMap& notes() { return notes_; }
  RuleBook& rules() { return rules_; }

 private:
  bool ApplyRule(MessageRef cut, Bytes detail);
  bool ApplyMark(MessageRef message, Bytes detail);
  bool ApplyOwnRule(MessageRef cut, Bytes detail);

  Index& index_;
  NoteMap notes_;  // the last of each live recipient; of a pending one why it failed
  RuleBook rules_;
};

}  // namespace backstay
