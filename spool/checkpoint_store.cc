// spool/checkpoint_store.cc -- newest first when reading; create, write, sync, drop the oldest.
#include "spool/checkpoint_store.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/base/check.h"
#include "core/base/log.h"
#include "core/base/mark.h"
#include "spool/numbered_name.h"

namespace backstay {
namespace {

constexpr std::string_view kPrefix = "checkpoint-";
constexpr size_t kKept = 2;
constexpr uint64_t kBytesMax = 1_GiB;
constexpr size_t kWriteBytes = 1_MiB;
const absl::Duration kOpenAgainAfter = absl::Seconds(1);

std::string NameOfCheckpoint(uint32_t number) {
  return fmt::format("{}{:08x}", kPrefix, number);
}

}  // namespace

std::optional<uint32_t> ParseCheckpointName(std::string_view name) {
  return ParseNumberedName(kPrefix, name);
}

CheckpointStore::CheckpointStore(Io& io, Fd directory, const Checkpoint::Identity& identity,
                                 CheckpointEvents& events)
    : io_(io),
      directory_(directory),
      identity_(identity),
      events_(events),
      read_(io, *this, kReadTries) {}

// ---- reading ----

void CheckpointStore::FindCovers(std::vector<uint32_t> numbers) {
  ASSERT(step_ == Step::kIdle);
  numbers_ = std::move(numbers);
  left_ = numbers_.size();
  ReadNextHead();
}

void CheckpointStore::ReadNextHead() {
  if (left_ == 0) {
    step_ = Step::kIdle;
    return events_.OnCoversFound(covers_);
  }
  name_ = NameOfCheckpoint(numbers_[--left_]);
  step_ = Step::kHeadOpened;
  io_.Open(&op_, directory_, name_.c_str(), OpenMode::kRead);
}

void CheckpointStore::Read(std::vector<uint32_t> numbers) {
  numbers_ = std::move(numbers);
  last_number_ = numbers_.empty() ? 0 : numbers_.back();
  left_ = numbers_.size();
  ReadNext();
}

void CheckpointStore::ReadNext() {
  if (left_ == 0) {
    step_ = Step::kIdle;
    return events_.OnCheckpointRead(std::nullopt);
  }
  name_ = NameOfCheckpoint(numbers_[--left_]);
  failed_opens_ = 0;
  Open();
}

void CheckpointStore::Open() {
  step_ = Step::kOpened;
  io_.Open(&op_, directory_, name_.c_str(), OpenMode::kRead);
}

void CheckpointStore::OpenFailed(IoError error) {
  if (error == IoError::kDevice && ++failed_opens_ < kReadTries) {
    return Open();
  }
  if (error != IoError::kNoDescriptors && error != IoError::kNoMemory) {
    return PassOverUnread(error);
  }
  MARK("checkpoint waited for");
  LogError("spool shard={} file={} cannot be opened, and the queue waits for it: {}",
           identity_.shard, name_, Describe(error));
  retry_at_ = io_.Now() + kOpenAgainAfter;
  step_ = Step::kWaiting;
}

void CheckpointStore::StepRead(bool is_given_up) {
  if (step_ != Step::kWaiting) {
    return;
  }
  if (is_given_up) {
    left_ = 0;
    return ReadNext();
  }
  if (io_.Now() >= retry_at_) {
    Open();
  }
}

// Its file stays: the next start may read it.
void CheckpointStore::PassOverUnread(IoError error) {
  LogError(
      "spool shard={} file={} not read: {}; without an older one no room is given back until a "
      "start can read it, or it is removed (settled mail may then go out once more)",
      identity_.shard, name_, Describe(error));
  has_unread_ = true;
  ReadNext();
}

void CheckpointStore::OnRangeRead(IoError error, size_t bytes) {
  ASSERT(step_ == Step::kRead || step_ == Step::kHeadRead);
  io_.Close(std::exchange(file_, Fd()));
  bytes_.resize(bytes);
  if (step_ == Step::kHeadRead) {
    covers_ = std::max(covers_, Checkpoint::CoversOf(bytes_, identity_).value_or(0));
    bytes_ = std::vector<uint8_t>();
    return ReadNextHead();
  }
  if (error != IoError::kNone) {
    bytes_ = std::vector<uint8_t>();
    return PassOverUnread(error);
  }
  std::optional<Checkpoint> checkpoint = Checkpoint::Decode(bytes_, identity_);
  bytes_ = std::vector<uint8_t>();
  if (!checkpoint.has_value()) {
    MARK("checkpoint passed over");
    LogWarning("spool shard={} file={} is not a whole checkpoint: not finished or damaged",
               identity_.shard, name_);
    PassOver();
    return ReadNext();
  }
  step_ = Step::kIdle;
  events_.OnCheckpointRead(std::move(checkpoint));
}

void CheckpointStore::PassOver() {
  unwanted_.push_back(numbers_[left_]);
  numbers_.erase(numbers_.begin() + static_cast<ptrdiff_t>(left_));
}

// It has the settles of all segments that were given back; a scan of what is left has not.
void CheckpointStore::ReadOlder() {
  ASSERT(step_ == Step::kIdle);
  MARK("older checkpoint tried");
  PassOver();
  ReadNext();
}

// ---- writing ----

void CheckpointStore::Write(const Checkpoint& checkpoint) {
  ASSERT(step_ == Step::kIdle);
  bytes_ = checkpoint.Encode(identity_);
  last_bytes_ = bytes_.size();
  written_ = 0;
  numbers_.push_back(++last_number_);
  name_ = NameOfCheckpoint(last_number_);
  step_ = Step::kCreated;
  io_.Open(&op_, directory_, name_.c_str(), OpenMode::kCreateNew);
}

void CheckpointStore::Advance(const IoResult& result) {
  switch (step_) {
    case Step::kIdle:
    case Step::kHeadRead:
    case Step::kWaiting:
    case Step::kRead:
      break;
    case Step::kHeadOpened:
      if (!result.ok()) {
        return ReadNextHead();
      }
      file_ = result.fd();
      bytes_.resize(sizeof(CheckpointHeader));
      step_ = Step::kHeadRead;
      return read_.Start(file_, bytes_, 0);
    case Step::kOpened: {
      if (!result.ok()) {
        return OpenFailed(result.error());
      }
      file_ = result.fd();
      const auto size = io_.FileBytes(file_);
      bytes_.resize(size.ok() ? static_cast<size_t>(std::min(*size, kBytesMax)) : 0);
      bytes_.resize(std::max<size_t>(bytes_.size(), 1));
      step_ = Step::kRead;
      return read_.Start(file_, bytes_, 0);
    }
    case Step::kCreated:
      if (!result.ok()) {
        return Failed("create", result.error());
      }
      file_ = result.fd();
      step_ = Step::kWritten;
      return WriteMore();
    case Step::kWritten:
      if (!result.ok() || result.count() == 0) {
        return Failed("write", result.ok() ? IoError::kDevice : result.error());
      }
      written_ += result.count();
      if (written_ < bytes_.size()) {
        return WriteMore();
      }
      step_ = Step::kSynced;
      return io_.SyncData(&op_, file_);
    case Step::kSynced:
      if (!result.ok()) {
        return Failed("sync", result.error());
      }
      io_.Close(std::exchange(file_, Fd()));
      bytes_ = std::vector<uint8_t>();
      step_ = Step::kDirectorySynced;
      return io_.SyncDirectory(&op_, directory_);
    case Step::kDirectorySynced:
      if (!result.ok()) {
        return Failed("sync directory", result.error());
      }
      is_failing_ = false;
      return UnlinkUnwanted();
    case Step::kUnlinked:
      return UnlinkUnwanted();  // one that stays is met again at the next start
  }
  UNREACHABLE();
}

void CheckpointStore::WriteMore() {
  const Bytes left = Bytes(bytes_).subspan(written_);
  io_.Write(&op_, file_, left.first(std::min(left.size(), kWriteBytes)), Offset{written_});
}

void CheckpointStore::UnlinkUnwanted() {
  if (numbers_.size() > kKept) {
    unwanted_.push_back(numbers_.front());
    numbers_.erase(numbers_.begin());
  }
  if (unwanted_.empty()) {
    step_ = Step::kIdle;
    return;
  }
  name_ = NameOfCheckpoint(unwanted_.back());
  unwanted_.pop_back();
  step_ = Step::kUnlinked;
  io_.Unlink(&op_, directory_, name_.c_str());
}

// What is there of it is no whole checkpoint, or a good one that is not needed: both do no harm.
void CheckpointStore::Failed(const char* what, IoError error) {
  LogWarning("spool shard={} file={} not written: {} failed: {}", identity_.shard, name_, what,
             Describe(error));
  if (file_.valid()) {
    io_.Close(std::exchange(file_, Fd()));
  }
  bytes_ = std::vector<uint8_t>();
  failed_ = true;
  is_failing_ = true;
  ++failures_;
  unwanted_.push_back(numbers_.back());
  numbers_.pop_back();
  UnlinkUnwanted();
}

}  // namespace backstay
