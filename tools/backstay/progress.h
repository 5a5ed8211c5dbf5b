// tools/backstay/progress.h -- a bar on the terminal while much is read; nothing anywhere else.
//
// Life:  OnBytesRead as often as wanted; Clear before anything else is printed, and at the end.
#pragma once

#include "io/io.h"
#include "tools/backstay/shard_files.h"

namespace backstay {

class Progress final : public ReadProgress {
 public:
  Progress(Io& io, uint64_t bytes_total, bool is_shown)
      : io_(io), bytes_total_(bytes_total), is_shown_(is_shown) {}
  void OnBytesRead(uint64_t bytes) override;
  void Clear();

 private:
  Io& io_;
  const uint64_t bytes_total_;
  const bool is_shown_;
  uint64_t bytes_read_ = 0;
  Instant draw_at_;
  bool is_drawn_ = false;
};

}  // namespace backstay
