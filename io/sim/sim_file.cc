// io/sim/sim_file.cc -- syncs that succeed, syncs that fail, and crashes.
#include "io/sim/sim_file.h"

#include <algorithm>
#include <set>

namespace backstay {
namespace {

constexpr uint64_t kMillion = 1'000'000;

}  // namespace

size_t SimFile::ReadDirect(uint64_t at, MutableBytes into) const {
  if (at >= size()) {
    return 0;
  }
  const size_t total = static_cast<size_t>(std::min<uint64_t>(into.size(), size() - at));
  const size_t found = durable_.Read(at, into.first(total));
  std::fill(into.begin() + static_cast<std::ptrdiff_t>(found),
            into.begin() + static_cast<std::ptrdiff_t>(total), uint8_t{0});
  for (const Change& change : pending_) {
    const uint64_t from = std::max(at, change.at);
    const uint64_t to = std::min(at + total, change.at + change.bytes.size());
    if (!change.bytes.empty() && from < to) {
      const Bytes bytes =
          AsBytes(change.bytes)
              .subspan(static_cast<size_t>(from - change.at), static_cast<size_t>(to - from));
      std::copy(bytes.begin(), bytes.end(), into.begin() + static_cast<std::ptrdiff_t>(from - at));
    } else if (change.bytes.empty() && change.size_after < at + total) {
      const uint64_t zeros_from = std::max(at, change.size_after);
      std::fill(into.begin() + static_cast<std::ptrdiff_t>(zeros_from - at),
                into.begin() + static_cast<std::ptrdiff_t>(total), uint8_t{0});
    }
  }
  return total;
}

void SimFile::Evict(uint64_t at, size_t bytes) {
  std::string range(bytes, '\0');
  const size_t count = ReadDirect(at, {reinterpret_cast<uint8_t*>(range.data()), range.size()});
  current_.Write(at, AsBytes(range).first(count));
}

void SimFile::Write(uint64_t at, Bytes from) {
  if (from.empty()) {
    return;
  }
  current_.Write(at, from);
  pending_.push_back(Change{++last_change_, at, std::string(AsText(from)), current_.size()});
}

void SimFile::Resize(uint64_t bytes) {
  current_.Resize(bytes);
  pending_.push_back(Change{++last_change_, 0, std::string(), bytes});
}

void SimFile::Apply(PageImage& image, const Change& change) const {
  if (change.bytes.empty()) {
    image.Resize(change.size_after);
  } else {
    image.Write(change.at, AsBytes(change.bytes));
  }
}

void SimFile::Sync(uint64_t up_to) {
  size_t covered = 0;
  while (covered < pending_.size() && pending_[covered].number <= up_to) {
    Apply(durable_, pending_[covered]);
    ++covered;
  }
  pending_.erase(pending_.begin(), pending_.begin() + static_cast<std::ptrdiff_t>(covered));
}

void SimFile::FailSync(uint64_t up_to, const FaultPlan& plan, Random& random) {
  size_t covered = 0;
  while (covered < pending_.size() && pending_[covered].number <= up_to) {
    if (random.Chance(plan.failed_sync_keeps, kMillion)) {
      Apply(durable_, pending_[covered]);
    }
    ++covered;
  }
  pending_.erase(pending_.begin(), pending_.begin() + static_cast<std::ptrdiff_t>(covered));
}

void SimFile::Crash(CrashMode mode, const FaultPlan& plan, Random& random) {
  if (mode == CrashMode::kAllUnsynced) {
    return;
  }
  if (mode == CrashMode::kRandom) {
    KeepRandomly(plan, random);
  }
  pending_.clear();
  current_ = durable_;
}

// A sector on the device is as some moment left it: of the writes to one sector a prefix survives.
// Size is metadata and survives on its own: a longer file without its bytes reads as zeros.
void SimFile::KeepRandomly(const FaultPlan& plan, Random& random) {
  const size_t sizes_kept = static_cast<size_t>(random.Between(0, pending_.size()));
  const uint64_t final_size =
      sizes_kept == 0 ? durable_.size() : pending_[sizes_kept - 1].size_after;
  std::set<uint64_t> stopped;  // sectors that were written back before the write at hand
  for (size_t index = 0; index < pending_.size(); ++index) {
    const Change& change = pending_[index];
    if (change.bytes.empty()) {
      if (index < sizes_kept) {
        durable_.Resize(change.size_after);
      }
      continue;
    }
    const bool torn = random.Chance(plan.crash_tears, kMillion);
    const bool kept = random.Chance(plan.crash_keeps, kMillion);
    const uint64_t end = change.at + change.bytes.size();
    for (uint64_t at = change.at; at < end;) {
      const uint64_t sector = at / kSectorBytes;
      const uint64_t next = std::min(end, (sector + 1) * kSectorBytes);
      const bool keep = torn ? random.Chance(1, 2) : kept;
      if (!keep) {
        stopped.insert(sector);
      } else if (!stopped.contains(sector)) {
        durable_.Write(
            at, AsBytes(change.bytes)
                    .subspan(static_cast<size_t>(at - change.at), static_cast<size_t>(next - at)));
      }
      at = next;
    }
  }
  durable_.Resize(final_size);
}

void SimFile::Alter(uint64_t at, Bytes from) {
  current_.Write(at, from);
  durable_.Write(at, from);
}

void SimFile::AlterSize(uint64_t bytes) {
  current_.Resize(bytes);
  durable_.Resize(bytes);
}

}  // namespace backstay
