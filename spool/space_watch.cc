// spool/space_watch.cc -- free space against the reserve.
#include "spool/space_watch.h"

#include <algorithm>
#include <string>

#include "core/base/check.h"
#include "core/base/log.h"
#include "core/base/mark.h"

namespace backstay {
namespace {

const absl::Duration kCheckEvery = absl::Seconds(1);
// One that is being filled and one that is prepared.
constexpr uint64_t kSegmentsInReserve = 2;

}  // namespace

void SpaceWatch::AdjustReserve(uint64_t total_bytes) {
  is_adjusted_ = true;
  const uint64_t at_most = total_bytes / 2;
  const uint64_t at_least = std::min(kSegmentsInReserve * segment_bytes_, at_most);
  const uint64_t adjusted = std::clamp(reserve_bytes_, at_least, at_most);
  if (adjusted != reserve_bytes_) {
    LogWarning("spool reserve adjusted from {} to {} bytes: disk {} bytes, segment {} bytes",
               reserve_bytes_, adjusted, total_bytes, segment_bytes_);
    reserve_bytes_ = adjusted;
  }
}

void SpaceWatch::Check(uint64_t room_bytes, uint64_t promised_bytes) {
  if (io_.Now() < next_check_) {
    return;
  }
  next_check_ = io_.Now() + kCheckEvery;
  const auto report = io_.FreeSpace(directory_);
  if (!report.ok()) {
    if (!has_failed_) {
      LogError("spool free space unknown: {}", Escaped(std::string(report.status().message())));
    }
    has_failed_ = true;
    return;
  }
  has_failed_ = false;
  if (!is_adjusted_) {
    AdjustReserve(report->total_bytes);
  }
  const bool was_low = low_;
  low_ = report->free_bytes + room_bytes < reserve_bytes_ + promised_bytes;
  const auto above_reserve =
      static_cast<int64_t>(report->free_bytes + room_bytes) - static_cast<int64_t>(reserve_bytes_);
  unclaimed_ = above_reserve / static_cast<int64_t>(shards_) -
               static_cast<int64_t>(promised_bytes + claimed_);
  if (low_ != was_low) {
    LogWarning("spool space={} free={} reserve={}", low_ ? "low" : "enough", report->free_bytes,
               reserve_bytes_);
  }
}

bool SpaceWatch::HasRoom(uint64_t bytes) const {
  return static_cast<int64_t>(bytes) <= unclaimed_;
}

bool SpaceWatch::Claim(uint64_t bytes) {
  if (!HasRoom(bytes)) {
    MARK("no_room_to_claim");
    return false;
  }
  claimed_ += bytes;
  unclaimed_ -= static_cast<int64_t>(bytes);
  return true;
}

void SpaceWatch::Use(uint64_t bytes) {
  ASSERT(bytes <= claimed_);
  claimed_ -= bytes;
}

void SpaceWatch::GiveBack(uint64_t bytes) {
  Use(bytes);
  unclaimed_ += static_cast<int64_t>(bytes);
}

}  // namespace backstay
