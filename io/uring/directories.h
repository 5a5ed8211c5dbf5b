// io/uring/directories.h -- the rare questions to the file system, by plain calls that may block.
//
// Errors: absl::Status for the operator: what, which path, why.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "io/fd.h"
#include "io/io.h"

namespace backstay {

// What they create is durable when they return: the new name was synced into its directory.
absl::StatusOr<Fd> OpenDirectoryPath(const std::string& path, bool create);
absl::StatusOr<Fd> OpenDirectoryBelow(Fd parent, const std::string& name, bool create);

absl::StatusOr<std::vector<DirectoryEntry>> ListDirectory(Fd directory);
absl::StatusOr<Fd> LockFileIn(Fd directory, const std::string& name);
absl::StatusOr<SpaceReport> FreeSpaceOf(Fd directory);
uint64_t NextWrittenOf(Fd file, uint64_t at);
absl::StatusOr<uint64_t> BytesOfFile(Fd file);
absl::StatusOr<bool> HasWorldAccess(Fd directory);

}  // namespace backstay
