// io/uring/backend_entries.cc -- a slot becomes a submission entry.
//
// An entry is made from its slot alone, so that the same request can be made again after EINTR or
// EAGAIN.
#include <fcntl.h>
#include <stdio.h>  // RENAME_NOREPLACE

#include "core/base/check.h"
#include "io/uring/backend.h"
#include "io/uring/kernel_abi.h"

namespace backstay {
namespace {

constexpr mode_t kFileMode = 0600;
// Of a log: whoever reads logs is of its group, by the directory's set-group-id bit.
constexpr mode_t kAppendMode = 0640;

// O_NONBLOCK: a FIFO where a file belongs would keep who reads it waiting for a writer for ever. It
// is taken off again when the file is open (OnOpened).
int OpenFlagsOf(OpenMode mode) {
  switch (mode) {
    case OpenMode::kRead:
      return O_RDONLY | O_NONBLOCK;
    case OpenMode::kReadDirect:
      return O_RDONLY | O_NONBLOCK | O_DIRECT;
    case OpenMode::kReadWrite:
      return O_RDWR;
    case OpenMode::kCreateNew:
      return O_RDWR | O_CREAT | O_EXCL;
    case OpenMode::kCreateOrOpen:
      return O_RDWR | O_CREAT;
    case OpenMode::kAppend:
      return O_WRONLY | O_APPEND | O_CREAT | O_NOCTTY;
  }
  UNREACHABLE();
}

}  // namespace

void Io::Backend::Prepare(io_uring_sqe* entry, uint32_t index) {
  const Slot& slot = slots_.At(index);
  switch (slot.kind) {
    case OpKind::kAccept:
      io_uring_prep_multishot_accept(entry, slot.fd, nullptr, nullptr, SOCK_CLOEXEC);
      break;
    case OpKind::kConnect: {
      const ConnectAddress& address = addresses_.At(slot.offset);
      io_uring_prep_connect(entry, slot.fd, reinterpret_cast<const sockaddr*>(&address.storage),
                            address.bytes);
      break;
    }
    case OpKind::kReceive:
      io_uring_prep_recv(entry, slot.fd, nullptr, 0, 0);
      entry->ioprio = StateOf(slot.fd).unread ? 0 : IORING_RECVSEND_POLL_FIRST;
      entry->flags |= IOSQE_BUFFER_SELECT;
      entry->buf_group = ReceiveBuffers::kGroup;
      break;
    case OpKind::kSend:
      // WAITALL: the kernel goes on after a full socket buffer by itself; a short send is then
      // rare.
      io_uring_prep_send(entry, slot.fd, slot.pointer, slot.length, MSG_NOSIGNAL | MSG_WAITALL);
      break;
    case OpKind::kOpen:
    case OpKind::kOpenUncached:
      PrepareOpen(entry, slot);
      break;
    case OpKind::kRead:
    case OpKind::kReadBounced:
      io_uring_prep_read(entry, slot.fd, const_cast<void*>(slot.pointer), slot.length,
                         slot.kind == OpKind::kRead ? slot.offset : bounces_.At(slot.offset).at);
      break;
    case OpKind::kWrite:
      io_uring_prep_write(entry, slot.fd, slot.pointer, slot.length, slot.offset);
      break;
    case OpKind::kSyncData:
      io_uring_prep_fsync(entry, slot.fd, IORING_FSYNC_DATASYNC);
      break;
    case OpKind::kSyncDirectory:
      io_uring_prep_fsync(entry, slot.fd, 0);
      break;
    case OpKind::kAllocate:
      io_uring_prep_fallocate(entry, slot.fd, 0, 0, static_cast<off_t>(slot.offset));
      break;
    case OpKind::kTruncate:
      entry->opcode = kOpcodeFtruncate;
      entry->fd = slot.fd;
      entry->off = slot.offset;
      break;
    case OpKind::kUnlink:
      io_uring_prep_unlinkat(entry, slot.fd, static_cast<const char*>(slot.pointer), 0);
      break;
    case OpKind::kRename:
      io_uring_prep_renameat(entry, slot.fd, static_cast<const char*>(slot.pointer), slot.fd,
                             reinterpret_cast<const char*>(slot.offset), RENAME_NOREPLACE);
      break;
    case OpKind::kNone:
    case OpKind::kWake:
    case OpKind::kCancelOp:
    case OpKind::kDnsSocket:
    case OpKind::kAsk:
      UNREACHABLE();
  }
  entry->user_data = slots_.UserData(index);
}

void Io::Backend::PrepareOpen(io_uring_sqe* entry, const Slot& slot) {
  const auto mode = static_cast<OpenMode>(slot.offset);
  const bool by_path = slot.fd < 0;
  const int flags = OpenFlagsOf(slot.kind == OpKind::kOpenUncached ? OpenMode::kRead : mode);
  io_uring_prep_openat(entry, by_path ? AT_FDCWD : slot.fd, static_cast<const char*>(slot.pointer),
                       flags | O_CLOEXEC | (by_path ? 0 : O_NOFOLLOW),
                       mode == OpenMode::kAppend ? kAppendMode : kFileMode);
}

// No completion when it worked; one that says "not found" otherwise, which OnX ignores: the op
// completes by itself in both cases.
void Io::Backend::PrepareCancel(io_uring_sqe* entry, uint64_t user_data) {
  io_uring_prep_cancel64(entry, user_data, 0);
  entry->flags |= IOSQE_CQE_SKIP_SUCCESS;
  entry->user_data = SlotTable::WithoutSlot(OpKind::kCancelOp);
}

}  // namespace backstay
