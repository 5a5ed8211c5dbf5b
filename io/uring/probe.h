// io/uring/probe.h -- has this kernel what backstay needs, and may we use it? One line if not.
//
// Errors: absl::Status for the operator: what is missing, and the fix. The daemon exits with 69.
#pragma once

#include <cstddef>
#include <string>

#include "absl/status/status.h"

namespace backstay {

// Makes a small ring and tries what cannot be looked up. kUnavailable: the kernel lacks something,
// or something forbids it.
absl::Status ProbeKernel();

// Raises this process's limits on descriptors and locked memory as far as it may. Not fatal: the
// text says what is low.
absl::Status RaiseLimits();

// How many descriptors this process may have.
size_t FilesMax();

// What ProbeKernel() says when setting up a ring answers `error`. `sysctl` is the content of
// /proc/sys/kernel/io_uring_disabled, empty when there is none; `release` is uname's.
std::string ExplainSetupError(int error, const std::string& sysctl, const std::string& release);

}  // namespace backstay
