// core/queue/breaker.h -- notices that a primary refuses everybody, before the backlog is bounced.
// Pure.
//
// A primary that was restored without its users refuses each recipient for good, one after the
// other, in the same words. That is no verdict on the recipients. One breaker watches one domain on
// one shard; what it judges by is what all shards were told, and when one trips all have tripped:
// nobody is asked any more, though the stop is not on disk yet.
//
// Outlives: the answers outlive it.
// See:      DESIGN 6 "Breaker".
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/queue/shared_answers.h"
#include "core/smtp/outcome.h"

namespace backstay {

class Breaker {
 public:
  static constexpr size_t kRunMax = 20;      // refusals
  static constexpr size_t kSendersMin = 10;  // of a run at MAIL
  // Fewer say nothing of what is usual. A run is among the answers itself: with over half of them
  // taken at its last refusal, at least this many were taken before it.
  static constexpr size_t kAnswersMin = kRunMax;

  enum class Verdict : uint8_t {
    kNone,      // the refusal is the primary's word on this recipient
    kDoubted,   // it may turn out to be one of many
    kTripped,   // it is: told once, to one shard
    kAccepted,  // the operator says so
  };

  explicit Breaker(SharedAnswers& answers) : answers_(answers) {}

  void OnTaken();
  void OnDeferred() { answers_.Remember(false); }
  // `sender` and `recipient`: hashes of the addresses. `is_ramping`: the primary has just come
  // back, or the message came before its domain met it.
  Verdict OnRefused(const Outcome& outcome, uint64_t sender, uint64_t recipient, bool is_ramping);

  // The operator has looked at it: it does not trip while what was queued is tried once more.
  // `accepts`: and what is refused is refused.
  void Disarm(bool accepts);
  void OnNothingLeft();
  bool tripped() const { return answers_.tripped(); }

 private:
  bool IsMostlyTaken() const {
    return answers_.answers() >= kAnswersMin && answers_.taken() * 2 > answers_.answers();
  }

  SharedAnswers& answers_;
  bool disarmed_ = false;
  bool accepts_ = false;  // only if disarmed_
};

}  // namespace backstay
