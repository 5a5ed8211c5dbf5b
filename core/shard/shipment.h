// core/shard/shipment.h -- one message on its way out: the attempt, its envelope, who is tried.
//
// Life:   Open() reads the head (OnShipmentRead); Select() says who is to be tried at that moment;
//         WantContent() for each piece; Close() gives the attempt back. Then it may be opened
//         again, as soon as it is not busy any more.
// Owns:   a reader; the envelope of the message until the next Open().
// Turn:   events come in a later turn than what asked for them.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/functional/function_ref.h"
#include "core/shard/attempt.h"
#include "core/smtp/primary_extensions.h"
#include "spool/message_reader.h"

namespace backstay {

class Shipment;

class ShipmentEvents {
 public:
  // outcome() says whether the head could be read.
  virtual void OnShipmentRead(Shipment& shipment) = 0;
  // As MessageReaderEvents.
  virtual void OnShipmentContent(Shipment& shipment, ReadOutcome outcome, Bytes content) = 0;

 protected:
  ~ShipmentEvents() = default;
};

class Shipment final : private MessageReaderEvents {
 public:
  using IsEligible = absl::FunctionRef<bool(uint32_t recipient, DomainId domain)>;

  Shipment(Spool& spool, ShipmentEvents& events);

  void Open(const Attempt& attempt);
  Attempt Close();
  bool is_open() const { return attempt_.has_value(); }
  // A read is in flight that nobody waits for any more.
  bool is_busy() const { return !is_open() && reader_.busy(); }
  bool idle() const { return !reader_.busy(); }
  bool is_read() const { return is_open() && is_read_; }
  ReadOutcome outcome() const { return outcome_; }
  Attempt& attempt() { return *attempt_; }

  // Who is to be tried now, as many as one transaction takes; false: nobody. With is_read() only.
  bool Select(const PrimaryExtensions& offered, IsEligible is_eligible);
  // The first that the next transaction is for, if there has to be one.
  std::optional<uint32_t> more_from() const { return more_from_; }
  const std::vector<uint32_t>& recipients() const { return recipients_; }
  const std::vector<DomainId>& domains() const { return domains_; }  // parallel
  const Envelope& envelope() const { return envelope_; }
  SpoolTime arrival() const { return arrival_; }
  uint64_t content_bytes() const { return reader_.head().content_bytes; }
  bool has_dot_lines() const;

  // The next piece, unless it was asked for already or the last one is here.
  void WantContent();

 private:
  void OnHead(ReadOutcome outcome) override;
  void OnContent(ReadOutcome outcome, Bytes content) override;
  bool FitsTransaction(const PrimaryExtensions& offered, DomainId domain) const;

  Spool& spool_;
  ShipmentEvents& events_;
  MessageReader reader_;
  std::optional<Attempt> attempt_;
  bool is_read_ = false;
  ReadOutcome outcome_ = ReadOutcome::kOk;
  Envelope envelope_;
  SpoolTime arrival_;
  std::vector<uint32_t> recipients_;
  std::vector<DomainId> domains_;
  std::optional<uint32_t> more_from_;
  bool is_reading_content_ = false;
  bool content_ended_ = false;
};

}  // namespace backstay
