// spool/failure_gate.h -- after failed writes and syncs: when to try again, and whether to take
// mail.
//
// Intake closes after three failures within a minute and opens with the next success. Tries go on
// all the time, at once after the first failure, then 1, 2, 4 ... 30 s apart: settles must get out.
// A file system that is read-only fails at once and costs nothing: it is asked each second, so that
// mail comes in again within seconds of its mending.
#pragma once

#include <array>
#include <cstdint>

#include "core/base/units.h"
#include "io/io_result.h"

namespace backstay {

class FailureGate {
 public:
  void Failed(Instant now, IoError error);
  void WaitUntil(Instant instant) { retry_at_ = instant; }
  void Succeeded();
  bool closed() const { return closed_; }
  bool failing() const { return consecutive_ > 0; }
  Instant retry_at() const { return retry_at_; }

 private:
  static constexpr size_t kFailuresToClose = 3;

  std::array<Instant, kFailuresToClose> last_{};  // the newest at failures_ - 1
  uint64_t failures_ = 0;
  uint32_t consecutive_ = 0;
  bool closed_ = false;
  Instant retry_at_;
};

}  // namespace backstay
