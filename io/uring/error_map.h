// io/uring/error_map.h -- errno to IoError, per operation (STYLE 29).
//
// Errors: what only a defect of ours can cause (EBADF, EFAULT, ENOTSOCK) ends the process with its
//         name. A number that is not known to be possible becomes a failure, never a crash.
#pragma once

#include <string_view>

#include "io/io_result.h"
#include "io/uring/slot_table.h"

namespace backstay {

// `error` is a positive errno.
IoError MapError(OpKind kind, int error);

// True when nothing happened and the same request may be made again. Never for a sync: a failure
// that was reported once may not be reported again, so a second sync would be hope.
bool IsTransient(OpKind kind, int error);
// Whether it is made again, after so many times. A signal may interrupt a call now and then; a file
// that never answers otherwise has failed, and its owner must be told. Sockets wait for their
// peers, with timers of their owners.
bool MayAskAgain(OpKind kind, int error, uint32_t retries);

std::string_view Describe(OpKind kind);

}  // namespace backstay
