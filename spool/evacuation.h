// spool/evacuation.h -- empties segments of which little is left, so that one waiting message does
// not hold a whole file on the disk.
//
// A segment is worth it when what still lies in it is at most an eighth of its bytes, a few
// thousand messages, and nobody has settled any of them for a while: what a primary is taking just
// now goes by itself. So at most a seventh of a byte is written for each byte that is given back.
//
// Errors: a segment with a message that cannot be read is left alone for the rest of the run.
// Turn:   Step() comes once a turn: a look at all segments now and then, else a few messages at a
//         time.
// See:    DESIGN 5 "Evacuation"; FORMAT.md 2 "moved".
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "spool/group_commit.h"
#include "spool/index.h"
#include "spool/mover.h"
#include "spool/segment_set.h"

namespace backstay {

class Evacuation {
 public:
  static constexpr uint64_t kShare = 8;  // of a segment's bytes
  static constexpr uint64_t kMessagesMax = 4096;
  static constexpr int kLooksInCalm = 6;

  Evacuation(Io& io, Spool::Impl& spool, SegmentSet& segments, const Index& index,
             const GroupCommit& commit, const SpoolOptions& options);
  Evacuation(const Evacuation&) = delete;
  Evacuation& operator=(const Evacuation&) = delete;

  // `is_short`: the disk is full, and a calm is not waited for.
  void Step(bool is_short);
  void Stop();
  bool busy() const;
  // When Step() is wanted although nothing happens.
  Instant NextDue() const;
  uint64_t messages_moved() const { return messages_moved_; }

 private:
  // What lies in a segment of messages with their home elsewhere, or parts.
  struct Load {
    uint64_t pins = 0;
    uint64_t messages = 0;
    uint64_t bytes = 0;  // all that would be moved
  };
  using Loads = absl::flat_hash_map<uint32_t, Load>;
  struct Seen {
    uint64_t owed = 0;
    Instant since;
  };

  void Look(bool is_short);
  // Asked before loads are counted, which is a look at each message with parts.
  bool MayBeWorthIt(const Segment& segment) const;
  Loads CountLoads();
  bool IsWorthIt(const Segment& segment, const Load& load) const;
  uint64_t BytesToMove(const Segment& segment, const Load& load) const;
  void Begin(const Segment& segment);
  void Feed(std::unique_ptr<Mover>& mover);
  void End(const char* what);
  // Calls `take(message, parts)` for each owed message with parts, or moved.
  template <typename Take>
  void ForEachWithParts(Take take);

  Io& io_;
  Spool::Impl& spool_;
  SegmentSet& segments_;
  const Index& index_;
  const GroupCommit& commit_;
  const uint64_t segment_bytes_;
  const uint64_t record_bytes_max_;  // a message with more content has parts
  const absl::Duration calm_;
  Instant look_at_;
  absl::flat_hash_map<uint32_t, Seen> seen_;
  absl::flat_hash_set<uint32_t> unreadable_;
  uint32_t segment_ = 0;              // being emptied; 0: none
  std::vector<MessageRef> messages_;  // of it, the next one last
  // While a segment is being emptied, or until their last operation has ended.
  std::array<std::unique_ptr<Mover>, 4> movers_;
  uint64_t messages_moved_ = 0;
};

}  // namespace backstay
