// spool/segment_roll.cc -- the steps of a new segment, in the order in which they happen.
#include "spool/segment_roll.h"

#include "core/base/check.h"
#include "core/base/log.h"

namespace backstay {

SegmentRoll::SegmentRoll(Io& io, Fd directory, const Identity& identity, RollEvents& events)
    : io_(io), directory_(directory), identity_(identity), events_(events) {
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
      return WriteHeader(Step::kHeaderWritten, 0);
    case Step::kHeaderWritten:
      if (HeaderGoesOn(result, 0)) {
        return;
      }
      return WriteHeader(Step::kCopyWritten, identity_.segment_bytes - kBlockBytes);
    case Step::kCopyWritten:
      if (HeaderGoesOn(result, identity_.segment_bytes - kBlockBytes)) {
        return;
      }
      step_ = Step::kFileSynced;
      return io_.SyncData(&op_, file_);
    case Step::kFileSynced:
      if (!result.ok()) {
        return Fail("sync", result.error());
      }
      step_ = Step::kDirectorySynced;
      return io_.SyncDirectory(&op_, directory_);
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
  if (!result.ok()) {
    const bool is_taken = result.error() == IoError::kExists;
    next_number_ += is_taken ? 1 : 0;
    if (is_taken) {
      step_ = Step::kIdle;
      return Start();
    }
    return Fail("create", result.error());
  }
  file_ = result.fd();
  header_ = SegmentHeader();
  header_.node = identity_.node;
  header_.shard = identity_.shard;
  header_.segment = next_number_;
  header_.segment_bytes = identity_.segment_bytes;
  header_.salt = io_.random().Next();
  header_.created_wall = io_.WallNow().nanoseconds();
  block_.Resize(kBlockBytes);
  SealSegmentHeader(header_, {block_.data(), kBlockBytes});
  step_ = Step::kAllocated;
  io_.Allocate(&op_, file_, identity_.segment_bytes);
}

void SegmentRoll::WriteHeader(Step next, uint64_t at) {
  step_ = next;
  written_ = 0;
  io_.Write(&op_, file_, block_.bytes(), Offset{at});
}

// True: the block is not written yet (a short write is continued), or failed.
bool SegmentRoll::HeaderGoesOn(const IoResult& result, uint64_t at) {
  if (!result.ok() || result.count() == 0) {
    Fail("write header", result.ok() ? IoError::kDevice : result.error());
    return true;
  }
  written_ += result.count();
  ASSERT(written_ <= kBlockBytes);
  if (written_ < kBlockBytes) {
    io_.Write(&op_, file_, block_.bytes().subspan(written_), Offset{at + written_});
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
  io_.Unlink(&op_, directory_, name_.data());
}

}  // namespace backstay
