// spool/space_watch.h -- is there room for new mail? Asks the file system at most once a second.
//
// What is already allocated to segments counts as free, what is staged or claimed counts as used.
// Below the reserve new mail is refused; settles and mail under way may use the reserve.
//
// A message claims room before its first byte, so that one which was let in does not find the disk
// full of those that came after it. All shards share a disk: each gives away its part of what is
// above the reserve.
#pragma once

#include <limits>

#include "io/io.h"

namespace backstay {

class SpaceWatch {
 public:
  SpaceWatch(Io& io, Fd directory, uint64_t reserve_bytes, uint64_t segment_bytes, size_t shards)
      : io_(io),
        directory_(directory),
        reserve_bytes_(reserve_bytes),
        segment_bytes_(segment_bytes),
        shards_(shards) {}

  // `room_bytes`: allocated and not yet written. `promised_bytes`: taken and not yet appended.
  void Check(uint64_t room_bytes, uint64_t promised_bytes);
  bool low() const { return low_; }
  // So many bytes may be claimed now.
  bool HasRoom(uint64_t bytes) const;
  // False: there is no room for so many bytes. Otherwise each byte is used, or given back.
  bool Claim(uint64_t bytes);
  void Use(uint64_t bytes);
  void GiveBack(uint64_t bytes);
  uint64_t reserve_bytes() const { return reserve_bytes_; }

 private:
  void AdjustReserve(uint64_t total_bytes);

  Io& io_;
  const Fd directory_;
  uint64_t reserve_bytes_;
  const uint64_t segment_bytes_;
  const size_t shards_;
  uint64_t claimed_ = 0;
  // To be claimed until the next check; unlimited while nobody knows.
  int64_t unclaimed_ = std::numeric_limits<int64_t>::max();
  bool is_adjusted_ = false;
  bool low_ = false;
  bool has_failed_ = false;
  Instant next_check_;
};

}  // namespace backstay
