// spool/spool_impl.h -- the parts of one shard's log and what passes between them.
//
// Life:  Recover, turns, Close, idle. See spool.h for the contract.
#pragma once

#include <memory>

#include "spool/evacuation.h"
#include "spool/group_commit.h"
#include "spool/index.h"
#include "spool/keeper.h"
#include "spool/read_damage.h"
#include "spool/reclaim.h"
#include "spool/recovery.h"
#include "spool/rule_book.h"
#include "spool/segment_roll.h"
#include "spool/space_watch.h"
#include "spool/spool.h"
#include "spool/staging.h"
#include "spool/sweep.h"
#include "spool/tail_scan.h"

namespace backstay {

// Has an event for its owner that must not be told inside the call that caused it.
class LateTeller : public ListNode {
 public:
  virtual void TellLate() = 0;

 protected:
  ~LateTeller() = default;
};

class Spool::Impl final : private CommitEvents,
                          private RollEvents,
                          private CatalogEvents,
                          private CheckpointEvents,
                          private TailScanEvents,
                          private RecoveryEvents {
 public:
  Impl(Io& io, Fd directory, const SpoolOptions& options, SpoolEvents& events);
  ~Impl();
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  // ---- for Spool ----
  void Recover();
  CommitResult IntakeState() const;
  absl::Duration CommitDelay() const { return commit_.Delay(); }
  bool Congested() const;
  void WaitUncongested(CongestionWaiter* waiter) { congestion_waiters_.PushBack(waiter); }
  void CommitTurn();
  void ReclaimStep();
  Instant NextDue() const;
  void Close();
  bool idle() const { return phase_ == Phase::kClosed || phase_ == Phase::kNew; }
  SpoolTime Clock() const;
  void Settle(MessageRef message, std::span<const RecipientSettle> outcomes);
  Bytes NoteOf(MessageRef message, uint32_t recipient) const;
  uint64_t SettlesQueued() const { return commit_.outcomes_queued(); }
  uint64_t SettlesDecided() const;
  void Defer(MessageRef message, uint32_t recipient, DomainId domain, Bytes note);
  uint64_t OutcomesSynced() const { return commit_.outcomes_synced(); }
  uint64_t ApplyRule(const Rule& rule, std::optional<MessageRef> cut);
  void ApplyOwnRule(RuleVerb verb, DomainId domain, MessageRef cut);
  std::optional<uint64_t> ApplyToMessage(const Rule& rule, MessageRef message);
  uint64_t CountInMessage(const Rule& rule, MessageRef message) const;
  std::optional<MessageRef> NextExpired(std::optional<MessageRef> after) const;
  uint64_t CountRule(const Rule& rule) {
    return CountMatches(rule.verb, Frontier(), index_.Intern(rule.domains));
  }
  const RuleBook& rules() const { return rules_; }
  MessageRef run_start() const { return run_start_; }
  std::optional<MessageRef> NextDeliverable(DomainId domain, std::optional<MessageRef> after) const;
  SpoolStats Stats() const;
  Index& index() { return index_; }
  const SpoolOptions& options() const { return options_; }

  // ---- for writers ----
  Staging& staging() { return staging_; }
  SpaceWatch& space() { return space_; }
  GroupCommit& commit() { return commit_; }
  // A record of this payload may be appended now.
  bool MakeRoom(uint64_t payload_bytes);
  // Room kept for what Describe will say, whose size is not known before.
  size_t description_bytes_max() const { return description_bytes_max_; }
  WallTime WallNow() const { return io_.WallNow(); }

  // ---- for readers ----
  Io& io() { return io_; }
  Fd directory() const { return directory_; }
  Segment* BeginRead(uint32_t segment);
  void EndRead(Segment& segment);
  // Its file is there but the device did not give it to recovery.
  bool IsUnreadable(uint32_t segment) const { return segments_.IsUnreadable(segment); }
  ReadDamage& read_damage() { return read_damage_; }
  void TellLate(LateTeller& teller) { late_.PushBack(&teller); }

 private:
  enum class Phase : uint8_t { kNew, kRecovering, kStarting, kReady, kFailed, kClosing, kClosed };

  void OnBatchStored(Batch& batch) override;
  void OnSegmentAbandoned(Segment& segment) override;
  void OnRecordsLost(const Segment& segment, uint64_t from) override;
  void OnBatchFailed(Batch& batch, CommitResult result) override;
  void OnSegmentReady() override;
  void OnRollFailed(IoError error) override;
  void OnCatalogRead(const absl::Status& status) override;
  void OnTailScanned() override;
  void OnCoversFound(uint32_t covers) override;
  void OnCheckpointRead(std::optional<Checkpoint> checkpoint) override;
  void OnRecovered() override;

  bool is_running() const { return phase_ == Phase::kReady || phase_ == Phase::kClosing; }
  // None of the parts has an operation under way.
  bool is_quiet() const {
    return commit_.idle() && !roll_.busy() && !reclaim_.busy() && !keeper_.busy() &&
           !read_damage_.busy() && !evacuation_.busy() && !IsRecovering();
  }
  void EndDebts(Batch& batch, const Batch::Message& message);
  void BecomeReady();
  bool IsRecovering() const { return recovery_ != nullptr; }
  void StartRecovery();
  void EndRecovery();
  void PublishRecovered();
  void BalanceAccounts(bool is_first, bool has_lost);
  void PrepareSegment();
  void OpenPrepared();
  bool IsForSettlesOnly(uint64_t payload_bytes) const;
  void RefuseStuck();
  void TellUncongested();
  void TryToClose();
  void SweepStep();
  uint64_t CountMatches(RuleVerb verb, MessageRef cut, std::span<const DomainId> domains) const;
  template <typename Take>
  void ForEachOwnRecipient(std::span<const DomainId> domains, MessageRef before, Take take) const;
  uint64_t LiveIn(MessageRef message, DomainId domain) const;
  std::vector<MessageRef> HeldByOwn(std::span<const DomainId> domains, MessageRef cut) const;
  MessageRef Frontier() const;

  Io& io_;
  const Fd directory_;
  const SpoolOptions options_;
  SpoolEvents& events_;
  const size_t description_bytes_max_;
  Phase phase_ = Phase::kNew;
  SegmentSet segments_;
  Index index_;
  GroupCommit commit_;
  SparePool spares_;
  SegmentRoll roll_;
  FailureGate roll_gate_;
  IoError roll_error_ = IoError::kNone;  // of the last try
  Instant roll_retry_at_;
  CheckpointStore checkpoints_;
  Reclaim reclaim_;
  Keeper keeper_;
  Sweep sweep_;
  RuleBook rules_;
  MessageRef run_start_;  // nothing of an earlier run lies behind it
  // The last deferral note of each live recipient that has one; of one that is dsn pending why it
  // failed.
  NoteMap notes_;
  ReadDamage read_damage_;
  SpaceWatch space_;
  Staging staging_;
  // Only while the shard starts.
  std::unique_ptr<Catalog> catalog_;
  std::unique_ptr<TailScan> tail_;
  std::unique_ptr<Recovery> recovery_;
  bool has_recovered_ = false;
  bool has_kept_for_settles_ = false;  // a message had to wait for room that is kept
  List<CongestionWaiter> congestion_waiters_;
  List<LateTeller> late_;
  Evacuation evacuation_;  // it writes and reads as others do, and goes before what they need
  SpoolTime clock_base_;   // what the clock said when ...
  Instant clock_started_;  // ... it was started
  bool close_when_ready_ = false;
  int closing_failures_ = 0;  // of batches and of new segments while it closes
  uint64_t messages_appended_ = 0;
  uint64_t damaged_records_ = 0;  // found by recovery
  uint64_t torn_tails_ = 0;
  uint64_t recipients_unaccounted_ = 0;
};

}  // namespace backstay
