// io/uring/uring_io.h -- makes the Io that runs on the kernel.
//
// Threads: any thread may make it and use its synchronous verbs and queue ops; the first Turn()
//          binds it to the calling thread for good (IORING_SETUP_SINGLE_ISSUER).
// Errors:  absl::Status for the operator; ProbeKernel() explains what the kernel lacks.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "core/base/units.h"
#include "io/io.h"

namespace backstay {

struct UringOptions {
  // Queued ops beyond this cost one more system call in that turn, nothing else. A power of two.
  uint32_t submission_entries = 1024;
  // A turn's completions beyond this wait in a list of the kernel and come a turn later. A power of
  // two.
  uint32_t completion_entries = 16384;
  // One ring of buffers for all sockets. A power of two, at most 32,768.
  uint32_t receive_buffers = 256;
  uint32_t receive_buffer_bytes = 16_KiB;
  // Kernel threads for what would block in the file system. The default of the kernel grows with
  // the queue; a shard has one sync, a few writes and a few reads at a time.
  uint32_t file_workers = 8;
  // Of random(); nothing: from the kernel.
  std::optional<uint64_t> seed;
  // Of Ask(): "address:port,...", which also stands for TCP; empty: as /etc/resolv.conf says.
  std::string dns_servers;
  // For tests: do as a kernel before 6.9 makes us do.
  bool plain_truncate = false;
};

// Counted since the start; for metrics and tests.
struct UringCounters {
  uint64_t turns = 0;
  uint64_t enters = 0;       // system calls made for the ring
  uint64_t completions = 0;  // events, multishot ones included
  uint64_t overflows = 0;    // turns that found the completion queue overflowed
  uint64_t no_buffers = 0;   // receives that found no free buffer
  uint64_t retries = 0;      // EINTR, EAGAIN and their kin, asked again
  uint64_t accepts_rearmed = 0;
  uint64_t stale = 0;   // completions of ops that were not in flight
  uint64_t unsent = 0;  // ops that found the submission queue full and had to wait for a turn
};

absl::StatusOr<std::unique_ptr<Io>> MakeUringIo(const UringOptions& options);

const UringCounters& CountersOf(Io& io);

}  // namespace backstay
