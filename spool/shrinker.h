// spool/shrinker.h -- gives the blocks of a file without a name back, a piece at a time.
//
// A segment that goes at once holds up every sync of its disk for as long as the file system frees
// it and the device forgets it: a fifth of a second for 256 MiB (BUILD_NOTES.md). Pieces, each with
// a sync of its own and a rest behind it, are felt by nobody.
//
// Owns:   the descriptor, from Start until the file is empty.
// Errors: after a failed step the file is closed, and the rest goes at once.
// Turn:   one operation at a time.
#pragma once

#include "io/io.h"

namespace backstay {

class Shrinker {
 public:
  explicit Shrinker(Io& io) : io_(io) {}
  Shrinker(const Shrinker&) = delete;
  Shrinker& operator=(const Shrinker&) = delete;

  // A file that has no name any more, durably, open for writing. Only when not active.
  void Start(Fd file);
  bool active() const { return file_.valid(); }
  bool busy() const { return truncate_.in_flight || sync_.in_flight; }
  // Starts the next piece when it is time. `in_haste`: somebody waits for the space.
  void Step(bool in_haste);
  Instant NextDue() const;
  // The rest goes at once. Not while busy.
  void Close();

 private:
  void OnTruncated(const IoResult& result);
  void OnSynced(const IoResult& result);

  Io& io_;
  Fd file_;
  uint64_t bytes_ = 0;  // that it still has
  Instant began_at_;    // the piece
  Instant next_at_;
  Completion<&Shrinker::OnTruncated> truncate_{this};
  Completion<&Shrinker::OnSynced> sync_{this};
};

}  // namespace backstay
