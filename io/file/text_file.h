// io/file/text_file.h -- a whole file as text, for threads that may wait: configuration, lists.
//
// Only a regular file, opened without waiting: a named pipe, a terminal or a device would keep its
// reader for ever, and the one who asks also waits for signals.
// Errors: absl::Status that names the file; kNotFound: there is none, kPermissionDenied.
// Turn:   waits for the disk; never on a shard.
#pragma once

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"

namespace backstay {

absl::StatusOr<std::string> ReadTextFile(const std::string& path, size_t bytes_max);

}  // namespace backstay
