// spool/read_damage.h -- what readers found damaged is copied aside, as recovery does with what it
// finds.
//
// Sealed segments are not scanned at a start, so damage in them shows when a message is read.
//
// Turn:  Step() starts what waits; segments are held until their copies are made.
#pragma once

#include <vector>

#include "spool/quarantine.h"
#include "spool/segment.h"

namespace backstay {

class ReadDamage final : private QuarantineEvents {
 public:
  ReadDamage(Io& io, Fd directory) : quarantine_(io, directory, *this) {}
  ReadDamage(const ReadDamage&) = delete;
  ReadDamage& operator=(const ReadDamage&) = delete;

  // Offsets in the file.
  void Add(Segment& segment, uint64_t from, uint64_t to);
  void Step();
  bool busy() const { return !copied_.empty() || !waiting_.empty(); }
  uint64_t count() const { return count_; }
  // Of a record whose file is gone.
  void CountLost() { ++count_; }

 private:
  struct Range {
    Segment* segment;
    uint64_t from;
    uint64_t to;
  };

  void OnQuarantined() override;

  Quarantine quarantine_;
  std::vector<Range> waiting_;
  std::vector<Segment*> copied_;  // by the copying that is under way
  uint64_t count_ = 0;
};

}  // namespace backstay
