// spool/checkpoint_cover.h -- what a checkpoint spares a recovery: the outcomes of
// the segments that it covers.
//
// Errors: Fits and Apply say no when files and checkpoint disagree; then it is not used at all.
// Turn:   nothing waits.
// See:    FORMAT.md 9.
#pragma once

#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "spool/catalog.h"
#include "spool/checkpoint.h"
#include "spool/index.h"
#include "spool/rule_book.h"

namespace backstay {

class CheckpointCover {
 public:
  explicit CheckpointCover(std::optional<Checkpoint> checkpoint)
      : checkpoint_(std::move(checkpoint)) {}

  // It tells all that this segment and later ones could tell about segments up to this one.
  bool Covers(uint32_t segment) const {
    return checkpoint_.has_value() && segment <= checkpoint_->covers;
  }
  // Segments between these two may have gone back, and with them the end of the chain of commits.
  bool MayLackBetween(uint32_t last, uint32_t next) const {
    return last + 1 < next && Covers(last + 1);
  }
  // Once, before the segments are read. Returns every rule that was in force when it was taken;
  // nothing: the checkpoint does not fit to the files.
  std::optional<RuleBook> Begin(const Catalog& catalog, Index& index);
  // Behind Begin: the accounts of what it covers. A checkpoint without any is of an older version.
  void LoadAccounts(const Catalog& catalog, WallTime now, Index& index) const;
  bool LacksAccounts() const {
    return checkpoint_.has_value() && !checkpoint_->accounts.has_value();
  }
  // Marks who is owed in a segment whose messages are known, and pins their parts.
  bool Apply(Segment& segment, Index& index) const;
  NoteMap TakeNotes() {
    return checkpoint_.has_value() ? std::move(checkpoint_->notes) : NoteMap();
  }

  // The message was moved and is owed: the state of each recipient; null: it is not known so.
  const std::vector<RecipientState>* MovedStates(MessageRef home) const {
    const Checkpoint::MovedState* moved =
        checkpoint_.has_value() ? checkpoint_->FindMoved(home) : nullptr;
    return moved != nullptr ? &moved->states : nullptr;
  }

  // It knows nothing of this segment but what of it was moved.
  bool KnewOnlyMoved(uint32_t segment) const;

  // Told behind what is covered.
  void NoteOutcome(const OutcomeEntry& entry, Bytes detail);
  // A moved message was found, with these recipients.
  void NoteMoved(MessageRef home, const std::vector<RecipientState>& states);
  // This recipient is not looked for there any more. Nothing: it is owed a report, or was moved.
  void NoteEnded(MessageRef message, uint32_t recipient, std::optional<Ending> ending);
  // What was noted of one whose message was not known.
  std::optional<Ending> EndingOf(MessageRef message, uint32_t recipient) const;
  // Of those that are missing: not all who were owed have been settled since, or were moved.
  std::vector<uint32_t> Lost() const;
  // Mail was owed in a segment whose file is there and cannot be used.
  bool has_unusable() const { return has_unusable_; }

 private:
  // Every file that it covers is the one that it knew: outcomes in another would be missed.
  bool Fits(const Catalog& catalog) const;
  // Segments that went back when the last of their mail was settled, or that were lost.
  void FindMissing(const Catalog& catalog);

  struct Missing {
    uint64_t owed = 0;  // recipients
    // Block and recipient: settled, or moved.
    std::map<std::pair<uint32_t, uint32_t>, std::optional<Ending>> known;
  };

  std::optional<Checkpoint> checkpoint_;
  std::map<uint32_t, Missing> missing_;
  bool has_unusable_ = false;
};

}  // namespace backstay
