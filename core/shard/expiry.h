// core/shard/expiry.h -- gives up on mail whose time is over: each message by its own age.
//
// Every minute it looks at the oldest message of each domain. In one domain of one shard the log's
// order is the order of age, so the first one that is not over ends the look. Giving up needs one
// real failed attempt or probe at or after the end (DESIGN 6); until the DSN exists, the recipients
// stay as dsn pending, and those of a null reverse-path are discarded by rule. With
// `on_expiry = "hold"` nothing is given up by age: it is parked (core/shard/parking.h). No more is
// given up than senders may be told of (Reporter::IsFull), oldest first; the rest stays queued.
//
// Owns:  one reader: one message at a time.
// Turn:  events come from the wheel and from Io::Turn.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "core/queue/timer_wheel.h"
#include "core/shard/expiry_watch.h"
#include "core/shard/parking.h"
#include "core/shard/route_table.h"
#include "io/io.h"
#include "spool/message_reader.h"
#include "spool/spool.h"

namespace backstay {

class Expiry : private MessageReaderEvents {
 public:
  Expiry(Io& io, TimerWheel& wheel, Spool& spool, RouteTable& routes, Reporter& reporter,
         EventLog& log, const ExpiryWatch::Place& place);

  void Start();
  // A rule gives mail up: not in a minute but now.
  void LookNow();
  void Stop();
  void OnAhead(const ShardMessage& message) { watch_.OnAhead(message); }
  bool idle() const { return !reader_.busy(); }
  uint64_t expired() const { return expired_; }  // recipients

 private:
  void OnHead(ReadOutcome outcome) override;
  void OnContent(ReadOutcome outcome, Bytes content) override;
  void OnMinute();
  void Look();
  void SetClock();
  void Begin();
  void Continue();
  void Read(MessageRef message);
  // Messages that are given up by a rule of their own come first, whatever their age.
  std::optional<MessageRef> NextOrdered();
  // The first message of the domain behind `after_` that is old enough to be looked at.
  std::optional<MessageRef> NextOld(DomainId domain);
  void ParkIfHeld(DomainId domain);
  bool IsOver(MessageRef message, uint32_t recipient) const;
  bool IsOverForSome(MessageRef message, std::optional<DomainId> domain) const;
  void SettleExpired();
  void LogExpired(const std::vector<RecipientSettle>& settles);

  Io& io_;
  TimerWheel& wheel_;
  Spool& spool_;
  RouteTable& routes_;
  Reporter& reporter_;
  EventLog& log_;
  Parking parking_;
  ExpiryWatch watch_;
  MessageReader reader_;
  Alarm<&Expiry::OnMinute> clock_{this};
  bool stopped_ = true;
  bool looks_at_ordered_ = false;  // before the domains
  // Indexes into routes_.domains(): with whom this look began, and how many it is done with. When
  // senders have been told as much as they may, the next look begins with another domain.
  size_t first_domain_ = 0;
  size_t looked_at_ = 0;
  std::optional<MessageRef> after_;  // in that domain
  std::optional<MessageRef> reading_;
  bool look_again_ = false;  // a rule came while looking
  bool look_soon_ = false;   // there is more than one turn may do
  bool is_paused_ = false;   // in the middle of a look
  bool is_soon_ = false;     // the clock stands for that, not for a minute
  uint64_t expired_ = 0;
};

}  // namespace backstay
