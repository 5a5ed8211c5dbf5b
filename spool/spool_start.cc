// spool/spool_start.cc -- a start: the files, the end of the log, then the queue.
#include <algorithm>
#include <cstdlib>
#include <utility>

#include "core/base/check.h"
#include "core/base/log.h"
#include "core/base/mark.h"
#include "spool/spool_impl.h"

namespace backstay {
namespace {

// Its messages with a recipient that is dsn pending. Also those whose notes are lost: the message
// is owed a report all the same.
void AddDebts(const Segment& segment, std::vector<MessageRef>& debts) {
  const SegmentIndex& index = segment.index;
  if (index.pending_recipients() == 0) {
    return;
  }
  for (auto message = index.NextOwed(0); message.has_value();
       message = index.NextOwed(*message + 1)) {
    uint32_t recipient = 0;
    while (recipient < index.Recipients(*message) && !index.IsPending(*message, recipient)) {
      ++recipient;
    }
    if (recipient < index.Recipients(*message)) {
      debts.push_back({segment.number(), index.Block(*message)});
    }
  }
}

// A checkpoint may have more deferrals than a run takes: of an older program, or beside failures.
// The newest go: they are tried again at once, as if nothing had been said.
void DropNotesBeyondMax(NoteMap& notes, const Index& index) {
  for (auto at = notes.end(); notes.size() > kNotesMax && at != notes.begin();) {
    --at;
    if (index.IsLive(at->first.first, at->first.second)) {
      at = notes.erase(at);
    }
  }
}

}  // namespace

void Spool::Impl::Recover() {
  ASSERT(phase_ == Phase::kNew);
  phase_ = Phase::kRecovering;
  const Catalog::Identity identity{options_.node, options_.shard};
  CatalogEvents& catalog_events = *this;
  catalog_ = std::make_unique<Catalog>(io_, directory_, identity, catalog_events);
  catalog_->Start();
}

void Spool::Impl::OnCatalogRead(const absl::Status& status) {
  if (!status.ok()) {
    phase_ = close_when_ready_ ? Phase::kClosed : Phase::kFailed;
    return events_.OnSpoolReady(status);
  }
  TailScanEvents& tail_events = *this;
  tail_ = std::make_unique<TailScan>(io_, directory_, *catalog_, tail_events);
  tail_->Start();
}

void Spool::Impl::OnTailScanned() {
  commit_.Resume(tail_->resumption());
  if (tail_->resumption().torn.has_value()) {
    catalog_->NoteTail(*tail_->resumption().torn);
  }
  checkpoints_.FindCovers(catalog_->checkpoints());
}

// The log can go on; what it holds is read while new mail comes. Not under a number that a
// checkpoint covers: if the newest files were removed, or are older than the checkpoints, it would
// tell the next start of other mail that lay there.
void Spool::Impl::OnCoversFound(uint32_t covers) {
  if (covers > catalog_->highest_number()) {
    MARK("numbers_go_on_behind_a_checkpoint");
    LogError("spool shard={} segments up to {:08x} are missing; a checkpoint knows them",
             options_.shard, covers);
  }
  const uint32_t next = std::max(catalog_->highest_number(), covers) + 1;
  roll_.set_next_number(next);
  reclaim_.Discard(catalog_->spares());
  run_start_ = {next, 0};
  clock_base_ = tail_->clock();
  clock_started_ = io_.Now();
  phase_ = Phase::kStarting;
  roll_.Start();
  StartRecovery();
  recovery_->AddSegments();
  checkpoints_.Read(catalog_->checkpoints());
}

void Spool::Impl::OnCheckpointRead(std::optional<Checkpoint> checkpoint) {
  if (!checkpoint.has_value() && checkpoints_.has_unread()) {
    segments_.NoteGap();  // what it knows of settled mail is to be there for the next start
  }
  recovery_->Start(std::move(checkpoint));
}

void Spool::Impl::OnRecovered() {
  has_recovered_ = true;
}

void Spool::Impl::EndRecovery() {
  if (!recovery_->is_misfit()) {
    return PublishRecovered();
  }
  has_recovered_ = false;
  const bool is_aborted = recovery_->is_aborted();
  StartRecovery();
  if (is_aborted) {
    recovery_->Abort();
  }
  checkpoints_.ReadOlder();
}

void Spool::Impl::StartRecovery() {
  RecoveryEvents& recovery_events = *this;
  recovery_ = std::make_unique<Recovery>(io_, directory_, options_.shard, *catalog_, segments_,
                                         index_, recovery_events);
}

// The first segment is there, or could not be had: the queue may be worked on in both cases.
void Spool::Impl::BecomeReady() {
  phase_ = Phase::kReady;
  space_.Check(commit_.RoomBytes(), 0);
  events_.OnSpoolReady(absl::OkStatus());
  if (close_when_ready_) {
    Close();
  }
}

void Spool::Impl::PublishRecovered() {
  const std::unique_ptr<Recovery> recovery = std::move(recovery_);
  damaged_records_ += recovery->result().damaged;
  torn_tails_ += recovery->result().torn;
  if (recovery->is_aborted()) {
    return;
  }
  absl::btree_map<DomainId, MessageRef> oldest;
  std::vector<MessageRef> debts;
  for (Segment* segment = segments_.oldest(); segment != nullptr;
       segment = segments_.FindFrom(segment->number() + 1)) {
    if (!segment->is_published) {
      index_.Publish(*segment);
      AddDebts(*segment, debts);
      segment->index.ForEachDomain([&](DomainId domain, uint32_t live) {
        if (live > 0 && !oldest.contains(domain)) {
          oldest.emplace(domain, *index_.NextLive(domain, MessageRef{segment->number(), 0}));
        }
      });
    }
  }
  catalog_.reset();
  tail_.reset();
  BalanceAccounts(recovery->LacksAccounts(), recovery->result().has_lost);
  for (const auto& [domain, message] : oldest) {
    events_.OnLiveMessage(domain, message);
  }
  DropNotesBeyondMax(recovery->replay().notes(), index_);
  for (const auto& [key, note] : recovery->replay().notes()) {
    const DomainId domain = index_.DomainOf(key.first, key.second);
    if (index_.IsLive(key.first, key.second)) {
      events_.OnRecoveredDeferral(key.first, key.second, domain, AsBytes(note));
    }
  }
  for (const MessageRef message : debts) {
    events_.OnRecoveredFailure(message);
  }
  LogInfo("spool shard={} queue complete: messages={} recipients={} segments={} scanned={}",
          options_.shard, index_.messages_owed(), index_.recipients_live(), segments_.size(),
          recovery->result().segments_scanned);
  notes_.merge(recovery->replay().notes());
  rules_ = std::move(recovery->replay().rules());
  keeper_.WantCheckpoint();
  events_.OnQueueReady();
}

// What was taken and is neither settled nor found was lost to damage, or it was settled in a
// segment that went although the checkpoint in use does not know of it: the newest one is damaged,
// or none could be written on a full disk. `is_first`: before this start no accounts were kept, and
// what is there is what they begin with.
void Spool::Impl::BalanceAccounts(bool is_first, bool has_lost) {
  if (segments_.has_gap() && !is_first) {
    return;  // not lost, as far as one can tell: the next start may read it
  }
  for (uint32_t i = 0; i < index_.domains(); ++i) {
    const auto domain = static_cast<DomainId>(i);
    const uint64_t owed = index_.LiveRecipients(domain) + index_.PendingRecipients(domain);
    const int64_t missing = index_.accounts().Balance(
        domain, owed, has_lost ? Ending::kQuarantined : Ending::kDelivered);
    if (missing == 0 || is_first) {
      continue;
    }
    recipients_unaccounted_ += static_cast<uint64_t>(std::abs(missing));
    LogWarning("spool shard={} domain={} recipients={} {}", options_.shard, index_.Name(domain),
               std::abs(missing),
               missing < 0 ? "there and never counted: counted as accepted"
               : has_lost  ? "missing: counted as quarantined"
                           : "not known how they ended: counted as delivered");
  }
}

}  // namespace backstay
