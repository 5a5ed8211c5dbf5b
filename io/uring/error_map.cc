// io/uring/error_map.cc -- the tables.
#include "io/uring/error_map.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "core/base/check.h"

namespace backstay {
namespace {

constexpr uint32_t kFileRetriesMax = 100;

[[noreturn]] void BrokenCall(OpKind kind, int error) {
  const std::string text = fmt::format("io_uring {}: {}", Describe(kind), strerrordesc_np(error));
  CheckFailed(__FILE__, __LINE__, text.c_str());
}

// True for what no peer, disk or operator can cause.
bool IsOurDefect(int error) {
  return error == EBADF || error == EFAULT || error == ENOTSOCK;
}

// What any system call may answer.
IoError MapCommon(int error, IoError otherwise) {
  switch (error) {
    case ECANCELED:
      return IoError::kCanceled;
    case EMFILE:
    case ENFILE:
      return IoError::kNoDescriptors;
    case ENOMEM:
    case ENOBUFS:
      return IoError::kNoMemory;
    case EACCES:
    case EPERM:  // also: a firewall rule, a seccomp filter
      return IoError::kDenied;
    default:
      return otherwise;
  }
}

IoError MapConnect(int error) {
  switch (error) {
    case ECONNREFUSED:
      return IoError::kRefused;
    case ENETUNREACH:
    case EHOSTUNREACH:
    case ENETDOWN:
    case EHOSTDOWN:
    case EAFNOSUPPORT:   // no IPv6 on this machine
    case EADDRNOTAVAIL:  // no local address or port left: another route or a later try may work
    case ENONET:
    case EPROTO:  // ICMP: protocol or parameter problem
    case ENOPROTOOPT:
      return IoError::kUnreachable;
    case ETIMEDOUT:
      return IoError::kTimedOut;
    case ECONNRESET:
    case ECONNABORTED:
    case EPIPE:
    case ENOTCONN:
      return IoError::kReset;
    default:
      return MapCommon(error, IoError::kInvalid);
  }
}

IoError MapStream(OpKind kind, int error) {
  switch (error) {
    case EPIPE:
    case ECONNRESET:
    case ECONNABORTED:
    case ENOTCONN:  // the connection was already torn down
    case ECONNREFUSED:
      return IoError::kReset;
    case ETIMEDOUT:
      return IoError::kTimedOut;
    case ENETUNREACH:
    case EHOSTUNREACH:
    case ENETDOWN:
    case EHOSTDOWN:
      return IoError::kUnreachable;
    case ENOBUFS:
      return kind == OpKind::kReceive ? IoError::kNoBuffers : IoError::kNoMemory;
    default:
      return MapCommon(error, IoError::kInvalid);
  }
}

IoError MapFile(int error) {
  switch (error) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:  // RLIMIT_FSIZE, or larger than the file system can
      return IoError::kNoSpace;
    case EROFS:
      return IoError::kReadOnly;
    case EINVAL:
    case EOPNOTSUPP:
    case ENOSYS:
    case EISDIR:
    case ETXTBSY:
      return IoError::kInvalid;
    default:
      // EIO, and what block devices and file systems say when they fail: EREMOTEIO, ENODATA,
      // EILSEQ, ENOLINK, ETIMEDOUT, EBADE, EUCLEAN, EBADMSG, ENXIO, ENODEV, ESTALE, and EINTR
      // of a sync.
      return MapCommon(error, IoError::kDevice);
  }
}

IoError MapName(int error) {
  switch (error) {
    case ENOENT:
      return IoError::kNotFound;
    case EEXIST:
      return IoError::kExists;
    case ELOOP:  // a link where a file of ours belongs
      return IoError::kDenied;
    case EIO:
    case ESTALE:
    case EUCLEAN:
    case EBADMSG:
      return IoError::kDevice;
    case ENOSPC:
    case EDQUOT:
      return IoError::kNoSpace;
    case EROFS:
      return IoError::kReadOnly;
    default:  // ENAMETOOLONG, EISDIR, ENOTDIR, ENXIO, EOVERFLOW, EBUSY, ETXTBSY ...
      return MapCommon(error, IoError::kInvalid);
  }
}

}  // namespace

IoError MapError(OpKind kind, int error) {
  ASSERT(error > 0);
  if (IsOurDefect(error)) {
    BrokenCall(kind, error);
  }
  switch (kind) {
    case OpKind::kAccept:
      return MapCommon(error, IoError::kInvalid);
    case OpKind::kConnect:
      return MapConnect(error);
    case OpKind::kReceive:
    case OpKind::kSend:
      return MapStream(kind, error);
    case OpKind::kOpen:
    case OpKind::kOpenUncached:
    case OpKind::kUnlink:
    case OpKind::kRename:
      return MapName(error);
    case OpKind::kRead:
    case OpKind::kReadBounced:
    case OpKind::kWrite:
    case OpKind::kSyncData:
    case OpKind::kSyncDirectory:
    case OpKind::kAllocate:
    case OpKind::kTruncate:
      return MapFile(error);
    case OpKind::kNone:
    case OpKind::kWake:
    case OpKind::kCancelOp:
    case OpKind::kDnsSocket:
    case OpKind::kAsk:
      break;
  }
  UNREACHABLE();
}

bool IsTransient(OpKind kind, int error) {
  if (kind == OpKind::kSyncData || kind == OpKind::kSyncDirectory) {
    return false;
  }
  if (error == EINTR || error == EAGAIN) {
    return true;
  }
  if (kind == OpKind::kConnect) {
    // A connect that is made again after an interruption finds the first one under way.
    return error == EALREADY || error == EINPROGRESS;
  }
  if (kind != OpKind::kAccept) {
    return false;
  }
  // accept(2): "Linux passes already-pending network errors on the new socket as an error code from
  // accept() ... the application should treat them like EAGAIN by retrying".
  switch (error) {
    case ECONNABORTED:
    case ENETDOWN:
    case EPROTO:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case ENETUNREACH:
      return true;
    default:
      return false;
  }
}

bool MayAskAgain(OpKind kind, int error, uint32_t retries) {
  return IsTransient(kind, error) && (kind < OpKind::kOpen || retries < kFileRetriesMax);
}

std::string_view Describe(OpKind kind) {
  switch (kind) {
    case OpKind::kNone:
      return "nothing";
    case OpKind::kWake:
      return "wake";
    case OpKind::kCancelOp:
      return "cancel";
    case OpKind::kDnsSocket:
      return "dns socket";
    case OpKind::kAsk:
      return "ask";
    case OpKind::kAccept:
      return "accept";
    case OpKind::kConnect:
      return "connect";
    case OpKind::kReceive:
      return "receive";
    case OpKind::kSend:
      return "send";
    case OpKind::kOpen:
    case OpKind::kOpenUncached:
      return "open";
    case OpKind::kRead:
    case OpKind::kReadBounced:
      return "read";
    case OpKind::kWrite:
      return "write";
    case OpKind::kSyncData:
      return "sync data";
    case OpKind::kSyncDirectory:
      return "sync directory";
    case OpKind::kAllocate:
      return "allocate";
    case OpKind::kTruncate:
      return "truncate";
    case OpKind::kUnlink:
      return "unlink";
    case OpKind::kRename:
      return "rename";
  }
  UNREACHABLE();
}

}  // namespace backstay
