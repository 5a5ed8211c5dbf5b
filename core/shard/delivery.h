// core/shard/delivery.h -- one connection to a primary and the attempts made on it, one after
// another.
//
// An attempt is one message to its eligible recipients of one route. The route says which message
// is next and hears how each recipient fared; the delivery moves envelope and content.
//
// Where the primary pipelines and all connections are busy, the next message is read while one is
// sent, and its commands leave behind the end of data of the first (chained): one round trip a
// message instead of two. Until then it is only lent: what was ordered of it meanwhile counts when
// its commands leave, and a connection that ends gives it back untried. All that is unusual about
// it (unreadable, nobody's turn, another client's) waits until it is alone.
//
// Life:     Connect(); then it asks DeliveryHome::NextAttempt() whenever it is free.
//           DeliveryHome::OnDeliveryClosed is the last event; it may then be destroyed, not from
//           inside that call.
// Owns:     the connection, the message that is sent and the one behind it.
// Turn:     one step an event; never waits.
// See:      ARCHITECTURE.md step 10; DESIGN 8.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "core/shard/attempt.h"
#include "core/shard/outbound.h"
#include "core/shard/shipment.h"

namespace backstay {

class Delivery;

// What a delivery asks of its route.
class DeliveryHome {
 public:
  // The next message to attempt; it is begun. Nothing: the connection should end.
  virtual std::optional<Attempt> NextAttempt() = 0;
  // A message to be read while another is sent; it is not begun. Nothing: there is none, or it had
  // better take another connection.
  virtual std::optional<Attempt> NextAhead() = 0;
  // Whether it may follow the one that is under way, with no look at how that one fares.
  virtual bool MayChain() = 0;
  // The message that was read ahead is begun on a connection that is free. False: not now.
  virtual bool Begin(Attempt& attempt) = 0;
  // It followed another one, which has ended: it is under way.
  virtual void OnFollowed(Attempt& attempt) = 0;
  // Or it will not be.
  virtual void OnNotBegun(const Attempt& attempt) = 0;
  // Whether this recipient is to be tried now.
  virtual bool Eligible(const Attempt& attempt, uint32_t recipient, DomainId domain) = 0;
  // The message cannot be read (again): damaged, or the device failed.
  virtual void OnUnreadable(const Attempt& attempt, ReadOutcome outcome) = 0;
  // The connection ended before the message was begun: nobody was tried.
  virtual void OnNotStarted(const Attempt& attempt) = 0;
  // Nobody was eligible any more.
  virtual void OnNothingToDo(const Attempt& attempt) = 0;
  virtual void OnOutcomes(const Attempt& attempt, const AttemptReport& report) = 0;
  // The primary answered EHLO.
  virtual void OnDeliveryGreeted(Delivery& delivery) = 0;
  virtual void OnDeliveryClosed(Delivery& delivery) = 0;

 protected:
  ~DeliveryHome() = default;
};

class Delivery final : public ListNode, private OutboundEvents, private ShipmentEvents {
 public:
  // `number`: of the connection, in the log.
  Delivery(const OutboundParts& parts, Spool& spool, std::string_view hostname, uint64_t number,
           DeliveryHome& home);

  void Connect(const PrimaryHost& to);
  // If it is idle: look for work again.
  void Poke();
  // Ends it: at once when idle, else after the current attempt (or now).
  void Stop(bool now_too);
  // The owner has waited long enough, as if a deadline had passed.
  void TimeOut() { connection_.TimeOut(); }
  // No further attempts; an idle connection says QUIT.
  void StopWhenIdle() { Stop(/*now_too=*/false); }
  bool stopping() const { return stopping_; }
  // As StopWhenIdle: another shard is to have one instead.
  void Yield();
  bool yielding() const { return yielding_; }
  // As StopWhenIdle, and nobody waits for its end: it may hang.
  void LeaveBehind();
  bool left_behind() const { return left_behind_; }
  // The connection ended in the middle of an attempt.
  bool was_attempting() const { return was_attempting_; }
  // A message is being sent or read.
  bool attempting() const { return current_->is_open() || ahead_->is_open(); }
  // It could take a message now.
  bool resting() const { return connection_.ready() && !attempting(); }
  const OutboundConnection& connection() const { return connection_; }
  // Safe to destroy: the connection is closed and the reader has no operation in flight.
  bool finished() const { return closed_ && current_->idle() && ahead_->idle(); }

 private:
  void OnOutboundReady(OutboundConnection& connection) override;
  void OnOutboundEnded(OutboundConnection& connection) override;
  void OnOutboundContentWanted(OutboundConnection& connection) override;
  void OnOutboundClosed(OutboundConnection& connection) override;
  void OnShipmentRead(Shipment& shipment) override;
  void OnShipmentContent(Shipment& shipment, ReadOutcome outcome, Bytes content) override;
  bool Select(Shipment& shipment);
  void StartNext();
  void TakeOver();
  void Begin();
  void LookAhead();
  void ChainAhead();
  void GiveBackAhead();
  void WantContent();
  void EndAttempt(const std::vector<Outcome>& outcomes);

  const Io& io_;
  DeliveryHome& home_;
  const uint64_t number_;
  Instant began_;              // the connection, then each transaction
  absl::Duration connecting_;  // of the first transaction
  OutboundConnection connection_;
  Shipment shipments_[2];
  Shipment* current_ = &shipments_[0];
  Shipment* ahead_ = &shipments_[1];  // read while current_ is sent
  bool in_transaction_ = false;       // current_
  bool content_waits_ = false;        // of current_, until ahead_ is read
  bool is_chained_ = false;           // current_ was
  bool chained_ = false;              // the commands of ahead_ have left
  bool greeted_ = false;
  bool stopping_ = false;
  bool yielding_ = false;     // only if stopping_
  bool left_behind_ = false;  // only if stopping_
  bool was_attempting_ = false;
  bool closed_ = false;
};

}  // namespace backstay
