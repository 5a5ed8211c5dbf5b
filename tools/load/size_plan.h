// tools/load/size_plan.h -- how large messages are: one size, or a weighted choice of ranges.
//
// "4096", "4KiB", "1KiB-64KiB" (uniform), "2KiB:60,16KiB-64KiB:30,1MiB:10" (weights, default 1).
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/random.h"

namespace backstay {

class SizePlan {
 public:
  static absl::StatusOr<SizePlan> Parse(std::string_view text);
  size_t Draw(Random& random) const;
  size_t largest() const;

 private:
  struct Range {
    size_t low = 0;
    size_t high = 0;
    uint64_t weight = 1;
  };
  static absl::StatusOr<Range> ParseRange(std::string_view text);

  std::vector<Range> ranges_;
  uint64_t weights_ = 0;  // their sum
};

}  // namespace backstay
