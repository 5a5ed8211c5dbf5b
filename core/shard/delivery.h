// core/shard/delivery.h -- one connection to a primary and the attempts made on it, one after
// another.
//
// An attempt is one message to its eligible recipients of one route. The route says which message
// is next and hears how each recipient fared; the delivery moves envelope and content.
//
// Life:     Connect(); then it asks Route::NextAttempt() whenever it is free.
//           Route::OnDeliveryClosed is the last event; it may then be destroyed, not from inside
//           that call.
// Owns:     the connection, a reader, the envelope of the current message.
// Turn:     one step an event; never waits.
// See:      ARCHITECTURE.md step 11; DESIGN 8.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "core/shard/attempt.h"
#include "core/shard/outbound.h"
#include "spool/message_reader.h"

namespace backstay {

class Delivery;

// What a delivery asks of its route.
class DeliveryHome {
 public:
  // The next message to attempt; nothing: the connection should end.
  virtual std::optional<Attempt> NextAttempt() = 0;
  // Whether this recipient is to be tried now.
  virtual bool Eligible(const Attempt& attempt, uint32_t recipient, DomainId domain) = 0;
  // The message cannot be read (again): damaged, or the device failed.
  virtual void OnUnreadable(const Attempt& attempt, ReadOutcome outcome) = 0;
  // The connection ended before the message was begun: nobody was tried.
  virtual void OnNotStarted(const Attempt& attempt) = 0;
  // Nobody was eligible any more.
  virtual void OnNothingToDo(const Attempt& attempt) = 0;
  virtual void OnOutcomes(const Attempt& attempt, const AttemptReport& report) = 0;
  // More recipients are eligible than one transaction takes.
  virtual void OnMoreRecipients(const Attempt& attempt, uint32_t from_recipient) = 0;
  // The primary answered EHLO.
  virtual void OnDeliveryGreeted(Delivery& delivery) = 0;
  virtual void OnDeliveryClosed(Delivery& delivery) = 0;

 protected:
  ~DeliveryHome() = default;
};

class Delivery final : public ListNode, private OutboundEvents, private MessageReaderEvents {
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
  // The connection ended in the middle of an attempt.
  bool was_attempting() const { return was_attempting_; }
  // A message is being sent or read.
  bool attempting() const { return attempt_.has_value(); }
  // It could take a message now.
  bool resting() const { return connection_.ready() && !attempt_.has_value(); }
  const OutboundConnection& connection() const { return connection_; }
  // Safe to destroy: the connection is closed and the reader has no operation in flight.
  bool finished() const { return closed_ && !reader_.busy(); }

 private:
  void OnOutboundReady(OutboundConnection& connection) override;
  void OnOutboundContentWanted(OutboundConnection& connection) override;
  void OnOutboundClosed(OutboundConnection& connection) override;
  void OnHead(ReadOutcome outcome) override;
  void OnContent(ReadOutcome outcome, Bytes content) override;
  bool Select();
  bool FitsTransaction(DomainId domain) const;
  void StartNext();
  void EndAttempt();
  void WantContent();
  Attempt TakeAttempt();

  const Io& io_;
  Spool& spool_;
  DeliveryHome& home_;
  const uint64_t number_;
  Instant began_;              // the connection, then each transaction
  absl::Duration connecting_;  // of the first transaction
  OutboundConnection connection_;
  MessageReader reader_;
  std::optional<Attempt> attempt_;
  Envelope envelope_;
  std::vector<uint32_t> recipients_;         // of this transaction
  std::vector<DomainId> recipient_domains_;  // parallel
  SpoolTime arrival_;
  bool in_transaction_ = false;
  bool reading_content_ = false;
  bool content_ended_ = false;
  bool greeted_ = false;
  bool stopping_ = false;
  bool was_attempting_ = false;
  bool closed_ = false;
};

}  // namespace backstay
