// spool/shrinker.cc -- truncate, sync, rest.
#include "spool/shrinker.h"

#include <algorithm>
#include <utility>

#include "core/base/check.h"
#include "core/base/mark.h"

namespace backstay {
namespace {

constexpr uint64_t kPieceBytes = 1_MiB;
// At least; as long as the piece took when that is more, so that others have half of the disk.
constexpr absl::Duration kRestMin = absl::Milliseconds(2);

}  // namespace

void Shrinker::Start(Fd file) {
  ASSERT(!active());
  file_ = file;
  bytes_ = io_.FileBytes(file).value_or(0);
  next_at_ = io_.Now();
  if (bytes_ == 0) {
    Close();
  }
}

void Shrinker::Step(bool in_haste) {
  if (!active() || busy() || (io_.Now() < next_at_ && !in_haste)) {
    return;
  }
  began_at_ = io_.Now();
  bytes_ -= std::min(bytes_, kPieceBytes);
  io_.Truncate(&truncate_, file_, bytes_);
}

void Shrinker::OnTruncated(const IoResult& result) {
  if (!result.ok()) {
    MARK("not_shrunk");
    return Close();
  }
  // Blocks are given back when the file system's journal says so: now, and not those of a hundred
  // pieces together.
  io_.SyncData(&sync_, file_);
}

void Shrinker::OnSynced(const IoResult& result) {
  if (!result.ok() || bytes_ == 0) {
    return Close();
  }
  next_at_ = io_.Now() + std::max(io_.Now() - began_at_, kRestMin);
}

Instant Shrinker::NextDue() const {
  return active() && !busy() ? next_at_ : Instant::Max();
}

void Shrinker::Close() {
  ASSERT(!busy());
  if (active()) {
    io_.Close(std::exchange(file_, Fd()));
  }
}

}  // namespace backstay
