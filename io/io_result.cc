// io/io_result.cc -- names of the errors.
#include "io/io_result.h"

#include "core/base/check.h"

namespace backstay {

std::string_view Describe(IoError error) {
  switch (error) {
    case IoError::kNone:
      return "no error";
    case IoError::kCanceled:
      return "canceled";
    case IoError::kRefused:
      return "connection refused";
    case IoError::kUnreachable:
      return "host or network unreachable";
    case IoError::kTimedOut:
      return "timed out";
    case IoError::kReset:
      return "connection reset by the peer";
    case IoError::kNoBuffers:
      return "no receive buffer free";
    case IoError::kNoDescriptors:
      return "out of file descriptors";
    case IoError::kNoMemory:
      return "out of kernel memory";
    case IoError::kNoSpace:
      return "no space left";
    case IoError::kReadOnly:
      return "read-only file system";
    case IoError::kDevice:
      return "input/output error of the device";
    case IoError::kNotFound:
      return "not found";
    case IoError::kExists:
      return "exists already";
    case IoError::kDenied:
      return "permission denied";
    case IoError::kTls:
      return "TLS failed";
    case IoError::kInvalid:
      return "refused by the kernel as invalid";
  }
  UNREACHABLE();
}

}  // namespace backstay
