// io/uring/wake_signal.cc -- an eventfd behind two flags.
#include "io/uring/wake_signal.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>

#include "core/base/check.h"

namespace backstay {

WakeSignal::~WakeSignal() {
  if (descriptor_ >= 0) {
    close(descriptor_);
  }
}

int WakeSignal::Create() {
  // Blocking on purpose: the ring answers EAGAIN for a non-blocking descriptor instead of waiting.
  descriptor_ = eventfd(0, EFD_CLOEXEC);
  return descriptor_ >= 0 ? 0 : errno;
}

void WakeSignal::Wake() {
  woken_.store(true, std::memory_order_seq_cst);
  if (!sleeping_.load(std::memory_order_seq_cst)) {
    return;
  }
  const uint64_t one = 1;
  const ssize_t written = write(descriptor_, &one, sizeof(one));
  ASSERT(written == sizeof(one));  // blocks only at 2^64 - 1 wakes nobody read
}

bool WakeSignal::BeginSleep() {
  sleeping_.store(true, std::memory_order_seq_cst);
  if (woken_.load(std::memory_order_seq_cst)) {
    EndSleep();
    return false;
  }
  return true;
}

void WakeSignal::Consume() {
  if (woken_.load(std::memory_order_relaxed)) {
    woken_.exchange(false, std::memory_order_acq_rel);
  }
}

}  // namespace backstay
