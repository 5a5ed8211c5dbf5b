// io/uring/ring.cc -- setup flags, each with its reason, and the enter calls.
//
// SINGLE_ISSUER   one thread submits: the kernel skips its locks, and refuses a second thread.
// DEFER_TASKRUN   completions are produced inside our own enter, in one batch, with warm caches,
//                 and never interrupt the thread between turns. (COOP_TASKRUN is implied.)
// R_DISABLED      the ring is made by the thread that starts the daemon and enabled by the one that
//                 runs it: the kernel binds SINGLE_ISSUER at that moment.
// SUBMIT_ALL      an entry that fails in preparation must not hold back those behind it.
// CQSIZE          the completion queue is much larger than the submission queue: a multishot op
//                 completes many times for one submission.
// Not used: SQPOLL (burns a core), IOPOLL (refuses fsync and sockets), registered ring descriptors
// (they belong to the thread, and a ring that dies on another thread would leak).
#include "io/uring/ring.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "core/base/check.h"

namespace backstay {

Ring::~Ring() {
  if (created_) {
    io_uring_queue_exit(&ring_);
  }
}

int Ring::Create(RingSizes sizes) {
  ASSERT(!created_);
  io_uring_params params{};
  params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_R_DISABLED |
                 IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE;
  params.cq_entries = sizes.completion_entries;
  const int outcome = io_uring_queue_init_params(sizes.submission_entries, &ring_, &params);
  if (outcome < 0) {
    return -outcome;
  }
  created_ = true;
  // The kernel reads entries through an index array; entry n always stands in place n.
  for (uint32_t index = 0; index < ring_.sq.ring_entries; ++index) {
    ring_.sq.array[index] = index;
  }
  tail_ = *ring_.sq.ktail;
  return 0;
}

int Ring::Enable() {
  ASSERT(created_);
  // liburing 2.3 declares io_uring_enable_rings() and does not export it.
  const long outcome =
      syscall(__NR_io_uring_register, ring_.ring_fd, IORING_REGISTER_ENABLE_RINGS, nullptr, 0);
  enabled_ = outcome >= 0;
  return enabled_ ? 0 : errno;
}

io_uring_sqe* Ring::NextEntry() {
  if (tail_ - io_uring_smp_load_acquire(ring_.sq.khead) >= ring_.sq.ring_entries) {
    return nullptr;
  }
  io_uring_sqe* entry = &ring_.sq.sqes[tail_ & ring_.sq.ring_mask];
  ++tail_;
  std::memset(entry, 0, sizeof(*entry));
  return entry;
}

uint32_t Ring::queued() const {
  return tail_ - io_uring_smp_load_acquire(ring_.sq.khead);
}

uint32_t Ring::ready() const {
  return io_uring_smp_load_acquire(ring_.cq.ktail) - *ring_.cq.khead;
}

Completed Ring::Pop() {
  const uint32_t head = *ring_.cq.khead;
  const io_uring_cqe& entry = ring_.cq.cqes[head & ring_.cq.ring_mask];
  const Completed popped{entry.user_data, entry.res, entry.flags};
  io_uring_smp_store_release(ring_.cq.khead, head + 1);
  return popped;
}

bool Ring::overflowed() const {
  return (IO_URING_READ_ONCE(*ring_.sq.kflags) & IORING_SQ_CQ_OVERFLOW) != 0;
}

uint32_t Ring::lost() const {
  return IO_URING_READ_ONCE(*ring_.cq.koverflow);
}

uint32_t Ring::Publish() {
  io_uring_smp_store_release(ring_.sq.ktail, tail_);
  return queued();
}

int Ring::Submit() {
  return io_uring_enter(static_cast<unsigned>(ring_.ring_fd), Publish(), 0, 0, nullptr);
}

int Ring::Enter(bool wait, absl::Duration limit) {
  __kernel_timespec timeout{};
  io_uring_getevents_arg argument{};
  if (wait && limit < absl::InfiniteDuration()) {
    const timespec relative = absl::ToTimespec(limit);
    timeout.tv_sec = relative.tv_sec;
    timeout.tv_nsec = relative.tv_nsec;
    argument.ts = reinterpret_cast<uintptr_t>(&timeout);
  }
  return io_uring_enter2(static_cast<unsigned>(ring_.ring_fd), Publish(), wait ? 1 : 0,
                         IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG,
                         reinterpret_cast<sigset_t*>(&argument), sizeof(argument));
}

}  // namespace backstay
