// io/uring/ring.h -- the two queues, and the one place that enters the kernel.
//
// liburing maps the queues; entering is done here, because the library enters more often than once
// a turn and hides when.
//
// Owns:   the ring descriptor and its mappings.
// Errors: errno values, positive from Create, negative from the calls that enter.
#pragma once

#include <liburing.h>

#include <cstdint>

#include "absl/time/time.h"

namespace backstay {

struct RingSizes {
  uint32_t submission_entries;  // both are rounded up to a power of two by the kernel
  uint32_t completion_entries;
};

struct Completed {
  uint64_t user_data = 0;
  int32_t result = 0;  // as a system call would return it: a count, a descriptor or -errno
  uint32_t flags = 0;  // IORING_CQE_F_*
};

class Ring {
 public:
  Ring() = default;
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;
  ~Ring();

  // Disabled: belongs to no thread yet and takes nothing. 0 or an errno.
  [[nodiscard]] int Create(RingSizes sizes);
  // From now on the calling thread is the one that submits. 0 or an errno.
  [[nodiscard]] int Enable();
  bool enabled() const { return enabled_; }

  // A zeroed entry at the tail, or null when the queue is full.
  io_uring_sqe* NextEntry();
  // Entries that the kernel has not taken yet.
  uint32_t queued() const;
  // Completions that can be popped without entering.
  uint32_t ready() const;
  Completed Pop();
  // Completions wait in the kernel's overflow list; the next Enter brings them.
  bool overflowed() const;
  // Completions that the kernel lost for want of memory. Never goes back.
  uint32_t lost() const;

  // Hands over the queued entries and nothing else.
  int Submit();
  // Hands over the queued entries and, when all were taken, waits for one completion, at most
  // `limit`. Without `wait` it only runs what is due. The number of entries taken, or -errno.
  int Enter(bool wait, absl::Duration limit);

  io_uring& raw() { return ring_; }

 private:
  uint32_t Publish();

  io_uring ring_{};
  bool created_ = false;
  bool enabled_ = false;
  uint32_t tail_ = 0;  // entries filled so far; the kernel sees them at Publish
};

}  // namespace backstay
