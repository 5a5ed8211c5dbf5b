// core/shard/delivery.cc -- reads a message and sends it, then asks for the next.
#include "core/shard/delivery.h"

#include <algorithm>
#include <utility>

#include "core/base/check.h"
#include "core/base/mark.h"
#include "core/shard/message_flags.h"

namespace backstay {
namespace {

// RFC 5321 s4.5.3.1.8: a server must take 100 recipients; more go in the next transaction.
constexpr size_t kRecipientsPerTransactionMax = 100;
// Content on its way to the socket; enough to keep it busy while the next piece is read.
constexpr size_t kUnsentBytesMax = 64_KiB;

}  // namespace

Delivery::Delivery(const OutboundParts& parts, Spool& spool, std::string_view hostname,
                   uint64_t number, DeliveryHome& home)
    : io_(parts.io),
      spool_(spool),
      home_(home),
      number_(number),
      connection_(parts, hostname, *this),
      reader_(spool, *this) {}

void Delivery::Connect(const PrimaryHost& to) {
  began_ = io_.Now();
  connection_.Connect(to);
}

void Delivery::Poke() {
  if (connection_.ready() && !attempt_.has_value()) {
    StartNext();
  }
}

void Delivery::Stop(bool now_too) {
  stopping_ = true;
  if (now_too) {
    connection_.Close();
  } else if (!attempt_.has_value()) {
    connection_.Quit();
  }
}

void Delivery::OnOutboundReady(OutboundConnection&) {
  if (!greeted_) {
    greeted_ = true;
    connecting_ = io_.Now() - began_;
    home_.OnDeliveryGreeted(*this);
  }
  if (in_transaction_) {
    EndAttempt();
  }
  StartNext();
}

void Delivery::StartNext() {
  if (stopping_ || !connection_.ready() || connection_.session().exhausted()) {
    connection_.Quit();
    return;
  }
  if (reader_.busy()) {
    return;  // a read that nobody waits for any more; Poke() comes back
  }
  attempt_ = home_.NextAttempt();
  if (attempt_.has_value()) {  // else idle: the connection says QUIT after a while
    reader_.Open(attempt_->message);
  }
}

void Delivery::OnHead(ReadOutcome outcome) {
  if (closed_) {
    return;
  }
  recipients_.clear();
  recipient_domains_.clear();
  std::optional<Envelope> envelope;
  if (outcome == ReadOutcome::kOk) {
    envelope = DecodeEnvelope(reader_.head().envelope);
    if (!envelope.has_value() ||
        envelope->recipients.size() != reader_.head().recipient_domains.size()) {
      MARK("envelope_not_ours");
      outcome = ReadOutcome::kDamaged;
    }
  }
  if (outcome != ReadOutcome::kOk) {
    reader_.Close();
    home_.OnUnreadable(TakeAttempt(), outcome);
    StartNext();
    return;
  }
  envelope_ = std::move(*envelope);
  if (!Select()) {
    reader_.Close();
    home_.OnNothingToDo(TakeAttempt());
    StartNext();
    return;
  }
  if (!connection_.ready()) {  // the primary closed while we read: nothing was tried
    return;                    // OnOutboundClosed gives the attempt back
  }
  if (!connection_.session().Takes(envelope_)) {
    MARK("session_of_another_client");
    reader_.Close();
    home_.OnNotStarted(TakeAttempt());
    connection_.Quit();
    return;
  }
  in_transaction_ = true;
  content_ended_ = false;
  began_ = io_.Now();
  const MessageHead& head = reader_.head();
  arrival_ = head.arrival;
  connection_.StartTransaction(envelope_, recipients_, head.content_bytes,
                               (head.flags & MessageFlags::kDotLines) != 0);
  if (connection_.session().phase() == ClientSession::Phase::kReady) {
    MARK("transaction_over_before_it_began");  // too large for its SIZE, or needs what it lacks
    EndAttempt();
    StartNext();
  }
}

// Fills recipients_; false when nobody is eligible.
bool Delivery::Select() {
  const MessageHead& head = reader_.head();
  for (uint32_t recipient = attempt_->from_recipient; recipient < head.recipient_domains.size();
       ++recipient) {
    const DomainId domain = spool_.Intern(head.domains[head.recipient_domains[recipient]]);
    if (!home_.Eligible(*attempt_, recipient, domain)) {
      continue;
    }
    if (!FitsTransaction(domain)) {
      MARK("recipients_in_next_transaction");
      home_.OnMoreRecipients(*attempt_, recipient);
      break;
    }
    recipients_.push_back(recipient);
    recipient_domains_.push_back(domain);
  }
  return !recipients_.empty();
}

// One recipient more, of this domain. A primary may take fewer (RFC 9422).
bool Delivery::FitsTransaction(DomainId domain) const {
  const PrimaryExtensions& offered = connection_.session().extensions();
  if (recipients_.size() >= std::min<uint64_t>(kRecipientsPerTransactionMax,
                                               offered.recipients_max.value_or(UINT64_MAX))) {
    return false;
  }
  if (!offered.recipient_domains_max.has_value()) {
    return true;
  }
  std::vector<DomainId> domains = recipient_domains_;
  domains.push_back(domain);
  std::sort(domains.begin(), domains.end());
  const auto distinct = std::unique(domains.begin(), domains.end()) - domains.begin();
  return static_cast<uint64_t>(distinct) <= *offered.recipient_domains_max;
}

void Delivery::OnOutboundContentWanted(OutboundConnection&) {
  WantContent();
}

void Delivery::WantContent() {
  if (in_transaction_ && !reading_content_ && !content_ended_) {
    reading_content_ = true;
    reader_.NextContent();
  }
}

void Delivery::OnContent(ReadOutcome outcome, Bytes content) {
  reading_content_ = false;
  if (closed_ || !in_transaction_) {
    return;
  }
  if (connection_.session().phase() != ClientSession::Phase::kContent) {
    return;  // the primary answered before the end: the session has dealt with it
  }
  if (outcome != ReadOutcome::kOk) {
    in_transaction_ = false;
    home_.OnUnreadable(TakeAttempt(), outcome);
    connection_.AbortContent();
    return;
  }
  if (content.empty()) {
    content_ended_ = true;
    connection_.EndContent();
    return;
  }
  connection_.WriteContent(content);
  if (connection_.unsent_bytes() < kUnsentBytesMax) {
    WantContent();
  }
}

void Delivery::EndAttempt() {
  in_transaction_ = false;
  reader_.Close();
  const AttemptReport report{.envelope = envelope_,
                             .recipients = recipients_,
                             .domains = recipient_domains_,
                             .outcomes = connection_.session().outcomes(),
                             .arrival = arrival_,
                             .relay = connection_.address(),
                             .relay_name = connection_.host_name(),
                             .tls = connection_.tls_protocol(),
                             .connection = number_,
                             .connecting = std::exchange(connecting_, absl::ZeroDuration()),
                             .transmitting = io_.Now() - began_};
  home_.OnOutcomes(TakeAttempt(), report);
}

Attempt Delivery::TakeAttempt() {
  const Attempt attempt = *attempt_;
  attempt_.reset();
  return attempt;
}

void Delivery::OnOutboundClosed(OutboundConnection&) {
  closed_ = true;
  was_attempting_ = attempt_.has_value();
  if (in_transaction_) {
    EndAttempt();
  } else if (attempt_.has_value()) {
    reader_.Close();
    home_.OnNotStarted(TakeAttempt());
  }
  home_.OnDeliveryClosed(*this);
}

}  // namespace backstay
