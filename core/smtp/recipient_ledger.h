// core/smtp/recipient_ledger.h -- how each recipient of one transaction stands.
//
// Life:  Begin(); each recipient goes open -> (accepted ->) decided, never back: a verdict once
//        given is not overwritten by what happens to the connection later, but for Doubt().
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/smtp/outcome.h"

namespace backstay {

class RecipientLedger {
 public:
  void Begin(size_t recipients);
  void Accept(size_t position);  // from open: the peer took RCPT
  void Decide(size_t position, const Outcome& outcome);
  // Those that are open, accepted, or either.
  void DecideOpen(const Outcome& outcome);
  void DecideAccepted(const Outcome& outcome);
  void DecideRest(const Outcome& outcome);
  // The replies were out of step: a refusal that came by one may be another recipient's. They are
  // deferrals then, each its recipient's own.
  void Doubt();

  bool IsOpen(size_t position) const { return standings_[position] == Standing::kOpen; }
  size_t accepted() const { return accepted_; }  // ever in this transaction
  bool complete() const { return decided_ == standings_.size(); }
  const std::vector<Outcome>& outcomes() const { return outcomes_; }

 private:
  enum class Standing : uint8_t { kOpen, kAccepted, kDecided };
  void DecideWhere(Standing standing, const Outcome& outcome);

  std::vector<Outcome> outcomes_;
  std::vector<Standing> standings_;  // parallel to outcomes_
  size_t accepted_ = 0;
  size_t decided_ = 0;  // standings_ that are kDecided
};

}  // namespace backstay
