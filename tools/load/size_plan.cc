// tools/load/size_plan.cc -- sizes as the configuration writes them, with or without a unit.
#include "tools/load/size_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <string>

#include "core/base/check.h"
#include "core/base/status_macros.h"
#include "core/base/units.h"
#include "core/shard/config_values.h"

namespace backstay {
namespace {

// The filler is cut of one text of the largest size.
constexpr size_t kSizeMax = 256_MiB;

absl::StatusOr<size_t> ParseBytes(std::string_view text) {
  const bool plain = !text.empty() && text.back() >= '0' && text.back() <= '9';
  const std::string with_unit = std::string(text) + (plain ? "B" : "");
  ASSIGN_OR_RETURN(const uint64_t bytes, ParseSize(with_unit));
  if (bytes > kSizeMax) {
    return absl::InvalidArgumentError("a message has 256MiB at most");
  }
  return static_cast<size_t>(bytes);
}

}  // namespace

absl::StatusOr<SizePlan::Range> SizePlan::ParseRange(std::string_view text) {
  Range range;
  const size_t colon = text.find(':');
  if (colon != std::string_view::npos) {
    const std::string_view weight = text.substr(colon + 1);
    const auto parsed = std::from_chars(weight.data(), weight.data() + weight.size(), range.weight);
    if (parsed.ec != std::errc() || parsed.ptr != weight.data() + weight.size() ||
        range.weight == 0 || range.weight > 1'000'000) {
      return absl::InvalidArgumentError("a weight is a number from 1 to 1000000");
    }
    text = text.substr(0, colon);
  }
  const size_t dash = text.find('-');
  ASSIGN_OR_RETURN(range.low, ParseBytes(text.substr(0, dash)));
  range.high = range.low;
  if (dash != std::string_view::npos) {
    ASSIGN_OR_RETURN(range.high, ParseBytes(text.substr(dash + 1)));
  }
  if (range.high < range.low) {
    return absl::InvalidArgumentError("a range begins with its smaller end");
  }
  return range;
}

absl::StatusOr<SizePlan> SizePlan::Parse(std::string_view text) {
  SizePlan plan;
  for (bool more = true; more;) {
    const size_t comma = text.find(',');
    const absl::StatusOr<Range> range = ParseRange(text.substr(0, comma));
    if (!range.ok()) {
      return absl::InvalidArgumentError(fmt::format("size \"{}\": {}", text.substr(0, comma),
                                                    std::string(range.status().message())));
    }
    plan.ranges_.push_back(*range);
    plan.weights_ += range->weight;
    more = comma != std::string_view::npos;
    text = more ? text.substr(comma + 1) : std::string_view();
  }
  return plan;
}

size_t SizePlan::Draw(Random& random) const {
  uint64_t drawn = random.Below(weights_);
  for (const Range& range : ranges_) {
    if (drawn < range.weight) {
      return static_cast<size_t>(random.Between(range.low, range.high));
    }
    drawn -= range.weight;
  }
  UNREACHABLE();
}

size_t SizePlan::largest() const {
  size_t largest = 0;
  for (const Range& range : ranges_) {
    largest = std::max(largest, range.high);
  }
  return largest;
}

}  // namespace backstay
