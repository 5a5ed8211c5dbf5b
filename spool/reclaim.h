// spool/reclaim.h -- unlinks dead segments, the oldest first, one at a time.
//
// Only the oldest, because a younger segment holds the settles of older ones: without them a
// restart would meet messages that were delivered long ago. Checkpoints, which keep settles in a
// file of their own, will lift the restriction. A file that recovery could not read counts as older
// mail: it may be readable at the next start. An abandoned segment with nothing good in it holds
// no settles and goes at once, or each failure would cost a segment of disk space for as long as
// old mail waits.
//
// Errors: after a failed unlink or directory sync nothing more is unlinked until a later try
//         succeeds: an unlink that is not durable could undo itself after the next one was.
// Turn:   one operation at a time.
// See:    FORMAT.md 4.8.
#pragma once

#include "io/io.h"
#include "spool/group_commit.h"
#include "spool/segment_set.h"

namespace backstay {

class Reclaim {
 public:
  Reclaim(Io& io, Fd directory, SegmentSet& segments, const GroupCommit& commit)
      : io_(io), directory_(directory), segments_(segments), commit_(commit) {}
  Reclaim(const Reclaim&) = delete;
  Reclaim& operator=(const Reclaim&) = delete;

  // Starts the next unlink if there is something to do.
  void Step();
  void NoteEmptySegment() { may_have_empty_ = true; }
  bool busy() const { return phase_ != Phase::kIdle; }

 private:
  enum class Phase : uint8_t { kIdle, kUnlinking, kSyncing };

  Segment* Candidate();
  void Unlink();
  bool IsDead(const Segment& segment) const;
  void OnUnlinked(const IoResult& result);
  void OnSynced(const IoResult& result);
  void Failed(const char* what, IoError error);

  Io& io_;
  const Fd directory_;
  SegmentSet& segments_;
  const GroupCommit& commit_;
  Phase phase_ = Phase::kIdle;
  bool may_have_empty_ = true;  // some segment may hold nothing good
  bool must_unlink_ = false;    // the last unlink failed
  bool must_sync_ = false;      // an unlink is not durable yet
  uint32_t number_ = 0;         // being unlinked
  SegmentName name_{};
  Instant retry_at_;
  Completion<&Reclaim::OnUnlinked> unlink_{this};
  Completion<&Reclaim::OnSynced> sync_{this};
};

}  // namespace backstay
