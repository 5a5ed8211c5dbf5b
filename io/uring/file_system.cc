// io/uring/file_system.cc -- by the number that statfs() gives, and by the options of the mount.
//
// * tmpfs, ramfs: a sync does nothing, and a 250 means as much.
// * overlayfs: a sync goes to the layer beneath, unless the mount is `volatile`, as builders of
//   images have them; and what it holds goes with the container.
// * NFS, SMB, 9p, FUSE: a sync is as good as the program at the other end (an NFS export may be
//   `async`), which no probe can tell. Locks and O_DIRECT are up to it, too.
// * nobarrier: a sync leaves the mail in the cache of the disk.
#include "io/uring/file_system.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <iterator>
#include <utility>

namespace backstay {
namespace {

using Kind = FileSystemVerdict::Kind;

constexpr const char* kMounts = "/proc/self/mountinfo";
constexpr size_t kMountsBytesMax = 4096 * 1024;  // a host of containers has thousands of mounts

constexpr std::string_view kInMemory =
    "is in memory ({}): no sync makes anything safe there, and all mail is lost with the machine; "
    "put spool.directory on a disk";
constexpr std::string_view kOfAnother =
    "is on {}: what a sync promises there is up to whoever serves it; put spool.directory on a "
    "disk of this machine";
constexpr std::string_view kOfAContainer =
    "is inside a container ({}): mail goes with it; put spool.directory on a volume";

struct KnownKind {
  uint64_t magic;
  Kind kind;
  std::string_view name;
  std::string_view text;
};
constexpr KnownKind kKnown[] = {
    {TMPFS_MAGIC, Kind::kLost, "tmpfs", kInMemory},
    {RAMFS_MAGIC, Kind::kLost, "ramfs", kInMemory},
    {OVERLAYFS_SUPER_MAGIC, Kind::kUpToOthers, "overlayfs", kOfAContainer},
    {NFS_SUPER_MAGIC, Kind::kUpToOthers, "NFS", kOfAnother},
    {CIFS_SUPER_MAGIC, Kind::kUpToOthers, "SMB", kOfAnother},
    {SMB2_SUPER_MAGIC, Kind::kUpToOthers, "SMB", kOfAnother},
    {V9FS_MAGIC, Kind::kUpToOthers, "9p", kOfAnother},
    {FUSE_SUPER_MAGIC, Kind::kUpToOthers, "FUSE", kOfAnother},
};

bool HasOption(std::string_view options, std::string_view wanted) {
  for (size_t begin = 0; begin < options.size();) {
    const size_t end = std::min(options.find(',', begin), options.size());
    if (options.substr(begin, end - begin) == wanted) {
      return true;
    }
    begin = end + 1;
  }
  return false;
}

// Of the file system itself: the last word of the line.
std::string_view OptionsOf(std::string_view mounts, uint64_t id) {
  while (!mounts.empty()) {
    const std::string_view line = mounts.substr(0, mounts.find('\n'));
    mounts.remove_prefix(std::min(line.size() + 1, mounts.size()));
    uint64_t number = 0;
    const auto [stop, error] = std::from_chars(line.data(), line.data() + line.size(), number);
    if (error == std::errc() && number == id) {
      return line.substr(line.rfind(' ') + 1);
    }
  }
  return {};
}

std::string ReadMounts() {
  std::string text;
  std::FILE* const file = std::fopen(kMounts, "re");
  if (file == nullptr) {
    return text;
  }
  char piece[4096];
  for (size_t bytes = 1; bytes > 0 && text.size() < kMountsBytesMax;) {
    bytes = std::fread(piece, 1, sizeof(piece), file);
    text.append(piece, bytes);
  }
  std::fclose(file);
  return text;
}

}  // namespace

FileSystemVerdict JudgeKind(const std::string& directory, uint64_t magic) {
  const auto* const known =
      std::find_if(std::begin(kKnown), std::end(kKnown),
                   [magic](const KnownKind& kind) { return kind.magic == magic; });
  if (known == std::end(kKnown)) {
    return {};
  }
  return {known->kind,
          fmt::format("{} {}", directory, fmt::format(fmt::runtime(known->text), known->name))};
}

FileSystemVerdict JudgeMount(const std::string& directory, std::string_view mounts, uint64_t id) {
  const std::string_view options = OptionsOf(mounts, id);
  if (HasOption(options, "volatile")) {
    return {Kind::kLost, fmt::format("{} is on a volatile mount: no sync makes anything safe "
                                     "there; put spool.directory on a volume",
                                     directory)};
  }
  if (HasOption(options, "nobarrier")) {
    return {
        Kind::kUpToOthers,
        fmt::format("{} is mounted with nobarrier: a sync leaves mail in the cache of the disk, "
                    "and a power cut takes it unless that has a battery; mount it without",
                    directory)};
  }
  return {};
}

FileSystemVerdict JudgeFileSystem(const std::string& directory) {
  struct statfs found {};
  if (statfs(directory.c_str(), &found) != 0) {
    return {};
  }
  FileSystemVerdict verdict = JudgeKind(directory, static_cast<uint32_t>(found.f_type));
  struct statx mounted {};
  if (verdict.kind != Kind::kLost &&
      statx(AT_FDCWD, directory.c_str(), 0, STATX_MNT_ID, &mounted) == 0 &&
      (mounted.stx_mask & STATX_MNT_ID) != 0) {
    FileSystemVerdict of_mount = JudgeMount(directory, ReadMounts(), mounted.stx_mnt_id);
    if (of_mount.kind != Kind::kStable) {
      verdict = std::move(of_mount);
    }
  }
  return verdict;
}

}  // namespace backstay
