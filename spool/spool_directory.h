// spool/spool_directory.h -- the directory of a whole spool: lock, format version, node id, shards.
//
// Layout: LOCK, VERSION (format and node), shard-000/ ... ; each shard has a quarantine/ of its
//         own.
// Errors: absl codes mean exit codes: kFailedPrecondition: another daemon holds it (75);
//         kUnimplemented: written by a newer format, nothing touched (76); anything else: cannot be
//         opened (73).
// Turn:   synchronous, at start and in tools.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "io/io.h"

namespace backstay {

class SpoolDirectory {
 public:
  struct Options {
    std::string path;
    uint16_t shards = 1;
    uint16_t node = 0;  // 0: as stored, or drawn at random for a new spool
  };
  static absl::StatusOr<SpoolDirectory> Open(Io& io, const Options& options);
  // Of a spool that exists: nothing is created, written or locked, and another process may hold it.
  // A shard without a directory has a descriptor that is not valid.
  static absl::StatusOr<SpoolDirectory> OpenToRead(Io& io, const std::string& path);
  // Closes what was opened; the lock goes last.
  void Close(Io& io);

  Fd root() const { return root_; }
  uint16_t node() const { return node_; }
  // One per shard that has a directory: at least Options::shards, more when an earlier run had more
  // (their mail must still be drained).
  const std::vector<Fd>& shard_directories() const { return shard_directories_; }
  // Of those, how many take new mail: Options::shards.
  uint16_t intake_shards() const { return intake_shards_; }
  // Lines for the operator: world access, adjusted reserve, orphaned shards.
  const std::vector<std::string>& warnings() const { return warnings_; }

 private:
  absl::Status OpenBelow(Io& io, const Options& options);
  absl::Status OpenExisting(Io& io);
  absl::Status WarnOfWorldAccess(Io& io, const Options& options);
  absl::Status UseVersion(Io& io, const Options& options);
  absl::Status OpenShards(Io& io, const Options& options);

  Fd root_;
  Fd lock_;
  uint16_t node_ = 0;
  std::vector<Fd> shard_directories_;
  uint16_t intake_shards_ = 0;
  std::vector<std::string> warnings_;
};

}  // namespace backstay
