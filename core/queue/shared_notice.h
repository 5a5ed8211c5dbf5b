// core/queue/shared_notice.h -- what every shard finds out by itself and one of them tells the
// operator, once a day.
//
// Pure: `now` is an argument.
//
// Threads: every method from any thread. No atomics of its own (SharedWord).
#pragma once

#include <cstddef>

#include "absl/time/time.h"
#include "core/base/units.h"
#include "core/queue/shared_word.h"

namespace backstay {

class SharedNotice {
 public:
  static constexpr absl::Duration kEvery = absl::Hours(24);

  explicit SharedNotice(size_t shards) { (void)shards; }

  // True: the caller says it; nobody else does for so long.
  bool Take(Instant now) {
    return due_.Change([now](Instant& due) {
      const bool is_due = now >= due;
      due = now + kEvery;
      return is_due;
    });
  }

 private:
  SharedWord<Instant> due_;
};

}  // namespace backstay
