// spool/spare_pool.h -- files of dead segments that wait to be segments again.
//
// An overwrite of blocks that were written before changes no metadata, so its sync is one flush.
// Few are kept: they are for the steady state, where a segment dies as one is filled. A crash
// leaves their names; the next start unlinks them.
//
// Owns:  the descriptors, until they are taken or CloseAll.
// See:   FORMAT.md 4.8.
#pragma once

#include <optional>
#include <vector>

#include "io/io.h"
#include "spool/segment.h"

namespace backstay {

struct Spare {
  Fd file;
  uint32_t number = 0;      // in its name
  uint32_t generation = 0;  // of what it was
};

class SparePool {
 public:
  static constexpr size_t kSparesMax = 2;

  bool has_room() const { return spares_.size() < kSparesMax; }
  size_t size() const { return spares_.size(); }
  void Add(const Spare& spare) { spares_.push_back(spare); }
  std::optional<Spare> Take() {
    if (spares_.empty()) {
      return std::nullopt;
    }
    const Spare spare = spares_.back();
    spares_.pop_back();
    return spare;
  }
  void CloseAll(Io& io) {
    while (const std::optional<Spare> spare = Take()) {
      io.Close(spare->file);
    }
  }

 private:
  std::vector<Spare> spares_;
};

}  // namespace backstay
