// io/file/text_file.cc -- open, look at what it is, read.
#include "io/file/text_file.h"

#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>

#include "absl/cleanup/cleanup.h"
#include "core/base/units.h"

namespace backstay {
namespace {

constexpr size_t kPieceBytes = 64_KiB;

absl::Status Failed(const std::string& path) {
  const std::string reason = fmt::format("{}: {}", path, strerrordesc_np(errno));
  switch (errno) {
    case ENOENT:
      return absl::NotFoundError(reason);
    case EACCES:
    case EPERM:
      return absl::PermissionDeniedError(reason);
    default:
      return absl::UnavailableError(reason);
  }
}

}  // namespace

absl::StatusOr<std::string> ReadTextFile(const std::string& path, size_t bytes_max) {
  const int file = open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (file < 0) {
    return Failed(path);
  }
  const absl::Cleanup closer = [file] { close(file); };
  struct stat status {};
  if (fstat(file, &status) != 0) {
    return Failed(path);
  }
  if (!S_ISREG(status.st_mode)) {
    return absl::UnavailableError(fmt::format("{}: is no regular file", path));
  }
  std::string text;
  for (ssize_t count = 1; count > 0;) {
    const size_t before = text.size();
    text.resize(before + kPieceBytes);
    count = read(file, text.data() + before, kPieceBytes);
    if (count < 0 && errno == EINTR) {
      count = 1;
      text.resize(before);
      continue;
    }
    if (count < 0) {
      return Failed(path);
    }
    text.resize(before + static_cast<size_t>(count));
    if (text.size() > bytes_max) {
      return absl::InvalidArgumentError(
          fmt::format("{}: larger than {} MiB", path, bytes_max / 1_MiB));
    }
  }
  return text;
}

}  // namespace backstay
