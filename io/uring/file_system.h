// io/uring/file_system.h -- can the file system under a directory keep what a sync promises?
//
// Its kind is looked at, and how it is mounted. What is not listed has a disk beneath it: ext4,
// XFS, btrfs.
// Turn: waits for the file system; at a start.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace backstay {

struct FileSystemVerdict {
  enum class Kind : uint8_t {
    kStable,
    kUpToOthers,  // to somebody else's sync, or to the disk's own cache
    kLost         // a sync does nothing
  };
  Kind kind = Kind::kStable;
  std::string text;  // what it means for mail, and what to do; empty when it is stable
};

// kStable also when `directory` cannot be looked at: whoever opens it says why.
FileSystemVerdict JudgeFileSystem(const std::string& directory);

// Its parts. By the magic number of statfs(2):
FileSystemVerdict JudgeKind(const std::string& directory, uint64_t magic);
// By the options of mount `id` in the text of /proc/self/mountinfo (proc(5)):
FileSystemVerdict JudgeMount(const std::string& directory, std::string_view mounts, uint64_t id);

}  // namespace backstay
