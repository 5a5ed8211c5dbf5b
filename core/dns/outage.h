// core/dns/outage.h -- when a primary was down, and why: as it is kept and told.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "core/base/units.h"

namespace backstay {

struct Outage {
  WallTime since;
  WallTime until;  // 0: it lasts
  std::string reason;
  bool lasts() const { return until == WallTime(); }
  friend bool operator==(const Outage&, const Outage&) = default;
};

// Of one primary, oldest first; older ones are forgotten.
constexpr size_t kOutagesMax = 10;
using Outages = std::vector<Outage>;

}  // namespace backstay
