// spool/keeper.h -- what a shard writes beside its log so that the next start is quick: footers of
// sealed segments and checkpoints.
//
// No mail depends on it: without footers and checkpoints everything is scanned. But the log does
// not keep an order for ever: the oldest segment goes when a checkpoint knows the orders in it.
//
// Turn:  Step() comes once a turn and starts what is due; one footer and one checkpoint at a time.
// See:   FORMAT.md 9.
#pragma once

#include <deque>
#include <optional>

#include "spool/checkpoint_store.h"
#include "spool/footer_file.h"
#include "spool/group_commit.h"
#include "spool/index.h"
#include "spool/rule_book.h"
#include "spool/segment_set.h"

namespace backstay {

class Keeper {
 public:
  Keeper(Io& io, SegmentSet& segments, Index& index, const GroupCommit& commit,
         CheckpointStore& store)
      : io_(io), segments_(segments), index_(index), commit_(commit), store_(store), footer_(io) {}
  Keeper(const Keeper&) = delete;
  Keeper& operator=(const Keeper&) = delete;

  // No message is added to it any more, once its last batch is decided. It is told again when the
  // segment behind it failed at its first write and went at once.
  void OnSealed(uint32_t segment);
  // Recovery is over: the next start need not do it again.
  void WantCheckpoint() { wants_checkpoint_ = true; }
  // A segment could go. Not more often than it is worth, unless somebody waits for the space.
  // `has_room`: though the last one could not be written.
  void WantCheckpointSoon(bool in_haste, bool has_room);
  // `leaving`: of Reclaim.
  void Step(const NoteMap& notes, const RuleBook& rules,
            const std::optional<Checkpoint::SegmentState>& leaving);
  // When one more is taken: the last one failed, or is wanted soon.
  Instant NextDue() const { return due_at_; }
  bool busy() const { return footer_.busy() || store_.busy(); }

 private:
  void StartFooter();
  void LookAtDue();
  std::vector<MovedMessage> MovedTo(const Segment& segment) const;
  void TakeMoved(const Segment& segment, std::vector<Checkpoint::MovedState>& moved) const;
  Checkpoint Take(const NoteMap& notes, const RuleBook& rules,
                  const std::optional<Checkpoint::SegmentState>& leaving);
  AccountState TakeAccounts(uint32_t covers);

  Io& io_;
  SegmentSet& segments_;
  Index& index_;
  const GroupCommit& commit_;
  CheckpointStore& store_;
  FooterWriter footer_;
  std::deque<uint32_t> sealed_;  // without a footer so far
  uint32_t last_sealed_ = 0;     // told, and perhaps with a footer
  bool wants_checkpoint_ = false;
  Instant due_at_ = Instant::Max();
  Instant taken_at_;
  // Taken, and written once the outcomes it knows are in the log: it must not know more than that.
  std::optional<Checkpoint> taken_;
  uint64_t outcomes_to_wait_for_ = 0;
};

}  // namespace backstay
