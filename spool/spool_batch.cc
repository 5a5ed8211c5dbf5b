// spool/spool_batch.cc -- what a batch became: stored, or lost with its segment.
#include "core/base/check.h"
#include "spool/spool_impl.h"

namespace backstay {

void Spool::Impl::OnBatchStored(Batch& batch) {
  if (batch.empty()) {
    staging_.GiveBackMemory();  // the log pauses
  }
  Segment& segment = *batch.segment();
  for (const Batch::Message& message : batch.messages()) {
    if (message.is_moved()) {
      index_.Move(batch.Moved(message), commit_.outcomes_queued());
      segment.moved_here.push_back(message.home);
      continue;
    }
    index_.Add(segment, message.block, message.arrival_seconds, batch.Recipients(message),
               batch.Parts(message), message.bytes);
    index_.accounts().Take(segment.number(), batch.Recipients(message), message.is_ours);
    ++messages_appended_;
    EndDebts(batch, message);
  }
  events_.OnSettlesDecided();
  for (uint32_t i = 0; i < batch.messages().size(); ++i) {
    const uint32_t block = batch.messages()[i].block;
    batch.Tell(i, CommitResult::kStored);
    if (batch.messages()[i].is_moved()) {
      continue;
    }
    const std::optional<uint32_t> number = segment.index.Find(block);
    ASSERT(number.has_value());
    for (const DomainId domain : index_.LiveDomains(segment, *number)) {
      events_.OnLiveMessage(domain, {segment.number(), block});
    }
  }
}

void Spool::Impl::EndDebts(Batch& batch, const Batch::Message& message) {
  for (const Debt& debt : batch.Debts(message)) {
    if (index_.IsPending(message.reported, debt.recipient())) {
      index_.Settle(message.reported, debt.recipient(), EndingOf(debt), commit_.outcomes_queued());
      notes_.erase({message.reported, debt.recipient()});
    }
  }
}

void Spool::Impl::OnSegmentAbandoned(Segment& segment) {
  closing_failures_ += phase_ == Phase::kClosing ? 1 : 0;
  if (segment.holds_nothing_good()) {
    reclaim_.NoteEmptySegment();
  }
  if (segment.readers == 0) {
    io_.Close(segment.file);
    segment.file = Fd();
  }
}

void Spool::Impl::OnRecordsLost(const Segment& segment, uint64_t from) {
  staging_.LoseParts(segment.number(), from);
}

void Spool::Impl::OnBatchFailed(Batch& batch, CommitResult result) {
  for (const Batch::Message& message : batch.messages()) {
    for (const PartEntry& part : batch.Parts(message)) {
      index_.Unpin(part, commit_.outcomes_queued());
    }
  }
  for (uint32_t i = 0; i < batch.messages().size(); ++i) {
    batch.Tell(i, result);
  }
  events_.OnSettlesDecided();
}

}  // namespace backstay
