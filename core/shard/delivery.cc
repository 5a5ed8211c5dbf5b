// core/shard/delivery.cc -- sends a message, reads the next one meanwhile.
#include "core/shard/delivery.h"

#include <utility>

#include "core/base/mark.h"

namespace backstay {
namespace {

// Content on its way to the socket; enough to keep it busy while the next piece is read.
constexpr size_t kUnsentBytesMax = 64_KiB;

}  // namespace

Delivery::Delivery(const OutboundParts& parts, Spool& spool, std::string_view hostname,
                   uint64_t number, DeliveryHome& home)
    : io_(parts.io),
      home_(home),
      number_(number),
      connection_(parts, hostname, *this),
      shipments_{{spool, *this}, {spool, *this}} {}

void Delivery::Connect(const PrimaryHost& to) {
  began_ = io_.Now();
  connection_.Connect(to);
}

void Delivery::Poke() {
  if (connection_.ready() && !attempting()) {
    StartNext();
  }
}

void Delivery::Stop(bool now_too) {
  stopping_ = true;
  if (now_too) {
    connection_.Close();
  } else if (!attempting()) {
    connection_.Quit();
  }
}

void Delivery::Yield() {
  yielding_ = true;
  StopWhenIdle();
}

void Delivery::LeaveBehind() {
  left_behind_ = true;
  StopWhenIdle();
}

void Delivery::OnOutboundReady(OutboundConnection&) {
  if (!greeted_) {
    greeted_ = true;
    connecting_ = io_.Now() - began_;
    home_.OnDeliveryGreeted(*this);
  }
  if (in_transaction_) {
    EndAttempt(connection_.session().outcomes());
  }
  StartNext();
}

void Delivery::StartNext() {
  if (stopping_ || !connection_.ready() || connection_.session().exhausted()) {
    GiveBackAhead();
    connection_.Quit();
    return;
  }
  if (ahead_->is_open()) {
    TakeOver();
    return;
  }
  if (current_->is_busy()) {
    return;  // a read that nobody waits for any more; Poke() comes back
  }
  const std::optional<Attempt> attempt = home_.NextAttempt();
  if (attempt.has_value()) {  // else idle: the connection says QUIT after a while
    current_->Open(*attempt);
  }
}

// What was read ahead and could not be chained.
void Delivery::TakeOver() {
  if (!home_.Begin(ahead_->attempt())) {
    MARK("read_ahead_in_vain");
    GiveBackAhead();
    return;
  }
  std::swap(current_, ahead_);
  if (current_->is_read()) {
    Begin();
  }
}

void Delivery::GiveBackAhead() {
  if (ahead_->is_open()) {
    home_.OnNotBegun(ahead_->Close());
  }
}

void Delivery::OnShipmentRead(Shipment& shipment) {
  if (&shipment == current_) {
    Begin();
  } else if (std::exchange(content_waits_, false)) {
    current_->WantContent();
  } else {
    ChainAhead();
  }
}

// The message is read, and the connection is free for it.
void Delivery::Begin() {
  if (current_->outcome() != ReadOutcome::kOk) {
    const ReadOutcome outcome = current_->outcome();
    home_.OnUnreadable(current_->Close(), outcome);
    StartNext();
    return;
  }
  if (!Select(*current_)) {
    home_.OnNothingToDo(current_->Close());
    StartNext();
    return;
  }
  if (!connection_.ready()) {  // the primary closed while we read: nothing was tried
    return;                    // OnOutboundClosed gives the attempt back
  }
  if (!connection_.session().Takes(current_->envelope())) {
    MARK("session_of_another_client");
    home_.OnNotStarted(current_->Close());
    connection_.Quit();
    return;
  }
  in_transaction_ = true;
  began_ = io_.Now();
  connection_.StartTransaction(current_->envelope(), current_->recipients(),
                               current_->content_bytes(), current_->has_dot_lines());
  if (connection_.session().phase() == ClientSession::Phase::kReady) {
    MARK("transaction_over_before_it_began");  // too large for its SIZE, or needs what it lacks
    EndAttempt(connection_.session().outcomes());
    StartNext();
    return;
  }
  LookAhead();
}

bool Delivery::Select(Shipment& shipment) {
  return shipment.Select(connection_.session().extensions(),
                         [&](uint32_t recipient, DomainId domain) {
                           return home_.Eligible(shipment.attempt(), recipient, domain);
                         });
}

// ---- the message behind ----

void Delivery::LookAhead() {
  const ClientSession& session = connection_.session();
  if (stopping_ || ahead_->is_open() || ahead_->is_busy() || !session.extensions().pipelining ||
      session.exhausted()) {
    return;
  }
  const std::optional<Attempt> attempt = home_.NextAhead();
  if (attempt.has_value()) {
    ahead_->Open(*attempt);
  }
}

// From the end of the content to its reply.
void Delivery::ChainAhead() {
  if (!in_transaction_ || chained_ || stopping_ || !ahead_->is_read() ||
      ahead_->outcome() != ReadOutcome::kOk ||
      connection_.session().phase() != ClientSession::Phase::kFinal || !home_.MayChain() ||
      !Select(*ahead_)) {
    return;
  }
  chained_ = connection_.Chain(ahead_->envelope(), ahead_->recipients(), ahead_->content_bytes(),
                               ahead_->has_dot_lines());
}

void Delivery::OnOutboundEnded(OutboundConnection&) {
  EndAttempt(connection_.session().outcomes_before());
  home_.OnFollowed(ahead_->attempt());
  std::swap(current_, ahead_);
  in_transaction_ = is_chained_ = std::exchange(chained_, false);
  began_ = io_.Now();
  LookAhead();
}

// ---- content ----

void Delivery::OnOutboundContentWanted(OutboundConnection&) {
  if (in_transaction_) {
    LookAhead();
    WantContent();
  }
}

// The message behind is read first, usually within a turn: its commands then leave in one piece
// with this content.
void Delivery::WantContent() {
  content_waits_ = ahead_->is_open() && !ahead_->is_read();
  if (!content_waits_) {
    current_->WantContent();
  }
}

void Delivery::OnShipmentContent(Shipment& shipment, ReadOutcome outcome, Bytes content) {
  if (&shipment != current_ || !in_transaction_) {
    return;
  }
  if (connection_.session().phase() != ClientSession::Phase::kContent) {
    return;  // the primary answered before the end: the session has dealt with it
  }
  if (outcome != ReadOutcome::kOk) {
    in_transaction_ = false;
    home_.OnUnreadable(current_->Close(), outcome);
    connection_.AbortContent();
    return;
  }
  if (content.empty()) {
    connection_.EndContent();
    ChainAhead();
    return;
  }
  connection_.WriteContent(content);
  if (connection_.unsent_bytes() < kUnsentBytesMax) {
    WantContent();
  }
}

void Delivery::EndAttempt(const std::vector<Outcome>& outcomes) {
  in_transaction_ = false;
  const AttemptReport report{.envelope = current_->envelope(),
                             .recipients = current_->recipients(),
                             .domains = current_->domains(),
                             .outcomes = outcomes,
                             .more_from = current_->more_from(),
                             .is_chained = std::exchange(is_chained_, false),
                             .offers_dsn = connection_.session().extensions().dsn,
                             .arrival = current_->arrival(),
                             .relay = connection_.address(),
                             .relay_name = connection_.host_name(),
                             .tls = connection_.tls_protocol(),
                             .connection = number_,
                             .connecting = std::exchange(connecting_, absl::ZeroDuration()),
                             .transmitting = io_.Now() - began_};
  home_.OnOutcomes(current_->Close(), report);
}

void Delivery::OnOutboundClosed(OutboundConnection&) {
  closed_ = true;
  was_attempting_ = attempting();
  GiveBackAhead();
  if (in_transaction_) {
    const ClientSession& session = connection_.session();
    EndAttempt(chained_ ? session.outcomes_before() : session.outcomes());
  } else if (current_->is_open()) {
    home_.OnNotStarted(current_->Close());
  }
  home_.OnDeliveryClosed(*this);
}

}  // namespace backstay
