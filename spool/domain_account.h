// spool/domain_account.h -- what became of a domain's recipients: taken = ended + owed, always.
//
// Units: recipients.
// See:   DESIGN 1.2 (the ledger); kept by AccountBook.
#pragma once

#include <cstdint>

#include "core/base/check.h"

namespace backstay {

// How it ended for a recipient.
enum class Ending : uint8_t {
  kDelivered,
  kBounced,     // its sender has a report of it, on disk
  kDiscarded,   // by a written rule
  kQuarantined  // its message is damaged or lost
};

struct DomainAccount {
  uint64_t accepted = 0;   // from clients
  uint64_t generated = 0;  // reports of ours
  uint64_t delivered = 0;
  uint64_t bounced = 0;
  uint64_t discarded = 0;
  uint64_t quarantined = 0;

  uint64_t taken() const { return accepted + generated; }
  uint64_t ended() const { return delivered + bounced + discarded + quarantined; }
  // Live, or a report of it is. While a start still reads, what is known may be less than what has
  // ended.
  uint64_t owed() const { return taken() > ended() ? taken() - ended() : 0; }

  void End(Ending ending, uint64_t recipients = 1) {
    switch (ending) {
      case Ending::kDelivered:
        delivered += recipients;
        return;
      case Ending::kBounced:
        bounced += recipients;
        return;
      case Ending::kDiscarded:
        discarded += recipients;
        return;
      case Ending::kQuarantined:
        quarantined += recipients;
        return;
    }
    UNREACHABLE();
  }

  DomainAccount& operator+=(const DomainAccount& more) {
    accepted += more.accepted;
    generated += more.generated;
    delivered += more.delivered;
    bounced += more.bounced;
    discarded += more.discarded;
    quarantined += more.quarantined;
    return *this;
  }
  friend bool operator==(const DomainAccount&, const DomainAccount&) = default;
};

}  // namespace backstay
