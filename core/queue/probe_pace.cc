// core/queue/probe_pace.cc -- places in a line, so many a second.
#include "core/queue/probe_pace.h"

#include <algorithm>

namespace backstay {
namespace {

const absl::Duration kAhead = absl::Seconds(1);  // what nobody took is kept for so long
const absl::Duration kPlace = kAhead / ProbePace::kPerSecond;

}  // namespace

Instant ProbePace::Take(Instant now) {
  Instant place;
  taken_until_.Change([&](Instant& taken_until) {
    place = std::max(taken_until, now - kAhead) + kPlace;
    taken_until = place;
    return true;
  });
  return std::max(place, now);
}

}  // namespace backstay
