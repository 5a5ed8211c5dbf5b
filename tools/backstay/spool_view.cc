// tools/backstay/spool_view.cc -- shards, sizes, and a look at the lock.
#include "tools/backstay/spool_view.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string_view>

#include "core/base/status_macros.h"
#include "spool/segment_set.h"

namespace backstay {
namespace {

// A shared lock, asked for without waiting and given back at once, answers whether there is an
// exclusive one. It needs no right to write, and F_GETLK does not know flock().
SpoolUse LookAtLock(Fd root, std::string& holder) {
  const int lock = openat(root.number(), "LOCK", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (lock < 0) {
    return errno == ENOENT ? SpoolUse::kFree : SpoolUse::kUnknown;
  }
  SpoolUse use = SpoolUse::kFree;
  if (flock(lock, LOCK_SH | LOCK_NB) != 0) {
    use = errno == EWOULDBLOCK ? SpoolUse::kInUse : SpoolUse::kUnknown;
    std::array<char, 20> text{};
    const ssize_t got = read(lock, text.data(), text.size());
    const std::string_view said(text.data(), got > 0 ? static_cast<size_t>(got) : 0);
    holder = said.substr(0, said.find_first_not_of("0123456789"));
  }
  close(lock);  // gives the lock back
  return use;
}

}  // namespace

absl::StatusOr<SpoolView> SpoolView::Open(Io& io, const std::string& path) {
  SpoolView view;
  view.path_ = path;
  ASSIGN_OR_RETURN(view.directory_, SpoolDirectory::OpenToRead(io, path));
  view.IsInUse();
  return view;
}

std::vector<uint16_t> SpoolView::Shards() const {
  std::vector<uint16_t> shards;
  for (size_t i = 0; i < directory_.shard_directories().size(); ++i) {
    if (directory_.shard_directories()[i].valid()) {
      shards.push_back(static_cast<uint16_t>(i));
    }
  }
  return shards;
}

bool SpoolView::HasShard(uint16_t shard) const {
  const std::vector<uint16_t> shards = Shards();
  return std::find(shards.begin(), shards.end(), shard) != shards.end();
}

uint64_t SpoolView::SegmentBytes(Io& io, const std::vector<uint16_t>& shards) const {
  uint64_t bytes = 0;
  for (const uint16_t shard : shards) {
    const auto files = io.List(ShardDirectory(shard));
    for (size_t i = 0; files.ok() && i < files->size(); ++i) {
      const DirectoryEntry& file = (*files)[i];
      bytes += ParseSegmentName(file.name).has_value() ? file.bytes : 0;
    }
  }
  return bytes;
}

bool SpoolView::IsInUse() {
  if (use_ == SpoolUse::kFree) {
    use_ = LookAtLock(directory_.root(), holder_);
  }
  return use_ != SpoolUse::kFree;
}

std::string SpoolView::DescribeUse() const {
  constexpr std::string_view kMeaning =
      "what follows is the picture of a moment, without what is being written";
  switch (use_) {
    case SpoolUse::kFree:
      return "";
    case SpoolUse::kInUse:
      return fmt::format("the spool is in use by a daemon{}: {}",
                         holder_.empty() ? "" : fmt::format(" (pid {})", holder_), kMeaning);
    case SpoolUse::kUnknown:
      return fmt::format("{}/LOCK cannot be read, so the spool may be in use: {}", path_, kMeaning);
  }
  UNREACHABLE();
}

}  // namespace backstay
