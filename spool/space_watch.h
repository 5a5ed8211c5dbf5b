// spool/space_watch.h -- is there room for new mail? Asks the file system at most once a second.
//
// What is already allocated to segments counts as free, what is staged counts as used. Below the
// reserve new mail is refused; settles and mail under way may use the reserve.
#pragma once

#include "io/io.h"

namespace backstay {

class SpaceWatch {
 public:
  SpaceWatch(Io& io, Fd directory, uint64_t reserve_bytes, uint64_t segment_bytes)
      : io_(io),
        directory_(directory),
        reserve_bytes_(reserve_bytes),
        segment_bytes_(segment_bytes) {}

  // `room_bytes`: allocated and not yet written. `promised_bytes`: taken and not yet appended.
  void Check(uint64_t room_bytes, uint64_t promised_bytes);
  bool low() const { return low_; }
  uint64_t reserve_bytes() const { return reserve_bytes_; }

 private:
  void AdjustReserve(uint64_t total_bytes);

  Io& io_;
  const Fd directory_;
  uint64_t reserve_bytes_;
  const uint64_t segment_bytes_;
  bool is_adjusted_ = false;
  bool low_ = false;
  bool has_failed_ = false;
  Instant next_check_;
};

}  // namespace backstay
