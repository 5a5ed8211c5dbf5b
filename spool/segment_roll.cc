// spool/segment_roll.cc -- the steps of a new segment, in the order in which they happen.
#include "spool/segment_roll.h"

#include <algorithm>

#include "core/base/check.h"
#include "core/base/log.h"
#include "core/base/mark.h"

namespace backstay {

SegmentRoll::SegmentRoll(Io& io, Fd directory, const Identity& identity, SparePool& spares,
                         RollEvents& events)
    : io_(io), directory_(directory), identity_(identity), spares_(spares), events_(events) {
  ASSERT(identity.segment_bytes % kBlockBytes == 0);
  ASSERT(identity.segment_bytes >= kSegmentBytesMin);
  ASSERT(identity.segment_bytes <= kSegmentBytesMax);
}

void SegmentRoll::Start() {
  ASSERT(step_ == Step::kIdle);
  ASSERT(!ready());
  if (next_number_ > kSegmentNumberMax) {
    return Fail("number", IoError::kNoSpace);
  }
  name_ = NameOfSegment(next_number_);
  spare_ = spares_.Take();
  if (spare_.has_value()) {
    MARK("segment made of a spare");
    spare_name_ = NameOfSpare(spare_->number);
    file_ = spare_->file;
    SealHeader(spare_->generation + 1);
    return WriteHeader(Step::kHeaderWritten);
  }
  step_ = Step::kCreated;
  io_.Open(&op_, directory_, name_.data(), OpenMode::kCreateNew);
}

std::unique_ptr<Segment> SegmentRoll::Take() {
  ASSERT(ready());
  return std::move(ready_);
}

void SegmentRoll::Advance(const IoResult& result) {
  switch (step_) {
    case Step::kIdle:
      break;
    case Step::kCreated:
      return Created(result);
    case Step::kAllocated:
      if (!result.ok()) {
        return Fail("allocate", result.error());
      }
      return WriteHeader(Step::kHeaderWritten);
    case Step::kHeaderWritten:
      return HeaderGoesOn(result) ? void() : WriteHeader(Step::kCopyWritten);
    case Step::kCopyWritten:
      if (HeaderGoesOn(result)) {
        return;
      }
      step_ = Step::kFileSynced;
      return io_.SyncData(&op_, file_);
    case Step::kFileSynced:
      if (!result.ok()) {
        return Fail("sync", result.error());
      }
      if (spare_.has_value()) {
        step_ = Step::kRenamed;
        return io_.Rename(&op_, directory_, spare_name_.data(), name_.data());
      }
      step_ = Step::kDirectorySynced;
      return io_.SyncDirectory(&op_, directory_);
    case Step::kRenamed:
      return Renamed(result);
    case Step::kDirectorySynced:
      if (!result.ok()) {
        return Fail("sync directory", result.error());
      }
      ready_ = std::make_unique<Segment>(header_, file_);
      file_ = Fd();
      ++next_number_;
      step_ = Step::kIdle;
      return events_.OnSegmentReady();
    case Step::kRemoved:
      // Whether it is gone does not matter: a file without records is a dead segment to recovery.
      step_ = Step::kIdle;
      return events_.OnRollFailed(error_);
  }
  UNREACHABLE();
}

void SegmentRoll::Created(const IoResult& result) {
  if (result.error() == IoError::kExists) {
    ++next_number_;
    step_ = Step::kIdle;
    return Start();
  }
  if (!result.ok()) {
    return Fail("create", result.error());
  }
  file_ = result.fd();
  SealHeader(1);
  step_ = Step::kAllocated;
  io_.Allocate(&op_, file_, identity_.segment_bytes);
}

void SegmentRoll::Renamed(const IoResult& result) {
  if (result.error() == IoError::kExists) {
    spares_.Add(*spare_);  // its header names the number that is taken: written once more
    file_ = Fd();
    ++next_number_;
    step_ = Step::kIdle;
    return Start();
  }
  if (!result.ok()) {
    return Fail("rename", result.error());
  }
  spare_.reset();
  step_ = Step::kDirectorySynced;
  io_.SyncDirectory(&op_, directory_);
}

void SegmentRoll::SealHeader(uint32_t generation) {
  header_ = SegmentHeader();
  header_.node = identity_.node;
  header_.shard = identity_.shard;
  header_.segment = next_number_;
  header_.generation = generation;
  header_.segment_bytes = identity_.segment_bytes;
  header_.salt = io_.random().Next();
  header_.created_wall = io_.WallNow().nanoseconds();
  blocks_.Resize(2 * kBlockBytes);
  std::fill(blocks_.data(), blocks_.data() + kBlockBytes, uint8_t{0});
  SealSegmentHeader(header_, {blocks_.data() + kBlockBytes, kBlockBytes});
}

// The second copy comes with the place of the footer before it, which must say that there is none.
Bytes SegmentRoll::HeaderBytes() const {
  return step_ == Step::kHeaderWritten ? blocks_.bytes().subspan(kBlockBytes) : blocks_.bytes();
}

uint64_t SegmentRoll::HeaderAt() const {
  return step_ == Step::kHeaderWritten ? 0 : identity_.segment_bytes - 2 * kBlockBytes;
}

void SegmentRoll::WriteHeader(Step next) {
  step_ = next;
  written_ = 0;
  io_.Write(&op_, file_, HeaderBytes(), Offset{HeaderAt()});
}

// True: it is not written yet (a short write is continued), or failed.
bool SegmentRoll::HeaderGoesOn(const IoResult& result) {
  if (!result.ok() || result.count() == 0) {
    Fail("write header", result.ok() ? IoError::kDevice : result.error());
    return true;
  }
  written_ += result.count();
  const Bytes bytes = HeaderBytes();
  ASSERT(written_ <= bytes.size());
  if (written_ < bytes.size()) {
    io_.Write(&op_, file_, bytes.subspan(written_), Offset{HeaderAt() + written_});
    return true;
  }
  return false;
}

void SegmentRoll::Fail(const char* what, IoError error) {
  LogWarning("spool segment={:08x} not prepared: {} failed: {}", next_number_, what,
             Describe(error));
  error_ = error;
  if (!file_.valid()) {
    step_ = Step::kIdle;
    return events_.OnRollFailed(error);
  }
  io_.Close(file_);
  file_ = Fd();
  next_number_ += error == IoError::kNoSpace ? 0 : 1;
  step_ = Step::kRemoved;
  io_.Unlink(&op_, directory_, spare_.has_value() ? spare_name_.data() : name_.data());
  spare_.reset();
}

}  // namespace backstay
