// core/queue/breaker.cc -- one run of like refusals, and what is usual.
#include "core/queue/breaker.h"

#include <algorithm>

namespace backstay {

void Breaker::Remember(bool is_taken) {
  taken_ += (is_taken ? 1 : 0);
  taken_ -= (answers_ == kAnswersMax && last_[next_] ? 1 : 0);
  last_[next_] = is_taken;
  next_ = (next_ + 1) % kAnswersMax;
  answers_ = std::min(answers_ + 1, kAnswersMax);
}

void Breaker::OnTaken() {
  Remember(true);
  refusals_ = 0;
  different_.clear();
}

Breaker::Verdict Breaker::OnRefused(const Outcome& outcome, uint64_t sender, uint64_t recipient,
                                    bool is_ramping) {
  const bool is_unusual = is_ramping || IsMostlyTaken();
  Remember(false);
  const bool at_mail = outcome.phase == Outcome::Phase::kMail;
  if (!at_mail && outcome.phase != Outcome::Phase::kRcpt) {
    return Verdict::kNone;  // of the content
  }
  if (outcome.phase != phase_ || outcome.code != code_ || outcome.enhanced != enhanced_) {
    phase_ = outcome.phase;
    code_ = outcome.code;
    enhanced_ = outcome.enhanced;
    refusals_ = 0;
    different_.clear();
  }
  ++refusals_;
  const uint64_t who = at_mail ? sender : recipient;
  if (different_.size() < kRunMax &&
      std::find(different_.begin(), different_.end(), who) == different_.end()) {
    different_.push_back(who);
  }
  if (tripped_) {
    return Verdict::kDoubted;
  }
  if (accepts_) {
    return Verdict::kAccepted;
  }
  if (disarmed_ || !is_unusual) {
    return Verdict::kNone;
  }
  if (refusals_ < kRunMax || different_.size() < (at_mail ? kSendersMin : kRunMax)) {
    return Verdict::kDoubted;
  }
  tripped_ = true;
  return Verdict::kTripped;
}

void Breaker::Disarm(bool accepts) {
  disarmed_ = true;
  accepts_ = accepts;
  tripped_ = false;
  refusals_ = 0;
  different_.clear();
}

void Breaker::OnNothingLeft() {
  if (disarmed_) {
    disarmed_ = false;
    accepts_ = false;
    refusals_ = 0;
    different_.clear();
  }
}

}  // namespace backstay
