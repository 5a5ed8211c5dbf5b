// io/uring/backend_completions.cc -- a completion finds its op, or is refused.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "core/base/check.h"
#include "core/base/mark.h"
#include "io/uring/backend.h"
#include "io/uring/error_map.h"
#include "io/uring/sockets.h"

namespace backstay {
namespace {

bool HasMore(const Completed& completed) {
  return (completed.flags & IORING_CQE_F_MORE) != 0;
}

// A FIFO where a file of ours belongs has bytes when somebody wants it to.
bool IsRegularFile(Fd opened) {
  struct stat what {};
  return fstat(opened.number(), &what) == 0 && S_ISREG(what.st_mode);
}

bool HasBuffer(const Completed& completed) {
  return (completed.flags & IORING_CQE_F_BUFFER) != 0;
}

uint16_t BufferOf(const Completed& completed) {
  return static_cast<uint16_t>(completed.flags >> IORING_CQE_BUFFER_SHIFT);
}

}  // namespace

void Io::Backend::Dispatch(const Completed& completed) {
  const OpKind kind = SlotTable::KindOf(completed.user_data);
  if (kind == OpKind::kWake) {
    OnWake(completed.result);
    return;
  }
  if (kind == OpKind::kCancelOp) {
    return;
  }
  if (kind == OpKind::kDnsSocket) {
    dns_.OnReady(SlotTable::IndexOf(completed.user_data), completed.result, now_);
    return;
  }
  ++counters_.completions;
  Slot* slot = slots_.Find(completed.user_data);
  if (slot == nullptr) {
    RejectStale(completed);
    return;
  }
  const uint32_t index = SlotTable::IndexOf(completed.user_data);
  if (completed.result < 0) {
    DispatchError(index, *slot, completed);
  } else {
    DispatchKind(index, *slot, completed);
  }
}

void Io::Backend::DispatchKind(uint32_t index, Slot& slot, const Completed& completed) {
  switch (slot.kind) {
    case OpKind::kReceive:
      OnReceived(index, slot, completed);
      return;
    case OpKind::kAccept:
      OnAccepted(index, slot, completed);
      return;
    case OpKind::kConnect:
      OnConnected(index, slot, 0);
      return;
    case OpKind::kOpen:
    case OpKind::kOpenUncached:
      OnOpened(index, slot, Fd(completed.result));
      return;
    case OpKind::kReadBounced:
      OnBouncedRead(index, slot, completed.result);
      return;
    case OpKind::kSend:
    case OpKind::kRead:
    case OpKind::kWrite:
    case OpKind::kSyncData:
    case OpKind::kSyncDirectory:
    case OpKind::kAllocate:
    case OpKind::kTruncate:
    case OpKind::kUnlink:
    case OpKind::kRename:
      Finish(index, slot, IoResult::Count(static_cast<size_t>(completed.result)));
      return;
    case OpKind::kNone:
    case OpKind::kWake:
    case OpKind::kCancelOp:
    case OpKind::kDnsSocket:
    case OpKind::kAsk:
      break;
  }
  UNREACHABLE();
}

void Io::Backend::DispatchError(uint32_t index, Slot& slot, const Completed& completed) {
  ASSERT(!HasMore(completed));
  if (HasBuffer(completed)) {
    receive_buffers_.Return(BufferOf(completed));
  }
  int error = -completed.result;
  const bool interrupted = IsTransient(slot.kind, error) || error == EINTR;
  if (interrupted && slot.cancel_asked) {
    error = ECANCELED;  // a worker is interrupted by a signal to give up its request
  } else if (MayAskAgain(slot.kind, error, slot.retries)) {
    ++slot.retries;
    ++counters_.retries;
    Submit(index);
    return;
  }
  if (slot.kind == OpKind::kConnect) {
    OnConnected(index, slot, error);
    return;
  }
  const bool refused_direct = slot.kind == OpKind::kOpen && error == EINVAL &&
                              static_cast<OpenMode>(slot.offset) == OpenMode::kReadDirect;
  if (refused_direct) {
    MARK("uring: no direct reads on this file system");
    slot.kind = OpKind::kOpenUncached;
    Submit(index);
    return;
  }
  const IoError mapped = MapError(slot.kind, error);
  if (mapped == IoError::kNoBuffers) {
    ++counters_.no_buffers;
  }
  Finish(index, slot, IoResult::Failure(mapped));
}

// The kernel ends each request once, so this is a defect of one of the two sides. What the
// completion carries is given back; the op that lives in the slot now never sees it.
void Io::Backend::RejectStale(const Completed& completed) {
  MARK("uring: stale completion");
  ++counters_.stale;
  if (HasBuffer(completed)) {
    receive_buffers_.Return(BufferOf(completed));
  }
  const OpKind kind = SlotTable::KindOf(completed.user_data);
  const bool carries_fd =
      kind == OpKind::kAccept || kind == OpKind::kOpen || kind == OpKind::kOpenUncached;
  if (carries_fd && completed.result >= 0) {
    close(completed.result);
  }
}

void Io::Backend::OnWake(int32_t result) {
  ASSERT(result == sizeof(wake_count_) || result == -EINTR || result == -EAGAIN ||
         result == -ECANCELED);
  wake_armed_ = false;  // the next turn reads again
}

void Io::Backend::OnAccepted(uint32_t index, Slot& slot, const Completed& completed) {
  const Fd accepted(completed.result);
  StateOf(accepted.number()).unread = true;
  if (HasMore(completed)) {
    slot.op->run(slot.op, IoResult::Descriptor(accepted, true));
    return;
  }
  if (slot.cancel_asked) {
    Finish(index, slot, IoResult::Descriptor(accepted, false));
    return;
  }
  // The kernel ends a multishot that finds the completion queue full. Nothing is wrong with the
  // listener: asked again before the completion runs, so that it may cancel.
  ++counters_.accepts_rearmed;
  Submit(index);
  slot.op->run(slot.op, IoResult::Descriptor(accepted, true));
}

void Io::Backend::OnReceived(uint32_t index, Slot& slot, const Completed& completed) {
  ASSERT(!HasMore(completed));
  if (completed.result == 0) {
    if (HasBuffer(completed)) {
      receive_buffers_.Return(BufferOf(completed));
    }
    Finish(index, slot, IoResult::Lent({}));
    return;
  }
  ASSERT(HasBuffer(completed));
  const uint16_t buffer = BufferOf(completed);
  const Bytes lent = receive_buffers_.Lend(buffer, static_cast<size_t>(completed.result));
  StateOf(slot.fd).unread = (completed.flags & IORING_CQE_F_SOCK_NONEMPTY) != 0;
  Finish(index, slot, IoResult::Lent(lent));
  receive_buffers_.Return(buffer);
}

void Io::Backend::OnConnected(uint32_t index, Slot& slot, int error) {
  const Fd socket(slot.fd);
  if (error == 0 || error == EISCONN) {
    SetConnectedOptions(socket);
    Finish(index, slot, IoResult::Descriptor(socket));
    return;
  }
  const IoError mapped = MapError(OpKind::kConnect, error);
  if (socket.valid()) {
    close(socket.number());
  }
  Finish(index, slot, IoResult::Failure(mapped));
}

void Io::Backend::OnOpened(uint32_t index, Slot& slot, Fd opened) {
  const auto mode = static_cast<OpenMode>(slot.offset);
  if (mode != OpenMode::kAppend && !IsRegularFile(opened)) {
    close(opened.number());
    Finish(index, slot, IoResult::Failure(IoError::kInvalid));
    return;
  }
  if (slot.kind == OpKind::kOpenUncached) {
    // As good as it gets: clean pages go, so that the bytes come from below the cache.
    posix_fadvise(opened.number(), 0, 0, POSIX_FADV_DONTNEED);
  }
  const bool direct = slot.kind == OpKind::kOpen && mode == OpenMode::kReadDirect;
  if (mode == OpenMode::kRead || mode == OpenMode::kReadDirect) {
    // Without O_NONBLOCK again, which some kernels take for a read that must not wait for the disk.
    static_cast<void>(fcntl(opened.number(), F_SETFL, direct ? O_DIRECT : 0));
  }
  StateOf(opened.number()).direct = direct;
  Finish(index, slot, IoResult::Descriptor(opened));
}

void Io::Backend::OnBouncedRead(uint32_t index, Slot& slot, int32_t result) {
  const Bounce& bounce = bounces_.At(slot.offset);
  const auto arrived = static_cast<size_t>(result);
  const size_t behind = arrived > bounce.skipped ? arrived - bounce.skipped : 0;
  const size_t count = std::min(behind, bounce.into.size());
  if (count > 0) {
    std::memcpy(bounce.into.data(), bounce.buffer.get() + bounce.skipped, count);
  }
  Finish(index, slot, IoResult::Count(count));
}

// The last event of an op: everything is given back before it runs, and nothing of the op is
// touched after, because its owner may be gone.
void Io::Backend::Finish(uint32_t index, Slot& slot, const IoResult& result) {
  Op* const op = slot.op;
  ASSERT(op->in_flight);
  if (slot.kind == OpKind::kConnect) {
    addresses_.Free(static_cast<uint32_t>(slot.offset));
  } else if (slot.kind == OpKind::kReadBounced) {
    bounces_.Free(static_cast<uint32_t>(slot.offset));
  }
  if (slot.fd >= 0) {
    --StateOf(slot.fd).ops;
  }
  slots_.Free(index);
  op->in_flight = false;
  op->backend_slot = SlotTable::kNoSlot;
  op->run(op, result);
}

}  // namespace backstay
