// core/shard/primary_keeper.cc -- read the newest that is whole; write the next.
#include "core/shard/primary_keeper.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include "core/base/check.h"
#include "core/base/log.h"
#include "core/base/status_macros.h"
#include "io/wait.h"

namespace backstay {
namespace {

// Found lists come in crowds after a start; a crash in between costs what has changed meanwhile.
constexpr absl::Duration kGather = absl::Seconds(3);
constexpr absl::Duration kSaveAgain = absl::Seconds(30);
// About 100 bytes for each of a hundred thousand hosts.
constexpr uint64_t kFileBytesMax = 16_MiB;
constexpr size_t kNameDigits = 8;

std::string NameOf(uint32_t number) {
  return fmt::format("{:0{}x}", number, kNameDigits);
}

std::optional<uint32_t> NumberOf(const std::string& name) {
  uint32_t number = 0;
  const char* const end = name.data() + name.size();
  const auto [at, error] = std::from_chars(name.data(), end, number, 16);
  const bool good = name.size() == kNameDigits && error == std::errc() && at == end;
  return good ? std::optional(number) : std::nullopt;
}

std::optional<SavedPrimaries> ReadFile(Io& io, Fd directory, const std::string& name) {
  Wait wait(io);
  io.Open(wait.op(), directory, name.c_str(), OpenMode::kRead);
  const IoResult opened = wait.Result();
  if (!opened.ok()) {
    return std::nullopt;
  }
  std::string text;
  bool is_read = false;
  std::vector<uint8_t> buffer(64_KiB);
  while (!is_read && text.size() <= kFileBytesMax) {
    io.Read(wait.op(), opened.fd(), buffer, Offset{text.size()});
    const IoResult read = wait.Result();
    if (!read.ok()) {
      break;
    }
    is_read = read.count() == 0;
    text += AsText(Bytes(buffer).first(read.count()));
  }
  io.Close(opened.fd());
  return is_read ? DecodePrimaries(text) : std::nullopt;
}

}  // namespace

absl::StatusOr<PrimaryFiles> OpenPrimaryFiles(Io& io, Fd spool_root) {
  PrimaryFiles files;
  ASSIGN_OR_RETURN(files.directory, io.OpenSubdirectory(spool_root, "primaries", true));
  Wait named(io);  // what is synced in it later is of no use in a directory that is lost
  io.SyncDirectory(named.op(), spool_root);
  const IoResult synced = named.Result();
  if (!synced.ok()) {
    io.Close(files.directory);
    return absl::UnavailableError(fmt::format("its directory: {}", Describe(synced.error())));
  }
  ASSIGN_OR_RETURN(const std::vector<DirectoryEntry> entries, io.List(files.directory));
  for (const DirectoryEntry& entry : entries) {
    const std::optional<uint32_t> number = NumberOf(entry.name);
    if (number.has_value() && entry.is_file) {
      files.numbers.push_back(*number);
    }
  }
  for (auto number = files.numbers.rbegin(); number != files.numbers.rend(); ++number) {
    std::optional<SavedPrimaries> saved = ReadFile(io, files.directory, NameOf(*number));
    if (saved.has_value()) {
      files.saved = *std::move(saved);
      break;
    }
    LogWarning(
        "primaries/{}: damaged, cut, or of another version; where the primaries are is "
        "asked anew",
        NameOf(*number));
  }
  return files;
}

PrimaryKeeper::PrimaryKeeper(Io& io, TimerWheel& wheel, const PrimaryFiles& files)
    : io_(io), wheel_(wheel), directory_(files.directory), older_(files.numbers) {
  if (!older_.empty()) {
    number_ = older_.back();  // they are in order
  }
  wanted_ = EncodePrimaries(files.saved);
}

PrimaryKeeper::~PrimaryKeeper() {
  wheel_.Cancel(&clock_);
}

void PrimaryKeeper::Save(const SavedPrimaries& primaries) {
  std::string next = EncodePrimaries(primaries);
  if (!directory_.valid() || next == wanted_) {
    return;
  }
  wanted_ = std::move(next);
  is_new_ = true;
  if (step_ == Step::kIdle && !clock_.linked() && !stopping_) {
    wheel_.Insert(&clock_, io_.Now() + kGather);
  }
}

void PrimaryKeeper::Write() {
  ASSERT(step_ == Step::kIdle);
  is_new_ = false;
  bytes_ = wanted_;
  written_ = 0;
  name_ = NameOf(++number_);
  step_ = Step::kOpen;
  io_.Open(&op_, directory_, name_.c_str(), OpenMode::kCreateNew);
}

void PrimaryKeeper::Advance(const IoResult& result) {
  const bool is_short = step_ == Step::kWrite && result.count() == 0;
  if (step_ != Step::kUnlink && (!result.ok() || is_short)) {
    return End(result.ok() ? IoError::kNoSpace : result.error());
  }
  switch (step_) {
    case Step::kOpen:
      file_ = result.fd();
      older_.push_back(number_);  // until it is whole
      step_ = Step::kWrite;
      io_.Write(&op_, file_, AsBytes(bytes_), Offset{0});
      return;
    case Step::kWrite:
      written_ += result.count();
      if (written_ < bytes_.size()) {
        io_.Write(&op_, file_, AsBytes(bytes_).subspan(written_), Offset{written_});
        return;
      }
      step_ = Step::kSync;
      io_.SyncData(&op_, file_);
      return;
    case Step::kSync:
      step_ = Step::kSyncName;
      io_.SyncDirectory(&op_, directory_);
      return;
    case Step::kSyncName:
      older_.pop_back();
      UnlinkOlder();
      return;
    case Step::kUnlink:
      UnlinkOlder();  // one that stays is never read: it is older
      return;
    case Step::kIdle:
      break;
  }
  UNREACHABLE();
}

void PrimaryKeeper::UnlinkOlder() {
  if (older_.empty()) {
    older_ = {number_};
    return End(IoError::kNone);
  }
  name_ = NameOf(older_.back());
  older_.pop_back();
  step_ = Step::kUnlink;
  io_.Unlink(&op_, directory_, name_.c_str());
}

void PrimaryKeeper::End(IoError error) {
  step_ = Step::kIdle;
  if (file_.valid()) {
    io_.Close(std::exchange(file_, Fd()));
  }
  if (error != IoError::kNone) {
    is_new_ = true;
    if (!std::exchange(is_failing_, true)) {
      LogWarning("primaries/{}: {}; after a restart they are asked anew", name_, Describe(error));
    }
  } else if (std::exchange(is_failing_, false)) {
    LogInfo("primaries: written again");
  }
  if (is_new_ && !stopping_) {
    wheel_.Insert(&clock_, io_.Now() + (is_failing_ ? kSaveAgain : kGather));
  }
}

// What is being written now may be older than what is wanted; it is whole, and the rest is asked
// again.
void PrimaryKeeper::Stop() {
  if (std::exchange(stopping_, true)) {
    return;
  }
  wheel_.Cancel(&clock_);
  if (is_new_ && !is_failing_ && step_ == Step::kIdle) {
    Write();
  }
}

}  // namespace backstay
