// core/smtp/recipient_ledger.cc -- bookkeeping of one transaction's recipients.
#include "core/smtp/recipient_ledger.h"

#include "core/base/check.h"

namespace backstay {

void RecipientLedger::Begin(size_t recipients) {
  outcomes_.assign(recipients, Outcome());
  standings_.assign(recipients, Standing::kOpen);
  accepted_ = 0;
  decided_ = 0;
}

void RecipientLedger::Accept(size_t position) {
  ASSERT(standings_[position] == Standing::kOpen);
  standings_[position] = Standing::kAccepted;
  ++accepted_;
}

void RecipientLedger::Decide(size_t position, const Outcome& outcome) {
  ASSERT(standings_[position] != Standing::kDecided);
  outcomes_[position] = outcome;
  standings_[position] = Standing::kDecided;
  ++decided_;
}

void RecipientLedger::DecideOpen(const Outcome& outcome) {
  DecideWhere(Standing::kOpen, outcome);
}

void RecipientLedger::DecideAccepted(const Outcome& outcome) {
  DecideWhere(Standing::kAccepted, outcome);
}

void RecipientLedger::DecideRest(const Outcome& outcome) {
  DecideOpen(outcome);
  DecideAccepted(outcome);
}

void RecipientLedger::Doubt() {
  for (Outcome& outcome : outcomes_) {
    if (outcome.kind == Outcome::Kind::kFailed && outcome.code != 0) {
      outcome.kind = Outcome::Kind::kDeferred;
    }
  }
}

void RecipientLedger::DecideWhere(Standing standing, const Outcome& outcome) {
  for (size_t position = 0; position < standings_.size(); ++position) {
    if (standings_[position] == standing) {
      Decide(position, outcome);
    }
  }
}

}  // namespace backstay
