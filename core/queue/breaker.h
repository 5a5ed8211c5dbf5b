// core/queue/breaker.h -- notices that a primary refuses everybody, before the backlog is bounced.
// Pure.
//
// A primary that was restored without its users refuses each recipient for good, one after the
// other, in the same words. That is no verdict on the recipients. One breaker watches one domain.
//
// Owns:   a bit for each of the last 1,000 answers, and the hashes of one run.
// See:    DESIGN 6 "Breaker".
#pragma once

#include <bitset>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "core/smtp/outcome.h"

namespace backstay {

class Breaker {
 public:
  static constexpr size_t kRunMax = 20;        // refusals
  static constexpr size_t kSendersMin = 10;    // of a run at MAIL
  static constexpr size_t kAnswersMax = 1000;  // that are remembered
  // Fewer say nothing of what is usual.
  static constexpr size_t kAnswersMin = 100;

  enum class Verdict : uint8_t {
    kNone,      // the refusal is the primary's word on this recipient
    kDoubted,   // it may turn out to be one of many
    kTripped,   // it is: told once
    kAccepted,  // the operator says so
  };

  void OnTaken();
  void OnDeferred() { Remember(false); }
  // `sender` and `recipient`: hashes of the addresses.
  Verdict OnRefused(const Outcome& outcome, uint64_t sender, uint64_t recipient, bool is_ramping);

  // The operator has looked at it: it does not trip while what was queued is tried once more.
  // `accepts`: and what is refused is refused.
  void Disarm(bool accepts);
  void OnNothingLeft();
  bool tripped() const { return tripped_; }

 private:
  void Remember(bool is_taken);
  bool IsMostlyTaken() const { return answers_ >= kAnswersMin && taken_ * 2 > answers_; }

  std::bitset<kAnswersMax> last_;  // a ring: whether it was taken
  size_t next_ = 0;
  size_t answers_ = 0;  // in last_
  size_t taken_ = 0;    // of those
  bool disarmed_ = false;
  bool accepts_ = false;  // only if disarmed_
  bool tripped_ = false;
  // The run of refusals: what they have in common, how many, from and for how many different ones.
  Outcome::Phase phase_ = Outcome::Phase::kConnect;
  int code_ = 0;
  std::string enhanced_;
  size_t refusals_ = 0;
  std::vector<uint64_t> different_;  // at most kRunMax
};

}  // namespace backstay
