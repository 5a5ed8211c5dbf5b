// core/shard/shipment.cc -- reads a message and picks those of its recipients who have their turn.
#include "core/shard/shipment.h"

#include <algorithm>
#include <utility>

#include "core/base/check.h"
#include "core/base/mark.h"
#include "core/shard/message_flags.h"

namespace backstay {
namespace {

// RFC 5321 s4.5.3.1.8: a server must take 100 recipients; more go in the next transaction.
constexpr size_t kRecipientsPerTransactionMax = 100;

}  // namespace

Shipment::Shipment(Spool& spool, ShipmentEvents& events)
    : spool_(spool), events_(events), reader_(spool, *this) {}

void Shipment::Open(const Attempt& attempt) {
  ASSERT(!is_open());
  ASSERT(!is_busy());
  attempt_ = attempt;
  is_read_ = false;
  outcome_ = ReadOutcome::kOk;
  recipients_.clear();
  domains_.clear();
  is_reading_content_ = false;
  content_ended_ = false;
  reader_.Open(attempt.message);
}

Attempt Shipment::Close() {
  reader_.Close();
  return *std::exchange(attempt_, std::nullopt);
}

void Shipment::OnHead(ReadOutcome outcome) {
  is_read_ = true;
  outcome_ = outcome;
  if (outcome == ReadOutcome::kOk) {
    std::optional<Envelope> envelope = DecodeEnvelope(reader_.head().envelope);
    if (envelope.has_value() &&
        envelope->recipients.size() == reader_.head().recipient_domains.size()) {
      envelope_ = std::move(*envelope);
      arrival_ = reader_.head().arrival;
    } else {
      MARK("envelope_not_ours");
      outcome_ = ReadOutcome::kDamaged;
    }
  }
  events_.OnShipmentRead(*this);
}

bool Shipment::has_dot_lines() const {
  return (reader_.head().flags & MessageFlags::kDotLines) != 0;
}

bool Shipment::Select(const PrimaryExtensions& offered, IsEligible is_eligible) {
  ASSERT(is_read());
  recipients_.clear();
  domains_.clear();
  more_from_.reset();
  const MessageHead& head = reader_.head();
  for (uint32_t recipient = attempt_->from_recipient; recipient < head.recipient_domains.size();
       ++recipient) {
    const DomainId domain = spool_.Intern(head.domains[head.recipient_domains[recipient]]);
    if (!is_eligible(recipient, domain)) {
      continue;
    }
    if (!FitsTransaction(offered, domain)) {
      MARK("recipients_in_next_transaction");
      more_from_ = recipient;
      break;
    }
    recipients_.push_back(recipient);
    domains_.push_back(domain);
  }
  return !recipients_.empty();
}

// One recipient more, of this domain. A primary may take fewer (RFC 9422).
bool Shipment::FitsTransaction(const PrimaryExtensions& offered, DomainId domain) const {
  if (recipients_.size() >= std::min<uint64_t>(kRecipientsPerTransactionMax,
                                               offered.recipients_max.value_or(UINT64_MAX))) {
    return false;
  }
  if (!offered.recipient_domains_max.has_value()) {
    return true;
  }
  std::vector<DomainId> domains = domains_;
  domains.push_back(domain);
  std::sort(domains.begin(), domains.end());
  const auto distinct = std::unique(domains.begin(), domains.end()) - domains.begin();
  return static_cast<uint64_t>(distinct) <= *offered.recipient_domains_max;
}

void Shipment::WantContent() {
  if (!is_reading_content_ && !content_ended_) {
    is_reading_content_ = true;
    reader_.NextContent();
  }
}

void Shipment::OnContent(ReadOutcome outcome, Bytes content) {
  is_reading_content_ = false;
  content_ended_ = outcome != ReadOutcome::kOk || content.empty();
  events_.OnShipmentContent(*this, outcome, content);
}

}  // namespace backstay
