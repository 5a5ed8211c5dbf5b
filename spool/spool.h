// spool/spool.h -- one shard's log: append, commit, read, settle, recover, reclaim. Knows no SMTP.
//
// Envelopes, content and deferral notes are opaque bytes. What the spool does know of a message:
// its domains (strings), which recipient belongs to which domain, arrival times, epoch, flags.
//
// Owns:     segments, buffers, the index of live messages.
// Outlives: every MessageWriter and MessageReader on it. `io` and `events` must outlive it.
// Units:    bytes, SpoolTime for ages, WallTime for display.
// Errors:   a failed write or sync fails every message of the batch (CommitResult::kFailed) and
//           abandons the segment, STYLE 30; repeated failure closes intake, never delivery.
// Turn:     CommitTurn() and ReclaimStep() never wait. Events and waiters run from Io::Turn or from
//           CommitTurn, never from inside a call of their owner except where said.
// See:      spool/FORMAT.md; DESIGN 5.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "absl/functional/function_ref.h"
#include "core/base/bytes.h"
#include "core/base/list.h"
#include "core/base/units.h"
#include "io/io.h"
#include "spool/debt.h"
#include "spool/domain_account.h"
#include "spool/queue_id.h"
#include "spool/rule.h"

namespace backstay {

// A domain name interned for the life of the process; on disk it is the string.
enum class DomainId : uint32_t {};

// Names the place of a message's last record inside this shard's log. Order is age.
struct MessageRef {
  uint32_t segment = 0;
  uint32_t block = 0;  // offset / 64
  friend auto operator<=>(const MessageRef&, const MessageRef&) = default;
};

// The last place before this one.
constexpr MessageRef JustBefore(MessageRef place) {
  return place.block > 0 ? MessageRef{place.segment, place.block - 1}
                         : MessageRef{place.segment - 1, UINT32_MAX - 1};
}

// Whether a domain is stopped, and by whom.
enum class DomainStop : uint8_t { kNone, kByOperator, kByBreaker };

// What the rules say of one message and one of its domains.
struct Standing {
  bool is_held = false;
  bool is_parked = false;   // held because its time is over (Spool::Park)
  bool is_expired = false;  // to be given up now, whatever its age
  SpoolTime schedule_from;  // of the newest reset; else long ago
  SpoolTime age_from;
};

struct SpoolOptions {
  uint16_t node = 0;
  uint16_t shard = 0;
  uint64_t segment_bytes = 256_MiB;
  // free space that new mail may not touch; adjusted, not refused
  uint64_t reserve_bytes = 1_GiB;
  size_t shards = 1;                  // that fill the same disk
  size_t part_bytes = 256_KiB;        // content is appended as a part when so much is staged
  size_t staging_bytes_max = 32_MiB;  // beyond it parts are small and Congested() is true
  size_t pending_bytes_max = 16_MiB;  // appended and not yet synced; beyond it Congested() is true
  // A mostly dead segment is emptied when nobody has settled anything in it for so long.
  absl::Duration evacuation_calm = absl::Minutes(1);
};

enum class CommitResult : uint8_t {
  kStored,  // synced: 250 may leave
  kFailed,  // write or sync failed: 451
  kNoSpace  // 452
};

enum class RecipientState : uint8_t;

// A message that is not new: it is written again elsewhere and keeps its place in the queue.
struct MovedFrom {
  MessageRef home;
  SpoolTime arrival;
  std::span<const RecipientState> states;  // of each recipient
};

// A message that is the report of a failure: with it the debts end, in one record.
struct ReportOf {
  MessageRef message;
  std::span<const Debt> debts;  // recipients that are dsn pending
};

// What the owner of a finished message tells the spool when its record is built.
struct MessageDescription {
  Bytes envelope;                               // opaque
  Bytes prefix;                                 // put before the content (our Received field)
  std::span<const std::string_view> domains;    // distinct, lower case
  std::span<const uint16_t> recipient_domains;  // per recipient: index into `domains`
  WallTime arrival_wall;
  uint16_t flags = 0;  // opaque, see MessageFlags of core/shard
  std::optional<MovedFrom> moved = std::nullopt;
  std::optional<ReportOf> report_of = std::nullopt;
  bool is_ours = false;  // a report, made here: generated, not accepted
};

// A message on its way into the log; embedded in the transaction that received it.
class MessageSource {
 public:
  // Called exactly once, when the place of the record is known: either inside Finish() or, when the
  // log had no room yet, in a later turn. The views must live until it returns to the spool's
  // caller.
  virtual MessageDescription Describe(const QueueId& id) = 0;
  // Called exactly once after Finish(), unless the writer was abandoned before.
  virtual void OnCommitted(CommitResult result, MessageRef message) = 0;

 protected:
  ~MessageSource() = default;
};

// Told when Congested() turns false again. Unlinks itself when it dies.
class CongestionWaiter : public ListNode {
 public:
  virtual void OnUncongested() = 0;

 protected:
  ~CongestionWaiter() = default;
};

enum class SettleKind : uint8_t {
  kDelivered = 1,
  // A report is owed, perhaps of a delivery: the recipient stays, as dsn pending, until it is made.
  kFailed = 2,
  // By a written rule: a null reverse-path, a report that nobody wants or takes, a delete.
  kDiscarded = 3,
  kQuarantined = 4  // its content is damaged
};

struct RecipientSettle {
  uint32_t recipient = 0;
  SettleKind kind = SettleKind::kDelivered;
  Bytes detail;  // opaque: for kFailed what the DSN needs
};

class SpoolEvents {
 public:
  // New mail may be taken. Not OK: the spool cannot be used at all.
  virtual void OnSpoolReady(const absl::Status& status) = 0;
  // Everything that was found on disk is in the queue.
  virtual void OnQueueReady() = 0;
  // A live message for this domain is durable. Of those that recovery found, the oldest is told.
  virtual void OnLiveMessage(DomainId domain, MessageRef message) = 0;
  // Recovery found the last deferral note of a live recipient.
  virtual void OnRecoveredDeferral(MessageRef message, uint32_t recipient, DomainId domain,
                                   Bytes note) = 0;
  // Recovery found recipients that are dsn pending; FailureOf may be empty.
  virtual void OnRecoveredFailure(MessageRef message) = 0;
  // SettlesDecided() has grown.
  virtual void OnSettlesDecided() = 0;

 protected:
  ~SpoolEvents() = default;
};

struct SpoolStats {
  uint64_t messages_live = 0;  // with at least one recipient live or dsn pending
  uint64_t recipients_live = 0;
  uint64_t recipients_dsn_pending = 0;
  uint64_t recipients_quarantined = 0;
  uint64_t messages_appended = 0;       // since start, synced
  uint64_t batches = 0;                 // since start
  uint64_t bytes_written = 0;           // since start
  uint64_t syncs = 0;                   // since start, SyncData calls for batches
  uint64_t segments = 0;                // files now
  uint64_t deletions_open = 0;          // rules that were not carried out to their end
  uint64_t messages_moved = 0;          // since start, out of mostly dead segments
  uint64_t spares = 0;                  // files that were segments and will be again
  uint64_t segments_abandoned = 0;      // since start
  uint64_t damaged_records = 0;         // found by recovery or reading
  uint64_t torn_tails = 0;              // found by recovery
  uint64_t recipients_unaccounted = 0;  // found by recovery: taken and lost, or never taken
  uint64_t segments_unreadable = 0;  // the device did not give them to recovery: their mail waits
  uint64_t staged_bytes = 0;         // memory of content that is not yet in the log
};

class Spool {
 public:
  Spool(Io& io, Fd directory, const SpoolOptions& options, SpoolEvents& events);
  ~Spool();  // idle(), or the process is ending / the simulated host crashed
  Spool(const Spool&) = delete;
  Spool& operator=(const Spool&) = delete;

  // Asynchronous; ends in SpoolEvents::OnSpoolReady.
  void Recover();

  // ---- intake ----
  // What a new transaction should be told: kStored: take it; kNoSpace: 452; kFailed: intake is
  // closed after repeated device errors (421).
  CommitResult IntakeState() const;
  // How long a message that comes now will wait for its sync, as far as one can tell.
  absl::Duration CommitDelay() const;
  // True: stop reading content (the owner links a waiter); what is already read may still be
  //       written.
  bool Congested() const;
  void WaitUncongested(CongestionWaiter* waiter);

  // ---- the end of a turn ----
  // Starts a batch if something was appended and none is in flight; otherwise cheap.
  void CommitTurn();
  void ReclaimStep();
  // When CommitTurn must run next although nothing else happens (empty commit after 50 ms, the
  // clock each minute).
  Instant NextDue() const;
  // Writes and syncs everything, then idle() turns true. Intake must have stopped.
  void Close();
  bool idle() const;

  // ---- the queue ----
  SpoolTime Clock() const;  // ages and schedules; runs only while the daemon runs
  DomainId Intern(std::string_view domain);
  std::string_view Name(DomainId domain) const;
  // The oldest live message of `domain` behind `after` (nullopt: from the beginning). Messages
  // whose recipients of that domain are all settled or dsn pending are skipped.
  std::optional<MessageRef> NextLive(DomainId domain, std::optional<MessageRef> after) const;
  uint64_t LiveRecipients(DomainId domain) const;
  // Messages with a live recipient of the domain, and about their bytes.
  uint64_t LiveMessages(DomainId domain) const;
  uint64_t LiveBytes(DomainId domain) const;
  // Live ones, in messages that arrived before `end`. Walks at most one segment's messages.
  uint64_t LiveRecipientsUntil(DomainId domain, SpoolTime end) const;
  SpoolTime Arrival(MessageRef message) const;                   // to the second
  bool IsLive(MessageRef message, uint32_t recipient) const;     // neither settled nor dsn pending
  bool IsPending(MessageRef message, uint32_t recipient) const;  // a DSN is owed
  // The detail of the settle that made it so.
  Bytes FailureOf(MessageRef message, uint32_t recipient) const;
  bool IsOwed(MessageRef message) const;  // a recipient is live or dsn pending
  // What became of the recipients of a domain, and of all, since accounts are kept. Right when the
  // queue is ready, whatever was in between; what a start finds missing is quarantined.
  DomainAccount AccountOf(DomainId domain) const;
  DomainAccount AccountOfAll() const;
  WallTime AccountsSince() const;
  uint32_t Recipients(MessageRef message) const;  // settled ones included
  DomainId DomainOf(MessageRef message, uint32_t recipient) const;
  QueueId Id(MessageRef message) const;

  // Not waited for: a crash may undo it, which costs a duplicate, never a loss. Re-appended by the
  // spool itself when the batch that carried it fails. The recipients must be live, or dsn pending
  // and no kFailed.
  void Settle(MessageRef message, std::span<const RecipientSettle> outcomes);
  // Settles and notes since start, in order: how many were queued, and how many of those a crash
  // cannot undo any more. While the device takes none the second is as the first: delivery goes on
  // and duplicates are the price.
  uint64_t SettlesQueued() const;
  uint64_t SettlesDecided() const;
  // Keeps an opaque note for a live recipient across restarts; the last one counts. With kNotesMax
  // of them a new one is not kept.
  void Defer(MessageRef message, uint32_t recipient, DomainId domain, Bytes note);

  // ---- rules ----
  // In force at once, durable when OutcomesSynced() has reached what SettlesQueued() says then.
  // Returns the recipients that it speaks for: live ones whose messages are acknowledged or on
  // their way to the disk, or lie before `cut` if that is given; of a delete also those that are
  // dsn pending, as it ends what is owed. After OnQueueReady only. At most kRuleBytesMax.
  uint64_t ApplyRule(const Rule& rule, std::optional<MessageRef> cut = std::nullopt);
  // What ApplyRule would return; nothing changes.
  uint64_t CountRule(const Rule& rule);
  // The strict sense of SettlesDecided().
  uint64_t OutcomesSynced() const;
  Standing StandingOf(MessageRef message, DomainId domain) const;
  DomainStop StopOf(DomainId domain) const;
  // A rule for one message that is owed; durable in the same way. Returns how many of its
  // recipients it speaks for, as ApplyRule; nothing: too many messages have a word of their own.
  std::optional<uint64_t> ApplyToMessage(const Rule& rule, MessageRef message);
  // What it would return; nothing changes.
  uint64_t CountInMessage(const Rule& rule, MessageRef message) const;
  // Of the domain up to and with `last`: held, as their time is over. A release or a reset of the
  // age ends it. Those with an order of their own are parked by ApplyToMessage, not by this.
  void Park(DomainId domain, MessageRef last);
  bool HasOwnOrder(MessageRef message) const;
  // Of the domain up to and with `last`: its sender was told that it is late. Durable like a rule;
  // a crash before that forgets it.
  void MarkTold(DomainId domain, MessageRef last);
  MessageRef ToldBefore(DomainId domain) const;
  // Messages that are to be given up by a rule of their own, after `after`.
  std::optional<MessageRef> NextExpired(std::optional<MessageRef> after) const;
  // As NextLive, without those that are held, deleted or to be given up by a rule.
  std::optional<MessageRef> NextDeliverable(DomainId domain, std::optional<MessageRef> after) const;
  // Nothing of the domain at or behind it is held by a rule for the domain; all of it, and what
  // comes, if it is stopped.
  MessageRef HeldBefore(DomainId domain) const;
  // The newest rule, for shards that do not have it; epoch 0: there is none. After OnQueueReady.
  const Rule& LastRule() const;
  // Which domains are stopped, as orders for a shard that missed them, the oldest first. After
  // OnQueueReady.
  std::vector<Rule> Stops() const;
  // Whatever an earlier run stored lies before it: the cut of a rule that this shard missed.
  MessageRef RunStart() const;

  SpoolStats Stats() const;

  class Impl;  // the parts: index, segment_set, group_commit, recovery, reclaim, ...
  Impl& impl() { return *impl_; }

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace backstay
