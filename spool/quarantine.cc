// spool/quarantine.cc -- create, copy, sync, next.
#include "spool/quarantine.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/base/check.h"
#include "core/base/log.h"

namespace backstay {

void Quarantine::Add(uint32_t segment, Fd file, uint64_t from, uint64_t to) {
  if (file.valid() && from < to && ranges_.size() < kRangesMax) {
    ranges_.push_back({segment, file, from, to});
  }
}

void Quarantine::Start() {
  ASSERT(step_ == Step::kIdle);
  if (ranges_.empty()) {
    return Finish();
  }
  const auto directory = io_.OpenSubdirectory(directory_, "quarantine", true);
  if (!directory.ok()) {
    LogError("spool quarantine directory: {}", Escaped(std::string(directory.status().message())));
    return Finish();
  }
  quarantine_ = *directory;
  Next();
}

void Quarantine::Next() {
  if (current_ == ranges_.size()) {
    if (!has_copied_) {
      return Finish();
    }
    step_ = Step::kDirectorySynced;
    return io_.SyncDirectory(&op_, quarantine_);
  }
  const Range& range = ranges_[current_];
  name_ = fmt::format("segment-{:08x}-{:08x}", range.segment, range.from);
  copied_ = 0;
  step_ = Step::kCreated;
  io_.Open(&op_, quarantine_, name_.c_str(), OpenMode::kCreateNew);
}

void Quarantine::Advance(const IoResult& result) {
  if (!result.ok()) {
    if (result.error() != IoError::kExists) {
      LogError("spool quarantine file={} failed: {}", name_, Describe(result.error()));
    }
    return step_ == Step::kDirectorySynced ? Finish() : EndRange();
  }
  switch (step_) {
    case Step::kIdle:
      break;
    case Step::kCreated:
      copy_ = result.fd();
      return ReadMore();
    case Step::kRead:
      if (result.count() == 0) {
        return EndRange();
      }
      buffer_.Resize(std::min(buffer_.size(), result.count()));
      written_ = 0;
      step_ = Step::kWritten;
      return io_.Write(&op_, copy_, buffer_.bytes(), Offset{copied_});
    case Step::kWritten:
      if (result.count() == 0) {
        return EndRange();
      }
      written_ += result.count();
      if (written_ < buffer_.size()) {
        return io_.Write(&op_, copy_, buffer_.bytes().subspan(written_),
                         Offset{copied_ + written_});
      }
      copied_ += buffer_.size();
      return ReadMore();
    case Step::kSynced:
      has_copied_ = true;
      return EndRange();
    case Step::kDirectorySynced:
      return Finish();
  }
  UNREACHABLE();
}

void Quarantine::ReadMore() {
  const Range& range = ranges_[current_];
  const uint64_t left = range.to - range.from - copied_;
  if (left == 0) {
    step_ = Step::kSynced;
    return io_.SyncData(&op_, copy_);
  }
  buffer_.Resize(static_cast<size_t>(std::min<uint64_t>(left, kCopyBytes)));
  step_ = Step::kRead;
  io_.Read(&op_, range.file, {buffer_.data(), buffer_.size()}, Offset{range.from + copied_});
}

void Quarantine::EndRange() {
  if (copy_.valid()) {
    io_.Close(copy_);
    copy_ = Fd();
  }
  ++current_;
  Next();
}

void Quarantine::Finish() {
  if (quarantine_.valid()) {
    io_.Close(quarantine_);
    quarantine_ = Fd();
  }
  step_ = Step::kIdle;
  ranges_.clear();
  current_ = 0;
  has_copied_ = false;
  events_.OnQuarantined();
}

}  // namespace backstay
