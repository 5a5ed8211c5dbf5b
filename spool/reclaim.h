// spool/reclaim.h -- gives dead segments back, the oldest first, one at a time: a few become
// spares, the others are unlinked and then shrink away.
//
// The oldest one goes when the newest checkpoint knows it dead: the accounts of its messages are in
// there, and the orders in it: a stop is for all that comes. (If somebody waits for space and no
// checkpoint can be written, it goes all the same once one knows the orders.) A younger segment
// holds the settles of older ones: without them a restart would meet messages that were delivered
// long ago. So a segment that is not the oldest goes only when both checkpoints that are kept know
// it dead: what its settles say is in them. (A segment whose file went before its messages counts
// as an older one.) When recovery could not read all, nothing goes: it may be readable at the next
// start. An abandoned segment with nothing good in it holds no settles and goes at once, or each
// failure would cost a segment of disk space for as long as old mail waits.
//
// Errors: after a failed unlink or directory sync nothing more is unlinked until a later try
//         succeeds: an unlink that is not durable could undo itself after the next one was.
// Turn:   one operation at a time.
// See:    FORMAT.md 4.8.
#pragma once

#include <memory>

#include "io/io.h"
#include "spool/checkpoint_store.h"
#include "spool/group_commit.h"
#include "spool/index.h"
#include "spool/segment_set.h"
#include "spool/shrinker.h"
#include "spool/spare_pool.h"

namespace backstay {

class Reclaim {
 public:
  // `segment_bytes`: of a file that can be a segment again.
  Reclaim(Io& io, Fd directory, SegmentSet& segments, Index& index, const GroupCommit& commit,
          const CheckpointStore& checkpoints, SparePool& spares, uint64_t segment_bytes)
      : io_(io),
        directory_(directory),
        segments_(segments),
        index_(index),
        commit_(commit),
        checkpoints_(checkpoints),
        spares_(spares),
        shrinker_(io),
        segment_bytes_(segment_bytes) {}
  Reclaim(const Reclaim&) = delete;
  Reclaim& operator=(const Reclaim&) = delete;

  // Starts what there is to do. `in_haste`: somebody waits for the space.
  void Step(bool in_haste);
  Instant NextDue() const { return shrinker_.NextDue(); }
  // A dead one waits for a checkpoint.
  bool wants_checkpoint() const { return wants_checkpoint_; }
  // A segment has gone without one since the last one could not be written: there is room now.
  bool has_made_room() const { return failures_met_ == checkpoints_.failures(); }
  // Out of the set, and perhaps there again after a crash: a checkpoint must know it dead.
  const std::optional<Checkpoint::SegmentState>& leaving() const { return leaving_; }
  // Spares of an earlier run: what became of their last change of name is not known.
  void Discard(std::vector<uint32_t> spares) { discarded_ = std::move(spares); }
  void NoteEmptySegment() { may_have_empty_ = true; }
  // The log ends: what has become of them on disk does not matter any more. Not while busy.
  void CloseFiles();
  bool busy() const { return phase_ != Phase::kIdle || shrinker_.busy(); }

 private:
  enum class Phase : uint8_t { kIdle, kRenaming, kOpening, kUnlinking, kSyncing };

  Segment* Candidate(bool in_haste);
  bool MayGo(const Segment& oldest, bool in_haste);
  bool HasUnknownDead();
  bool TellsOfOlder(const Segment& segment);
  Segment* YoungerCandidate();
  // Its file goes. What was moved out of it stays known.
  void Release(std::unique_ptr<Segment> segment);
  void KeepMoved(std::unique_ptr<Segment> segment);
  static bool IsForgotten(const Segment& segment);
  void Begone();
  void Unlink();
  bool IsDead(const Segment& segment) const;
  void OnRenamed(const IoResult& result);
  void OnOpened(const IoResult& result);
  void OnUnlinked(const IoResult& result);
  void OnSynced(const IoResult& result);
  void Failed(const char* what, IoError error);

  Io& io_;
  const Fd directory_;
  SegmentSet& segments_;
  Index& index_;
  const GroupCommit& commit_;
  const CheckpointStore& checkpoints_;
  SparePool& spares_;
  Shrinker shrinker_;
  const uint64_t segment_bytes_;
  Phase phase_ = Phase::kIdle;
  bool may_have_empty_ = true;  // some segment may hold nothing good
  bool must_unlink_ = false;    // the last unlink failed
  bool must_sync_ = true;       // an unlink, of the run before perhaps, may not be durable yet
  uint32_t number_ = 0;         // being unlinked
  Fd doomed_;                   // the same; invalid: it could not be opened
  SegmentName name_{};
  SegmentName spare_name_{};
  std::optional<Spare> spare_;  // its new name is not durable yet
  std::vector<uint32_t> discarded_;
  std::optional<Checkpoint::SegmentState> leaving_;
  Instant retry_at_;
  bool wants_checkpoint_ = false;
  uint64_t failures_met_ = 0;          // of checkpoints, when a segment went without one
  uint32_t looked_at_checkpoint_ = 0;  // nothing younger could go when this one was the older
  Completion<&Reclaim::OnRenamed> rename_{this};
  Completion<&Reclaim::OnOpened> open_{this};
  Completion<&Reclaim::OnUnlinked> unlink_{this};
  Completion<&Reclaim::OnSynced> sync_{this};
};

}  // namespace backstay
