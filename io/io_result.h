// io/io_result.h -- the outcome of an op: a count, a descriptor, lent bytes or an error; no
// allocation.
//
// Units:  count() is bytes transferred. lent() is valid until the completion that got it returns.
// Errors: IoError, never errno: the back ends map exhaustively per operation (STYLE 29).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "core/base/bytes.h"
#include "io/fd.h"

namespace backstay {

enum class IoError : uint8_t {
  kNone,
  kCanceled,       // Cancel() won
  kRefused,        // connect: nobody listens there
  kUnreachable,    // connect: no route, host or network down
  kTimedOut,       // connect or connection: the peer stopped answering
  kReset,          // the peer or the network cut the connection (also: broken pipe)
  kNoBuffers,      // receive: no buffer was free; ask again
  kNoDescriptors,  // process or system is out of descriptors
  kNoMemory,       // kernel memory
  kNoSpace,        // disk or quota is full
  kReadOnly,       // file system is read-only
  kDevice,         // EIO and its kin: the device failed
  kNotFound,       // open, unlink: no such file
  kExists,         // open with kCreateNew: there is one already
  kDenied,         // permission
  kTls,            // of a stream, never of an op: its TLS session failed
  kInvalid,        // the kernel refused the arguments; a caller treats it as a failed operation
};

std::string_view Describe(IoError error);

class IoResult {
 public:
  static IoResult Count(size_t count) {
    IoResult result;
    result.count_ = count;
    return result;
  }
  static IoResult Descriptor(Fd fd, bool more = false) {
    IoResult result;
    result.fd_ = fd;
    result.more_ = more;
    return result;
  }
  static IoResult Lent(Bytes bytes) {
    IoResult result;
    result.lent_ = bytes;
    result.count_ = bytes.size();
    return result;
  }
  static IoResult Failure(IoError error, bool more = false) {
    IoResult result;
    result.error_ = error;
    result.more_ = more;
    return result;
  }

  bool ok() const { return error_ == IoError::kNone; }
  IoError error() const { return error_; }
  size_t count() const { return count_; }
  Fd fd() const { return fd_; }
  Bytes lent() const { return lent_; }
  // A multishot op stays armed and will run again. False: this was its last completion.
  bool more() const { return more_; }

 private:
  IoError error_ = IoError::kNone;
  bool more_ = false;
  Fd fd_;
  size_t count_ = 0;
  Bytes lent_;
};

}  // namespace backstay
