// spool/spool_directory.cc -- lock, version, node, shard directories, in this order.
#include "spool/spool_directory.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "core/base/check.h"
#include "core/base/status_macros.h"
#include "io/wait.h"
#include "spool/record.h"
#include "spool/segment_set.h"
#include "spool/version_file.h"

namespace backstay {
namespace {

constexpr const char* kVersionName = "VERSION";
constexpr std::string_view kShardPrefix = "shard-";
constexpr size_t kVersionBytesMax = 256;

absl::Status Problem(std::string_view what, IoError error) {
  return absl::UnavailableError(fmt::format("spool: {}: {}", what, Describe(error)));
}

// Up to `bytes_max` bytes of a file; an error only for something other than its absence.
absl::StatusOr<std::optional<std::string>> ReadFile(Io& io, Fd directory, const std::string& name,
                                                    size_t bytes_max) {
  Wait open(io);
  io.Open(open.op(), directory, name.c_str(), OpenMode::kRead);
  const IoResult opened = open.Result();
  if (opened.error() == IoError::kNotFound) {
    return std::optional<std::string>();
  }
  if (!opened.ok()) {
    return Problem("open " + name, opened.error());
  }
  std::string text(bytes_max, '\0');
  size_t have = 0;
  IoError error = IoError::kNone;
  while (have < bytes_max) {
    Wait read(io);
    io.Read(read.op(), opened.fd(),
            {reinterpret_cast<uint8_t*>(text.data()) + have, bytes_max - have}, Offset{have});
    const IoResult result = read.Result();
    error = result.error();
    if (!result.ok() || result.count() == 0) {
      break;
    }
    have += result.count();
  }
  io.Close(opened.fd());
  if (error != IoError::kNone) {
    return Problem("read " + name, error);
  }
  text.resize(have);
  return std::optional(std::move(text));
}

absl::Status SyncDirectory(Io& io, Fd directory, std::string_view what) {
  Wait sync(io);
  io.SyncDirectory(sync.op(), directory);
  const IoResult result = sync.Result();
  return result.ok() ? absl::OkStatus() : Problem(what, result.error());
}

absl::Status WriteVersion(Io& io, Fd root, const VersionFile& version) {
  const std::string text = version.ToText();
  Wait open(io);
  io.Open(open.op(), root, kVersionName, OpenMode::kCreateOrOpen);
  const IoResult opened = open.Result();
  if (!opened.ok()) {
    return Problem("create VERSION", opened.error());
  }
  IoError error = IoError::kNone;
  size_t written = 0;
  while (written < text.size() && error == IoError::kNone) {
    Wait write(io);
    io.Write(write.op(), opened.fd(), AsBytes(text).subspan(written), Offset{written});
    const IoResult result = write.Result();
    error = result.ok() && result.count() == 0 ? IoError::kDevice : result.error();
    written += result.count();
  }
  for (const bool is_truncate : {true, false}) {
    Wait step(io);
    if (error == IoError::kNone && is_truncate) {
      io.Truncate(step.op(), opened.fd(), text.size());
    } else if (error == IoError::kNone) {
      io.SyncData(step.op(), opened.fd());
    }
    const IoResult result = step.Result();
    error = error == IoError::kNone ? result.error() : error;
  }
  io.Close(opened.fd());
  if (error != IoError::kNone) {
    return Problem("write VERSION", error);
  }
  return SyncDirectory(io, root, "sync the spool directory");
}

std::optional<uint16_t> ShardNumber(const DirectoryEntry& entry) {
  const std::string_view name = entry.name;
  uint16_t number = 0;
  if (!entry.is_directory || name.size() != kShardPrefix.size() + 3 ||
      name.substr(0, kShardPrefix.size()) != kShardPrefix) {
    return std::nullopt;
  }
  const char* end = name.data() + name.size();
  const auto [stop, error] = std::from_chars(name.data() + kShardPrefix.size(), end, number);
  return error == std::errc() && stop == end ? std::optional(number) : std::nullopt;
}

std::string ShardName(uint16_t number) {
  return fmt::format("{}{:03}", kShardPrefix, number);
}

// What VERSION says; nothing when there is none that can be understood.
absl::StatusOr<std::optional<VersionFile>> StoredVersion(Io& io, Fd root) {
  ASSIGN_OR_RETURN(const std::optional<std::string> text,
                   ReadFile(io, root, kVersionName, kVersionBytesMax));
  return text.has_value() ? VersionFile::Parse(*text) : std::nullopt;
}

absl::Status RefuseNewer(const std::optional<VersionFile>& version) {
  if (!version.has_value() || version->format <= kFormatVersion) {
    return absl::OkStatus();
  }
  return absl::UnimplementedError(
      fmt::format("spool: written by format {}, this program knows {}; nothing was touched",
                  version->format, kFormatVersion));
}

// VERSION is lost: any segment header says the node and the format.
absl::StatusOr<std::optional<VersionFile>> VersionFromSegments(Io& io, Fd root) {
  ASSIGN_OR_RETURN(const std::vector<DirectoryEntry> entries, io.List(root));
  for (const DirectoryEntry& entry : entries) {
    if (!ShardNumber(entry).has_value()) {
      continue;
    }
    ASSIGN_OR_RETURN(const Fd shard, io.OpenSubdirectory(root, entry.name, false));
    auto files = io.List(shard);
    std::optional<VersionFile> found;
    for (size_t i = 0; files.ok() && i < files->size() && !found.has_value(); ++i) {
      if (!ParseSegmentName((*files)[i].name).has_value() || !(*files)[i].is_file) {
        continue;
      }
      auto head = ReadFile(io, shard, (*files)[i].name, sizeof(SegmentHeader));
      if (head.ok() && head->has_value()) {
        const auto header = DecodeSegmentHeader(AsBytes(**head));
        found = header.has_value() ? std::optional(VersionFile{header->version, header->node})
                                   : std::nullopt;
      }
    }
    io.Close(shard);
    if (found.has_value()) {
      return found;
    }
  }
  return std::optional<VersionFile>();
}

}  // namespace

absl::Status SpoolDirectory::UseVersion(Io& io, const Options& options) {
  ASSIGN_OR_RETURN(std::optional<VersionFile> version, StoredVersion(io, root_));
  const bool is_stored = version.has_value();
  if (!is_stored) {
    ASSIGN_OR_RETURN(version, VersionFromSegments(io, root_));
    if (version.has_value()) {
      warnings_.push_back("spool: VERSION was unreadable and is written again from a segment");
    }
  }
  RETURN_IF_ERROR(RefuseNewer(version));
  if (!version.has_value()) {
    const auto drawn = static_cast<uint16_t>(io.random().Between(1, UINT16_MAX));
    version = VersionFile{kFormatVersion, options.node != 0 ? options.node : drawn};
  }
  node_ = version->node;
  if (options.node != 0 && options.node != node_) {
    warnings_.push_back(
        fmt::format("spool: its node is {}, not {} as configured: queue ids go on with {}", node_,
                    options.node, node_));
  }
  // Before the first segment of this format: an older daemon must not meet it.
  const bool is_current = is_stored && version->format == kFormatVersion;
  version->format = kFormatVersion;
  return is_current ? absl::OkStatus() : WriteVersion(io, root_, *version);
}

absl::Status SpoolDirectory::OpenShards(Io& io, const Options& options) {
  ASSIGN_OR_RETURN(const std::vector<DirectoryEntry> entries, io.List(root_));
  uint16_t count = options.shards;
  intake_shards_ = options.shards;
  for (const DirectoryEntry& entry : entries) {
    const std::optional<uint16_t> number = ShardNumber(entry);
    if (number.has_value() && *number >= options.shards) {
      warnings_.push_back(
          fmt::format("spool: {} is of an earlier run with more shards; its mail "
                      "is still delivered",
                      entry.name));
      count = std::max(count, static_cast<uint16_t>(*number + 1));
    }
  }
  for (uint16_t shard = 0; shard < count; ++shard) {
    ASSIGN_OR_RETURN(const Fd directory, io.OpenSubdirectory(root_, ShardName(shard), true));
    shard_directories_.push_back(directory);
  }
  return SyncDirectory(io, root_, "sync the spool directory");
}

absl::StatusOr<SpoolDirectory> SpoolDirectory::Open(Io& io, const Options& options) {
  ASSERT(options.shards > 0);
  SpoolDirectory directory;
  ASSIGN_OR_RETURN(directory.root_, io.OpenDirectory(options.path, true));
  const absl::Status status = directory.OpenBelow(io, options);
  if (!status.ok()) {
    directory.Close(io);
    return status;
  }
  return directory;
}

absl::StatusOr<SpoolDirectory> SpoolDirectory::OpenToRead(Io& io, const std::string& path) {
  SpoolDirectory directory;
  ASSIGN_OR_RETURN(directory.root_, io.OpenDirectory(path, false));
  const absl::Status status = directory.OpenExisting(io);
  if (!status.ok()) {
    directory.Close(io);
    return status;
  }
  return directory;
}

absl::Status SpoolDirectory::OpenExisting(Io& io) {
  ASSIGN_OR_RETURN(std::optional<VersionFile> version, StoredVersion(io, root_));
  const bool is_stored = version.has_value();
  if (!is_stored) {
    ASSIGN_OR_RETURN(version, VersionFromSegments(io, root_));
  }
  RETURN_IF_ERROR(RefuseNewer(version));
  ASSIGN_OR_RETURN(const std::vector<DirectoryEntry> entries, io.List(root_));
  for (const DirectoryEntry& entry : entries) {
    const std::optional<uint16_t> number = ShardNumber(entry);
    if (number.has_value()) {
      shard_directories_.resize(std::max<size_t>(shard_directories_.size(), *number + 1u));
      ASSIGN_OR_RETURN(shard_directories_[*number], io.OpenSubdirectory(root_, entry.name, false));
    }
  }
  if (!version.has_value() && shard_directories_.empty()) {
    return absl::NotFoundError("this is no spool: neither VERSION nor shard-000 is in it");
  }
  if (!is_stored) {
    warnings_.push_back("spool: VERSION is missing or unreadable; the next start writes it again");
  }
  node_ = version.has_value() ? version->node : uint16_t{0};
  return absl::OkStatus();
}

// The format is looked at before the lock too: taking the lock writes to its file, and of a newer
// spool nothing may be touched. It counts only under the lock, where nobody else writes it.
absl::Status SpoolDirectory::OpenBelow(Io& io, const Options& options) {
  ASSIGN_OR_RETURN(const std::optional<VersionFile> version, StoredVersion(io, root_));
  RETURN_IF_ERROR(RefuseNewer(version));
  ASSIGN_OR_RETURN(lock_, io.LockFile(root_, "LOCK"));
  RETURN_IF_ERROR(WarnOfWorldAccess(io, options));
  RETURN_IF_ERROR(UseVersion(io, options));
  return OpenShards(io, options);
}

absl::Status SpoolDirectory::WarnOfWorldAccess(Io& io, const Options& options) {
  ASSIGN_OR_RETURN(const bool is_open, io.WorldAccess(root_));
  if (is_open) {
    warnings_.push_back(
        fmt::format("spool: {} is open to every user of this machine, and mail lies in it: `chmod "
                    "o= {}` closes it",
                    options.path, options.path));
  }
  return absl::OkStatus();
}

void SpoolDirectory::Close(Io& io) {
  for (const Fd shard : shard_directories_) {
    if (shard.valid()) {
      io.Close(shard);
    }
  }
  shard_directories_.clear();
  if (root_.valid()) {
    io.Close(root_);
    root_ = Fd();
  }
  if (lock_.valid()) {
    io.Close(lock_);
    lock_ = Fd();
  }
}

}  // namespace backstay
