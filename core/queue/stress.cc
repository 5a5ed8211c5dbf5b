// core/queue/stress.cc -- two levels up, two levels down.
#include "core/queue/stress.h"

namespace backstay {
namespace {

// Empty: there is none.
std::string_view ReasonOf(const IntakeLoad& load) {
  if (10 * load.connections > Stress::kFullTenths * load.connections_max) {
    return "nearly all places for connections are taken";
  }
  return load.commit_delay > Admission::kBusyDelay ? "mail waits too long for the disk" : "";
}

}  // namespace

bool Stress::Look(const IntakeLoad& load, Instant now) {
  const bool is_pressed =
      10 * load.connections > kRoomTenths * load.connections_max || load.commit_delay > kQuickDelay;
  if (is_pressed) {
    pressed_at_ = now;
  }
  if (on_) {
    on_ = now - pressed_at_ < kCalm;
    return !on_;
  }
  reason_ = ReasonOf(load);
  on_ = !reason_.empty();
  if (on_) {
    began_at_ = now;
  }
  return on_;
}

}  // namespace backstay
