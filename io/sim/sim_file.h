// io/sim/sim_file.h -- one file: what reads see, what would survive, and the changes between.
//
// current_ is the page cache. durable_ is what a power cut leaves. pending_ lists the completed
// changes that no sync has covered, in order of completion. A change that a *failed* sync covered
// leaves pending_ without reaching durable_: reads still see it, later syncs do not cover it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "core/base/bytes.h"
#include "core/base/random.h"
#include "io/sim/faults.h"
#include "io/sim/page_image.h"

namespace backstay {

// What a crash leaves of that which no sync covered.
enum class CrashMode : uint8_t {
  kNothingUnsynced,  // power cut: no un-synced byte, size or directory entry survives
  kAllUnsynced,      // kill of the processes: the page cache survives (and is still not durable)
  kRandom            // power cut: each sector, size and entry independently kept or dropped
};

class SimFile {
 public:
  static constexpr size_t kSectorBytes = 512;  // written whole or not at all

  uint64_t size() const { return current_.size(); }
  const PageImage& current() const { return current_; }
  const PageImage& durable() const { return durable_; }
  // Number of the last completed change; a sync covers the changes up to the one it saw at
  // submission.
  uint64_t last_change() const { return last_change_; }

  // On the device or in the cache.
  uint64_t NextWritten(uint64_t at) const {
    return std::min(current_.NextWritten(at), durable_.NextWritten(at));
  }
  size_t Read(uint64_t at, MutableBytes into) const { return current_.Read(at, into); }
  // As the device has it: durable bytes and what write-back could bring there, not what a failed
  // sync left in the cache alone.
  size_t ReadDirect(uint64_t at, MutableBytes into) const;
  // Clean pages of the range leave the cache; after a failed sync the old bytes show up.
  void Evict(uint64_t at, size_t bytes);

  void Write(uint64_t at, Bytes from);
  void Resize(uint64_t bytes);

  void Sync(uint64_t up_to);
  void FailSync(uint64_t up_to, const FaultPlan& plan, Random& random);
  void Crash(CrashMode mode, const FaultPlan& plan, Random& random);

  // Changes both images at once: damage, or a file put there by a test.
  void Alter(uint64_t at, Bytes from);
  void AlterSize(uint64_t bytes);

 private:
  struct Change {
    uint64_t number;
    uint64_t at;
    std::string bytes;  // empty: a change of size
    uint64_t size_after;
  };
  void Apply(PageImage& image, const Change& change) const;
  void KeepRandomly(const FaultPlan& plan, Random& random);

  PageImage current_;
  PageImage durable_;
  uint64_t last_change_ = 0;
  std::vector<Change> pending_;
};

}  // namespace backstay
