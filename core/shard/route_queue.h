// core/shard/route_queue.h -- which message of one route is next. Positions, not messages, are
// kept.
//
// Attempts that were given back come first; then each domain's log from its cursor on, and among
// them, one of eight, recipients whose own deferral is due (limbo). While a backlog is worked off
// after an outage what arrives meanwhile takes turns with it. A message is never handed out twice
// at the same time.
//
// Owns:  cursors, the list of attempts given back (bounded by the connections), deferrals
//        (bounded, together with those of the shard's other routes).
// Turn:  pure but for reading the spool's index; `now` is an argument.
// See:   DESIGN 6 "Recovery overrides every due time", "Limbo".
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "core/queue/deferral_table.h"
#include "core/shard/attempt.h"
#include "spool/spool.h"

namespace backstay {

class RouteQueue {
 public:
  RouteQueue(const Spool& spool, DeferralRoom& room);

  // A domain's mail goes this way from now on; its cursor starts at the oldest message.
  void AddDomain(DomainId domain);
  void RemoveDomain(DomainId domain);
  bool HasDomain(DomainId domain) const;
  // A message of this domain is in the queue: a new one, or the oldest of those that recovery found
  // while newer ones went out.
  void OnLive(DomainId domain, MessageRef message);
  // Everything queued is eligible at once, whatever is due when: the destination is back.
  void Restart();
  // The same for one domain, by rule: its deferrals are void where the spool says so.
  void RestartDomain(DomainId domain);
  // In the pass that goes on now messages that the primary has only refused come after all others.
  void PutRefusedLast(DomainId domain);

  bool HasWork(SpoolTime now);
  std::optional<Attempt> Take(SpoolTime now);
  // One that the owner has kept since it was taken, and that is not in flight.
  void Claim(MessageRef message);
  // Not begun, or to be continued from a later recipient: comes first again.
  void GiveBack(const Attempt& attempt);
  // The message is not in flight any more.
  void Release(MessageRef message);
  // Another lane has it in hand, for a domain that is ours now; once for each such lane and domain.
  void Wait(MessageRef message) { elsewhere_.push_back(message); }
  void EndWait(MessageRef message);
  // In flight now: it has its turn when it is not.
  void MeetAgain(MessageRef message);
  // Here, or elsewhere.
  bool in_flight(MessageRef message) const;
  const std::vector<MessageRef>& under_way() const { return in_flight_; }  // here
  // Nothing is due before this, apart from what HasWork() says now.
  SpoolTime NextDue() const;

  // Whether this recipient may be tried as part of `attempt`.
  bool Eligible(const Attempt& attempt, uint32_t recipient, DomainId domain, SpoolTime now) const;
  // Some recipient that nothing says of when it is due: it is met again by a new pass, not sooner
  // than in 10 minutes.
  void AfterOverflow(SpoolTime now);
  // The same for one that was deferred, or refused and not for good yet, and found no room.
  void NoteUnlisted(bool is_refused, SpoolTime now);
  // For one that has no entry and is refused now: since when refusals count. Since the destination
  // is back the first without an entry speaks for all of them, or none would ever be final.
  SpoolTime RefusedUnlistedSince(SpoolTime now) const;
  // All that wait because they found no room have been tried at or after this; 0: not known.
  SpoolTime UnlistedTriedSince() const;

  // Entries of recipients that ended by another way, or are another lane's now: a walk over all.
  void DropStrayDeferrals();
  // What was refused without an entry counts from now on: the primary is another one.
  void ForgetUnlistedRefusals() { refused_unlisted_ = SpoolTime(); }

  DeferralTable& deferrals() { return deferrals_; }
  const DeferralTable& deferrals() const { return deferrals_; }

 private:
  struct Cursor {
    std::optional<MessageRef> after;
    bool active = false;     // there may be something behind it
    bool is_backlog = true;  // it goes through what was there before it began
    // What arrived since the pass began, while there is older mail to be tried.
    std::optional<MessageRef> fresh_from;
    std::optional<MessageRef> fresh_after;
    bool fresh_turn = false;
    bool puts_refused_last = false;
    std::vector<MessageRef> refused;  // passed over in this pass

    void Rewind() {
      is_backlog = true;
      after.reset();
      fresh_from.reset();
      fresh_after.reset();
      refused.clear();
    }
  };
  struct Found {
    MessageRef message;
    bool is_backlog = false;  // of a recovery pass
  };
  void Activate(DomainId domain);
  void CollectDue(SpoolTime now);
  void StartPass(bool recovery);
  std::deque<MessageRef>::iterator FirstFreeDue();
  std::deque<Attempt>::iterator FirstFreeAgain();
  std::optional<Found> Advance(DomainId domain, Cursor& cursor);
  std::optional<MessageRef> NextOfBacklog(DomainId domain, Cursor& cursor);
  bool IsRefused(DomainId domain, MessageRef message) const;
  void MeetRefused(Cursor& cursor);
  std::optional<Found> NextByCursor();
  bool Peek();
  // HasWork() has found something.
  Attempt TakeFirst();

  const Spool& spool_;
  absl::flat_hash_map<DomainId, Cursor> cursors_;
  std::vector<DomainId> domains_;  // in order of arrival: what passes iterate over
  std::deque<DomainId> active_;    // domains with Cursor::active, taken in turn
  std::deque<Attempt> again_;
  std::deque<MessageRef> due_;  // own deferrals whose time has come
  std::vector<MessageRef> in_flight_;
  std::vector<MessageRef> elsewhere_;
  std::optional<Found> peeked_;  // found by HasWork, not handed out yet
  size_t since_limbo_ = 0;       // messages by a cursor since the last one that was due
  DeferralTable deferrals_;
  bool recovery_pass_ = false;           // only while a pass goes on
  std::optional<SpoolTime> pass_began_;  // the one that goes on
  SpoolTime passed_;                     // when the last whole one began
  SpoolTime limbo_due_ = SpoolTime::Max();
  SpoolTime unlisted_at_;       // the last one that found no room
  SpoolTime refused_unlisted_;  // the first refusal that did, since the destination is back
};

}  // namespace backstay
