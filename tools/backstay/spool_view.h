// tools/backstay/spool_view.h -- a spool on disk as a verb sees it: read only, perhaps in use.
//
// Life:   Open, then one ShardFiles after the other; Close.
// Errors: kUnimplemented: written by a newer format; anything else: cannot be opened.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "spool/spool_directory.h"

namespace backstay {

enum class SpoolUse : uint8_t {
  kFree,    // nobody holds the lock
  kInUse,   // a daemon does
  kUnknown  // the lock file may not be read; taken for in use
};

class SpoolView {
 public:
  static absl::StatusOr<SpoolView> Open(Io& io, const std::string& path);
  void Close(Io& io) { directory_.Close(io); }

  const std::string& path() const { return path_; }
  uint16_t node() const { return directory_.node(); }
  const std::vector<std::string>& warnings() const { return directory_.warnings(); }
  std::vector<uint16_t> Shards() const;  // that have a directory
  bool HasShard(uint16_t shard) const;
  Fd ShardDirectory(uint16_t shard) const { return directory_.shard_directories()[shard]; }
  // Of the files of these shards, now.
  uint64_t SegmentBytes(Io& io, const std::vector<uint16_t>& shards) const;

  // Looks at the lock again: a daemon may have started meanwhile. Once in use, in use for good.
  bool IsInUse();
  // What a reader should know of it; empty: nobody uses it.
  std::string DescribeUse() const;

 private:
  std::string path_;
  SpoolDirectory directory_;
  SpoolUse use_ = SpoolUse::kFree;
  std::string holder_;  // pid, when it can be read
};

}  // namespace backstay
