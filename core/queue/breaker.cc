// core/queue/breaker.cc -- one run of like refusals, and what is usual.
#include "core/queue/breaker.h"

#include <functional>
#include <string_view>

namespace backstay {
namespace {

static_assert(SharedAnswers::kDifferentMax >= Breaker::kRunMax);

// Text is ignored.
uint32_t HashOfWords(const Outcome& outcome) {
  const size_t enhanced = std::hash<std::string_view>()(outcome.enhanced);
  const auto phase = static_cast<size_t>(outcome.phase);
  return static_cast<uint32_t>(enhanced ^ (enhanced >> 32)) * 31 +
         static_cast<uint32_t>(outcome.code) * 16 + static_cast<uint32_t>(phase);
}

}  // namespace

void Breaker::OnTaken() {
  answers_.Remember(true);
  answers_.EndRun();
}

Breaker::Verdict Breaker::OnRefused(const Outcome& outcome, uint64_t sender, uint64_t recipient,
                                    bool is_ramping) {
  const bool is_unusual = is_ramping || IsMostlyTaken();
  answers_.Remember(false);
  const bool at_mail = outcome.phase == Outcome::Phase::kMail;
  if (!at_mail && outcome.phase != Outcome::Phase::kRcpt) {
    return Verdict::kNone;  // of the content
  }
  if (tripped()) {
    return Verdict::kDoubted;
  }
  if (disarmed_) {
    return accepts_ ? Verdict::kAccepted : Verdict::kNone;
  }
  const SharedAnswers::Run run =
      answers_.OnRefused(HashOfWords(outcome), at_mail ? sender : recipient);
  if (!is_unusual) {
    return Verdict::kNone;
  }
  if (run.refusals < kRunMax || run.different < (at_mail ? kSendersMin : kRunMax)) {
    return Verdict::kDoubted;
  }
  answers_.EndRun();
  return answers_.Trip() ? Verdict::kTripped : Verdict::kDoubted;
}

void Breaker::Disarm(bool accepts) {
  disarmed_ = true;
  accepts_ = accepts;
  answers_.Untrip();
  answers_.EndRun();
}

void Breaker::OnNothingLeft() {
  disarmed_ = false;
  accepts_ = false;
}

}  // namespace backstay
