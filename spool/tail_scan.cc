// spool/tail_scan.cc -- down from the newest segment to the last valid commit record.
#include "spool/tail_scan.h"

#include <algorithm>

#include "core/base/log.h"

namespace backstay {

TailScan::TailScan(Io& io, const Catalog& catalog, TailScanEvents& events)
    : io_(io), catalog_(catalog), events_(events), reader_(io, *this) {}

void TailScan::Start() {
  left_ = catalog_.entries().size();
  Next();
}

void TailScan::Next() {
  for (; left_ > 0 && !has_commit_; --left_) {
    const CatalogEntry& entry = catalog_.entries()[left_ - 1];
    if (!entry.header.has_value()) {
      continue;
    }
    const uint64_t end = catalog_.ReadableEnd(entry);
    if (end <= kDataStart) {
      continue;
    }
    ScanEvents& scan_events = *this;
    scan_ =
        std::make_unique<SegmentScan>(SegmentKey(*entry.header), end, std::nullopt, scan_events);
    scan_->EndBehindGap(kBatchBytesMax);
    reader_.Start(entry.file, *scan_);
    return;
  }
  if (!last_written_.valid()) {
    return events_.OnTailScanned();
  }
  // After a kill the tail may be in the page cache only. The log is about to build on it.
  io_.SyncData(&sync_, last_written_);
}

void TailScan::OnSegmentRead() {
  const CatalogEntry& entry = catalog_.entries()[left_ - 1];
  scan_->Finish();
  resumption_.next_sequence = std::max(resumption_.next_sequence, scan_->next_sequence());
  if (has_commit_) {
    resumption_.last_segment = entry.number;
    resumption_.last_commit_crc = scan_->last_commit_crc().value_or(0);
  }
  if (scan_->found_anything() && !catalog_.TrustEnd(entry.number).has_value() &&
      !last_written_.valid()) {
    last_written_ = entry.file;
  }
  if (broken_at_.has_value()) {  // before everything that was found broken in later segments
    resumption_.torn =
        UntrustedEntry{entry.number, catalog_.highest_number(), entry.header->generation,
                       static_cast<uint32_t>(UntrustedCause::kTorn), *broken_at_};
  }
  broken_at_.reset();
  scan_.reset();
  --left_;
  Next();
}

void TailScan::OnCommit(const CommitPayload& commit, bool) {
  has_commit_ = true;
  clock_ = std::max(clock_, SpoolTime::FromNanoseconds(commit.spool_clock));
  broken_at_.reset();  // it has a successor: damage, and not ours to judge
}

void TailScan::OnBrokenBatch(ByteRange range, BatchFlaw flaw) {
  const CatalogEntry& entry = catalog_.entries()[left_ - 1];
  if (flaw == BatchFlaw::kLostCommit || catalog_.IsKnownTorn(entry.number, range.from)) {
    return;
  }
  broken_at_ = broken_at_.value_or(range.from);
}

void TailScan::OnSynced(const IoResult& result) {
  if (!result.ok()) {
    LogError("spool sync of the last segment failed: {}", Describe(result.error()));
  }
  events_.OnTailScanned();
}

}  // namespace backstay
