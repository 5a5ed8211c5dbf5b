// io/uring/directories.cc -- directories, the spool lock, free space.
#include "io/uring/directories.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "core/base/check.h"
#include "core/base/status_macros.h"

namespace backstay {
namespace {

constexpr mode_t kDirectoryMode = 0700;
constexpr mode_t kLockFileMode = 0600;
constexpr int kDirectoryFlags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
constexpr size_t kPidDigitsMax = 20;

absl::Status Failed(const std::string& what, int error) {
  const std::string text = fmt::format("{}: {}", what, strerrordesc_np(error));
  // Not absl::ErrnoToStatusCode: kFailedPrecondition is kept for a lock that another process holds.
  return error == ENOENT ? absl::NotFoundError(text) : absl::UnavailableError(text);
}

bool IsComponent(const std::string& name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == std::string::npos;
}

std::string ParentOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) {
    return ".";
  }
  return slash == 0 ? "/" : path.substr(0, slash);
}

absl::Status SyncDirectoryPath(const std::string& path) {
  const int directory = open(path.c_str(), kDirectoryFlags);
  if (directory < 0) {
    return Failed(fmt::format("cannot open directory {}", path), errno);
  }
  const int outcome = fsync(directory);
  const int error = errno;
  close(directory);
  return outcome == 0 ? absl::OkStatus()
                      : Failed(fmt::format("cannot sync directory {}", path), error);
}

absl::Status MakeOneDirectory(const std::string& path) {
  if (mkdir(path.c_str(), kDirectoryMode) == 0) {
    return SyncDirectoryPath(ParentOf(path));
  }
  return errno == EEXIST ? absl::OkStatus()
                         : Failed(fmt::format("cannot create directory {}", path), errno);
}

// Every prefix of `path` that ends before a slash, then the whole.
absl::Status MakeDirectories(const std::string& path) {
  for (size_t slash = path.find('/', 1); slash != std::string::npos;
       slash = path.find('/', slash + 1)) {
    const std::string prefix = path.substr(0, slash);
    if (access(prefix.c_str(), F_OK) != 0) {
      RETURN_IF_ERROR(MakeOneDirectory(prefix));
    }
  }
  return MakeOneDirectory(path);
}

std::string WithoutTrailingSlashes(std::string path) {
  while (path.size() > 1 && path.back() == '/') {
    path.pop_back();
  }
  return path;
}

DirectoryEntry EntryOf(int directory, const char* name) {
  DirectoryEntry entry;
  entry.name = name;
  struct stat found {};
  if (fstatat(directory, name, &found, AT_SYMLINK_NOFOLLOW) != 0) {
    return entry;  // gone since, or not ours to look at: neither file nor directory
  }
  entry.is_directory = S_ISDIR(found.st_mode);
  entry.is_file = S_ISREG(found.st_mode);
  entry.bytes = entry.is_file ? static_cast<uint64_t>(found.st_size) : 0;
  return entry;
}

// The pid that the holder wrote, or an empty string.
std::string HolderOf(int lock) {
  std::array<char, kPidDigitsMax> text{};
  const ssize_t got = pread(lock, text.data(), text.size(), 0);
  const std::string_view read(text.data(), got > 0 ? static_cast<size_t>(got) : 0);
  const std::string_view digits = read.substr(0, read.find_first_not_of("0123456789"));
  return std::string(digits);
}

absl::Status WriteHolder(int lock, const std::string& name) {
  const std::string pid = fmt::format("{}\n", getpid());
  const bool written = ftruncate(lock, 0) == 0 &&
                       pwrite(lock, pid.data(), pid.size(), 0) == static_cast<ssize_t>(pid.size());
  return written ? absl::OkStatus()
                 : Failed(fmt::format("cannot write the lock file {}", name), errno);
}

absl::Status AlreadyLocked(int lock, const std::string& name) {
  const std::string holder = HolderOf(lock);
  return absl::FailedPreconditionError(
      holder.empty() ? fmt::format("{} is locked by another process", name)
                     : fmt::format("{} is locked by another process, pid {}", name, holder));
}

}  // namespace

absl::StatusOr<Fd> OpenDirectoryPath(const std::string& given, bool create) {
  const std::string path = WithoutTrailingSlashes(given);
  if (path.empty()) {
    return absl::InvalidArgumentError("the path of a directory is empty");
  }
  if (create) {
    RETURN_IF_ERROR(MakeDirectories(path));
  }
  const int opened = open(path.c_str(), kDirectoryFlags);
  if (opened < 0) {
    return Failed(fmt::format("cannot open directory {}", path), errno);
  }
  return Fd(opened);
}

absl::StatusOr<Fd> OpenDirectoryBelow(Fd parent, const std::string& name, bool create) {
  ASSERT(IsComponent(name));
  if (create && mkdirat(parent.number(), name.c_str(), kDirectoryMode) == 0) {
    if (fsync(parent.number()) != 0) {
      return Failed(fmt::format("cannot sync the directory above {}", name), errno);
    }
  } else if (create && errno != EEXIST) {
    return Failed(fmt::format("cannot create directory {}", name), errno);
  }
  const int opened = openat(parent.number(), name.c_str(), kDirectoryFlags | O_NOFOLLOW);
  if (opened < 0) {
    return Failed(fmt::format("cannot open directory {}", name), errno);
  }
  return Fd(opened);
}

absl::StatusOr<std::vector<DirectoryEntry>> ListDirectory(Fd directory) {
  // A descriptor of its own, because closedir() closes it and the position is shared by dup().
  const int own = openat(directory.number(), ".", kDirectoryFlags);
  DIR* stream = own >= 0 ? fdopendir(own) : nullptr;
  if (stream == nullptr) {
    const int error = errno;
    if (own >= 0) {
      close(own);
    }
    return Failed("cannot read a directory", error);
  }
  std::vector<DirectoryEntry> entries;
  errno = 0;
  while (const dirent* found = readdir(stream)) {
    const std::string_view name = found->d_name;
    if (name != "." && name != "..") {
      entries.push_back(EntryOf(own, found->d_name));
    }
    errno = 0;  // readdir() tells an error from the end by it only
  }
  const int error = errno;
  closedir(stream);
  if (error != 0) {
    return Failed("cannot read a directory", error);
  }
  std::sort(entries.begin(), entries.end(),
            [](const auto& left, const auto& right) { return left.name < right.name; });
  return entries;
}

absl::StatusOr<Fd> LockFileIn(Fd directory, const std::string& name) {
  ASSERT(IsComponent(name));
  const int lock = openat(directory.number(), name.c_str(),
                          O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, kLockFileMode);
  if (lock < 0) {
    return Failed(fmt::format("cannot open the lock file {}", name), errno);
  }
  if (flock(lock, LOCK_EX | LOCK_NB) != 0) {
    const int error = errno;
    const absl::Status status = error == EWOULDBLOCK
                                    ? AlreadyLocked(lock, name)
                                    : Failed(fmt::format("cannot lock {}", name), error);
    close(lock);
    return status;
  }
  const absl::Status written = WriteHolder(lock, name);
  if (!written.ok()) {
    close(lock);
    return written;
  }
  return Fd(lock);
}

absl::StatusOr<SpaceReport> FreeSpaceOf(Fd directory) {
  struct statvfs found {};
  if (fstatvfs(directory.number(), &found) != 0) {
    return Failed("cannot read the free space of a file system", errno);
  }
  SpaceReport report;
  report.free_bytes = uint64_t{found.f_bavail} * found.f_frsize;
  report.total_bytes = uint64_t{found.f_blocks} * found.f_frsize;
  report.free_files = found.f_favail;
  return report;
}

// Blocks that were allocated and not written are a hole, unless the page cache has something there.
uint64_t NextWrittenOf(Fd file, uint64_t at) {
  const off_t found = lseek(file.number(), static_cast<off_t>(at), SEEK_DATA);
  if (found >= 0) {
    return static_cast<uint64_t>(found);
  }
  return errno == ENXIO ? UINT64_MAX : at;
}

absl::StatusOr<uint64_t> BytesOfFile(Fd file) {
  struct stat found {};
  if (fstat(file.number(), &found) != 0) {
    return Failed("cannot read the size of a file", errno);
  }
  return static_cast<uint64_t>(found.st_size);
}

absl::StatusOr<bool> HasWorldAccess(Fd directory) {
  struct stat found {};
  if (fstat(directory.number(), &found) != 0) {
    return Failed("cannot read the mode of a directory", errno);
  }
  return (found.st_mode & S_IRWXO) != 0;
}

}  // namespace backstay
