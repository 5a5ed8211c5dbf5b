// core/queue/ramp.cc -- canaries, then additive growth and halving.
#include "core/queue/ramp.h"

#include "core/base/check.h"
#include "core/base/mark.h"

namespace backstay {
namespace {

constexpr size_t kFirstWindow = 2;
constexpr absl::Duration kPauseMin = absl::Seconds(15);
constexpr absl::Duration kPauseMax = absl::Minutes(5);
// Enough for a mean; and slower than this much more than twice the best mean is slow. Without the
// second part a primary that answers within a millisecond would be slow at two.
constexpr size_t kSample = 16;
constexpr absl::Duration kSlack = absl::Milliseconds(100);

}  // namespace

void Ramp::SetMax(size_t messages) {
  ASSERT(messages > 0);
  max_ = messages;
  window_ = std::min(window_, max_);
}

void Ramp::Send(size_t canaries) {
  ASSERT(canaries <= kCanaries);
  canaries_ = std::min(canaries, max_);
}

void Ramp::Restart(size_t canaries) {
  Send(canaries);
  ++era_;
  under_way_ = 0;
  in_canaries_ = true;
  over_ = false;
  window_ = std::min(kFirstWindow, max_);
  taken_ = 0;
  deferred_ = 0;
  pause_ = absl::ZeroDuration();
  paused_until_ = Instant();
  sampled_ = 0;
  sum_ = absl::ZeroDuration();
  fastest_ = absl::InfiniteDuration();
}

void Ramp::Pass() {
  in_canaries_ = false;
  over_ = over_ || window_ >= max_;
}

bool Ramp::MayStart(Instant now) const {
  if (!in_canaries_) {
    return under_way_ < window_;
  }
  return under_way_ + deferred_ < canaries_ && now >= paused_until_;
}

uint32_t Ramp::OnStart() {
  ++under_way_;
  return era_;
}

void Ramp::OnEnd(uint32_t era, MessageFate fate, absl::Duration took, Instant now) {
  if (era != era_) {
    MARK("of_the_time_before_the_outage");
    return;
  }
  ASSERT(under_way_ > 0);
  --under_way_;
  if (fate == MessageFate::kTaken) {
    if (in_canaries_) {
      Pass();
    }
    Judge(took);
    Grow();
    return;
  }
  if (!in_canaries_) {
    return;
  }
  // Refused ones are replaced at once: who decides about them is the breaker.
  deferred_ += fate == MessageFate::kDeferred ? 1 : 0;
  if (deferred_ >= canaries_ && under_way_ == 0) {
    MARK("canaries_all_deferred");
    pause_ = std::clamp(pause_ * 2, kPauseMin, kPauseMax);
    paused_until_ = now + pause_;
    deferred_ = 0;
  }
}

void Ramp::Grow() {
  if (++taken_ < window_) {
    return;
  }
  taken_ = 0;
  window_ = std::min(window_ + 1, max_);
  over_ = over_ || window_ >= max_;
}

void Ramp::Judge(absl::Duration took) {
  sum_ += took;
  if (++sampled_ < std::max(kSample, window_)) {
    return;
  }
  const absl::Duration mean = sum_ / static_cast<int64_t>(sampled_);
  sampled_ = 0;
  sum_ = absl::ZeroDuration();
  if (mean > 2 * fastest_ + kSlack) {
    MARK("primary_became_slow");
    Halve();
    taken_ = 0;
  }
  fastest_ = std::min(fastest_, mean);
}

}  // namespace backstay
