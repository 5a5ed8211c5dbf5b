// core/queue/stress.h -- when clients have to be quick: places run out, or the disk is behind.
//
// Two grounds, each with a level above which it begins and a lower one. It is over when both have
// been below that for a while, so that what goes up and down around a level changes nothing back
// and forth. Pure: `now` is an argument and never goes back.
//
// Turn:     Look() in each: a few comparisons.
// See:      DESIGN 7; reliability rows 38, 74, 97, 98.
#pragma once

#include <cstddef>
#include <string_view>

#include "absl/time/time.h"
#include "core/base/units.h"
#include "core/queue/admission.h"

namespace backstay {

struct IntakeLoad {
  size_t connections = 0;
  size_t connections_max = 1;   // of this shard, as `connections`
  absl::Duration commit_delay;  // how long a message waits for the disk now
};

class Stress {
 public:
  // Of the places, in tenths. Above the first there is still some room: for those who come until
  // the ones who do nothing have gone.
  static constexpr size_t kFullTenths = 9;
  static constexpr size_t kRoomTenths = 7;
  // The first level of the disk is Admission::kBusyDelay, at which new mail is put off.
  static constexpr absl::Duration kQuickDelay = absl::Seconds(2);
  // So long below; no more than two lines of the log in that time.
  static constexpr absl::Duration kCalm = absl::Seconds(30);
  static_assert(kRoomTenths < kFullTenths);
  static_assert(kQuickDelay < Admission::kBusyDelay);

  // True: it has begun, or it is over.
  bool Look(const IntakeLoad& load, Instant now);
  // When it may be over though nothing happens until then; Max(): there is none.
  Instant NextDue() const { return on() ? pressed_at_ + kCalm : Instant::Max(); }

  bool on() const { return on_; }
  Instant began_at() const { return began_at_; }       // of the last one
  std::string_view reason() const { return reason_; }  // why it began, while it is on

 private:
  Instant began_at_;
  Instant pressed_at_;  // the last time above a lower level
  std::string_view reason_;
  bool on_ = false;
};

}  // namespace backstay
