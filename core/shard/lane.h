// core/shard/lane.h -- mail of some domains that goes one way: its queue on this shard, and what
// becomes of each recipient.
//
// Where the mail goes, and when, is its heir's: a Route has one primary, the ReportLane all the
// world. What an attempt ended with becomes a record here, whoever made it.
//
// Life:  as long as the shard.
// Owns:  the queue of positions, counts, settles that are not safe yet.
// See:   DESIGN 6.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/base/list.h"
#include "core/queue/retry_policy.h"
#include "core/queue/shared_counts.h"
#include "core/queue/timer_wheel.h"
#include "core/shard/attempt.h"
#include "core/shard/event_log.h"
#include "core/shard/inbox.h"
#include "core/shard/recipient_clerk.h"
#include "core/shard/reporter.h"
#include "core/shard/route_queue.h"
#include "io/io.h"
#include "io/stream.h"
#include "spool/message_reader.h"
#include "spool/spool.h"

namespace backstay {

// What the lanes of a shard share. All outlive them.
struct ShardParts {
  Io& io;
  TimerWheel& wheel;
  Outbox& outbox;
  List<PendingHandshake>& handshakes;
  Spool& spool;
  PostOffice& post;
  EventLog& log;
  RecipientClerk& recipients;
  Reporter& reporter;
  SharedCounts& shared;
  size_t index;
};

struct RouteCounters {
  uint64_t delivered = 0;  // recipients, also those of whom a report is owed
  uint64_t deferred = 0;
  uint64_t failed = 0;
  uint64_t discarded = 0;
};

class Lane;

class LaneHome {
 public:
  // Put it on the list of lanes that Dispatch() looks at.
  virtual void WantDispatch(Lane& lane) = 0;
  // OnSettlesDecided(), once.
  virtual void WaitForSettles(Lane& lane) = 0;
  virtual const RetryPolicy& PolicyOf(DomainId domain) const = 0;
  // From when its schedule and age count.
  virtual RetryOrigin CountsFrom(MessageRef message, DomainId domain) const = 0;
  // Of all lanes of the shard; called by a lane's constructor, and there when its home's begins.
  virtual DeferralRoom& deferral_room() = 0;
  // True: there is room again.
  virtual bool MakeDeferralRoom() = 0;

 protected:
  ~LaneHome() = default;
};

class Lane : public ListNode {
 public:
  Lane(const ShardParts& parts, LaneHome& home)
      : parts_(parts), queue_(parts.spool, home.deferral_room()), lane_home_(home) {}
  Lane(const Lane&) = delete;
  Lane& operator=(const Lane&) = delete;
  virtual ~Lane() = default;

  void AddDomain(DomainId domain);
  virtual void RemoveDomain(DomainId domain) { queue_.RemoveDomain(domain); }
  // The domain goes to another lane: what is under way for it here, the heir meets when that has
  // ended, or it would be delivered twice.
  void HandOver(DomainId domain, Lane& heir);
  void OnLiveMessage(DomainId domain, MessageRef message);
  void OnRecoveredDeferral(MessageRef message, uint32_t recipient, Bytes note);
  // A reset or a release: what was waiting is due.
  virtual void RestartDomain(DomainId domain);
  void OnSettlesDecided();
  // Starts what may start.
  virtual void Dispatch() = 0;

  const RouteQueue& queue() const { return queue_; }
  void DropStrayDeferrals() { queue_.DropStrayDeferrals(); }
  const RouteCounters& counters() const { return counters_; }
  const std::string& last_reason() const { return last_reason_; }
  // Its time is over, and an attempt of its own or of all failed then (DESIGN 6). A recipient whose
  // first own 4xx came late has more time than its message.
  virtual bool MayGiveUp(MessageRef message, uint32_t recipient, const RetryOrigin& origin,
                         DomainId domain) const;
  // Its time is over: forgets what is known of it and returns that as the note for its DSN.
  std::string OnExpired(MessageRef message, uint32_t recipient, SettleKind kind);

 protected:
  // A refusal that may be one of many waits so long for the others.
  static constexpr absl::Duration kDoubtFor = absl::Minutes(1);

  void WantDispatch() { lane_home_.WantDispatch(*this); }
  // What was under way is over, or is to be taken up again.
  void Release(MessageRef message);
  void GiveBack(const Attempt& attempt);
  const RetryPolicy& PolicyOf(DomainId domain) const { return lane_home_.PolicyOf(domain); }
  RetryOrigin CountsFrom(MessageRef message, DomainId domain) const {
    return lane_home_.CountsFrom(message, domain);
  }
  // A crash would repeat fewer deliveries than so many; else Dispatch() comes when that is so.
  bool HasRoomForSettles(size_t deliveries_max);
  bool waits_for_settles() const { return waits_for_settles_; }
  // Null as well for one that is older than the last reset.
  const Deferral* DeferralOf(MessageRef message, uint32_t recipient,
                             const RetryOrigin& origin) const;
  // Null: nothing is known of this recipient, which may be for want of room.
  SpoolTime RefusedSince(const Deferral* before, SpoolTime now) const;
  // The content was on its way when the connection broke.
  static bool IsLostInContent(const Outcome& outcome);
  // Of a message that cannot be read (again): stays queued, or is quarantined.
  void SetAside(MessageRef message, ReadOutcome outcome);
  // One recipient's verdict becomes a record: over, or later. `hold_off`: so long a refusal is not
  // final.
  void Settle(const Attempt& attempt, const AttemptReport& report, size_t position);
  void Defer(const Attempt& attempt, const AttemptReport& report, size_t position,
             absl::Duration hold_off);

  const ShardParts parts_;
  RouteQueue queue_;
  RouteCounters counters_;
  SpoolTime last_failure_;  // of an attempt or a probe that speaks for all of its mail
  std::string last_reason_;
  Alarm<&Lane::WantDispatch> alarm_{this};  // the heir's to set

 private:
  bool IsStillLive(MessageRef message, uint32_t recipient) const;
  std::string DebtNote(const AttemptReport& report, size_t position, bool is_relayed) const;
  void Log(EventKind kind, const Attempt& attempt, const AttemptReport& report, size_t position);

  void TellHeirs(MessageRef message);

  LaneHome& lane_home_;
  std::vector<std::pair<MessageRef, Lane*>> heirs_;  // and what they wait for
  // Deliveries that a crash would repeat: places of their settles in the spool's order.
  std::deque<uint64_t> settles_;
  bool waits_for_settles_ = false;
};

}  // namespace backstay
