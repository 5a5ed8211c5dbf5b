// spool/segment.h -- one log file: its identity, its phase, its messages, and what keeps it on
// disk.
//
// Life:  prepared by SegmentRoll or found by Recovery; open; then sealed or abandoned; unlinked by
//        Reclaim when nothing holds it.
// Owns:  the descriptor (closed by whoever takes the segment out of use, with Io::Close).
// Units: offsets in the file.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "io/fd.h"
#include "spool/record.h"
#include "spool/segment_index.h"

namespace backstay {

enum class SegmentPhase : uint8_t {
  kOpen,      // appended to
  kSealed,    // read only
  kGone,      // the file went; what is owed of it was moved, and is known by its old place
  kAbandoned  // after a failed write or sync: read only, around the page cache, up to good_bytes
};

// "segment-0000002a" and a terminating zero.
using SegmentName = std::array<char, 17>;
SegmentName NameOfSegment(uint32_t number);
// "spare-0000002a": a file that was a segment.
SegmentName NameOfSpare(uint32_t number);

struct Segment {
  Segment(const SegmentHeader& segment_header, Fd descriptor)
      : header(segment_header), key(segment_header), file(descriptor) {}
  Segment(const Segment&) = delete;
  Segment& operator=(const Segment&) = delete;

  uint32_t number() const { return header.segment; }
  uint64_t data_end() const { return DataEnd(header); }
  bool holds_nothing_good() const {
    return phase == SegmentPhase::kAbandoned && good_bytes <= kDataStart;
  }
  bool is_gone() const { return phase == SegmentPhase::kGone; }
  // By this checkpoint and those behind it; 0: there is none.
  bool is_known_dead(uint32_t checkpoint) const {
    return dead_in_checkpoint != 0 && dead_in_checkpoint <= checkpoint;
  }
  bool is_held() const { return !index.lies_elsewhere() || pins > 0 || readers > 0; }

  const SegmentHeader header;
  const SegmentKey key;
  Fd file;  // not valid: readers open the file themselves (abandoned)
  SegmentPhase phase = SegmentPhase::kSealed;
  bool is_published = true;      // false: recovery is at work on it, the queue does not know it
  uint64_t good_bytes = 0;       // abandoned: where trust ends
  uint64_t batches_end = 0;      // written in this run: behind the last synced batch
  uint32_t last_commit_crc = 0;  // of that batch
  uint64_t footer_reserve = 0;   // room kept for the footer, about
  SegmentIndex index;
  uint64_t pins = 0;  // parts and moved messages here, of live messages and open transactions
  // Homes of the messages that this run has moved to here, for the footer.
  std::vector<MessageRef> moved_here;
  // The first checkpoint that knows it dead, of this run; 0: none.
  uint32_t dead_in_checkpoint = 0;
  // The first checkpoint that knows all orders in it, of this run; 0: it holds none, or an older
  // one knows them.
  uint32_t orders_in_checkpoint = 0;
  static constexpr uint32_t kNotTaken = UINT32_MAX;  // of it: no checkpoint knows them so far
  // The first segment of which its start record says that not all counts; 0: of none.
  uint32_t untrusted_from = 0;
  uint32_t readers = 0;  // MessageReaders with an operation in flight on `file`
  // The count of outcomes queued when the last hold was given up: the segment may go when so many
  // are synced, or a restart could meet a live message whose parts are gone.
  uint64_t outcomes_to_wait_for = 0;
};

}  // namespace backstay
