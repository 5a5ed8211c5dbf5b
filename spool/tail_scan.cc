// spool/tail_scan.cc -- down from the newest segment to the last valid commit record.
#include "spool/tail_scan.h"

#include <algorithm>

#include "core/base/check.h"
#include "core/base/log.h"
#include "core/base/mark.h"

namespace backstay {

TailScan::TailScan(Io& io, Fd directory, const Catalog& catalog, TailScanEvents& events,
                   uint64_t window_bytes)
    : io_(io),
      directory_(directory),
      catalog_(catalog),
      events_(events),
      window_bytes_(window_bytes),
      reader_(io, *this) {
  ASSERT(window_bytes_ % kBlockBytes == 0 && window_bytes_ > kDataStart);
}

void TailScan::Start() {
  left_ = catalog_.entries().size();
  Next();
}

void TailScan::Next() {
  for (; left_ > 0 && commits_ == 0; --left_) {
    if (!entry().header.has_value()) {
      continue;
    }
    const uint64_t end = catalog_.ReadableEnd(entry());
    if (end <= kDataStart) {
      continue;
    }
    last_used_ = 0;
    first_unused_ = (end + window_bytes_ - 1) / window_bytes_;
    return Halve();
  }
  if (!last_written_.valid()) {
    return events_.OnTailScanned();
  }
  // After a kill the tail may be in the page cache only. The log is about to build on it.
  io_.SyncData(&sync_, last_written_);
}

void TailScan::Read(SegmentSink& sink) {
  reader_.StartDirect(directory_, entry().number, entry().file, sink);
}

void TailScan::Halve() {
  if (first_unused_ - last_used_ > 1) {
    const uint64_t from = (last_used_ + first_unused_) / 2 * window_bytes_;
    const uint64_t to = std::min(from + window_bytes_, catalog_.ReadableEnd(entry()));
    probe_.emplace(SegmentKey(*entry().header), from, to);
    return Read(*probe_);
  }
  // The batch with the last record may have begun in the window before.
  Scan(last_used_ < 2 ? kDataStart : (last_used_ - 1) * window_bytes_);
}

void TailScan::OnProbed() {
  (probe_->found() ? last_used_ : first_unused_) = (last_used_ + first_unused_) / 2;
  probe_.reset();
  Halve();
}

void TailScan::Scan(uint64_t from) {
  ScanEvents& scan_events = *this;
  scan_ = std::make_unique<SegmentScan>(SegmentKey(*entry().header), catalog_.ReadableEnd(entry()),
                                        std::nullopt, scan_events);
  scan_->BeginAt(from);
  scan_->EndBehindGap(window_bytes_);
  scan_from_ = from;
  commits_ = 0;
  Read(*scan_);
}

void TailScan::OnSegmentRead() {
  if (probe_.has_value()) {
    return OnProbed();
  }
  scan_->Finish();
  // The batch of the first commit record may have begun before, and cannot be judged.
  if (commits_ < 2 && scan_from_ > kDataStart) {
    MARK("end of the log not found by halving");
    broken_at_.reset();
    return Scan(kDataStart);
  }
  resumption_.next_sequence = std::max(resumption_.next_sequence, scan_->next_sequence());
  if (commits_ > 0) {
    resumption_.last_segment = entry().number;
    resumption_.last_commit_crc = scan_->last_commit_crc().value_or(0);
  }
  if (scan_->found_anything() && !catalog_.TrustEnd(entry().number).has_value() &&
      !last_written_.valid()) {
    last_written_ = entry().file;
  }
  if (broken_at_.has_value()) {  // before everything that was found broken in later segments
    resumption_.torn =
        UntrustedEntry{entry().number, catalog_.highest_number(), entry().header->generation,
                       static_cast<uint32_t>(UntrustedCause::kTorn), *broken_at_};
  }
  broken_at_.reset();
  scan_.reset();
  --left_;
  Next();
}

void TailScan::OnCommit(const CommitPayload& commit, bool) {
  ++commits_;
  clock_ = std::max(clock_, SpoolTime::FromNanoseconds(commit.spool_clock));
  broken_at_.reset();  // it has a successor: damage, and not ours to judge
}

void TailScan::OnBrokenBatch(ByteRange range, BatchFlaw flaw) {
  if (flaw == BatchFlaw::kLostCommit || catalog_.IsKnownTorn(entry().number, range.from)) {
    return;
  }
  broken_at_ = broken_at_.value_or(range.from);
}

// What was read may not be there: from now on a reading around the cache shows what is.
void TailScan::OnSynced(const IoResult& result) {
  if (result.ok()) {
    return events_.OnTailScanned();
  }
  LogError("spool sync of the last segment failed: {}", Describe(result.error()));
  if (++failed_syncs_ == kReadTries) {
    return events_.OnTailScanned();
  }
  MARK("tail read once more");
  resumption_ = GroupCommit::Resumption();
  clock_ = SpoolTime();
  last_written_ = Fd();
  commits_ = 0;
  Start();
}

}  // namespace backstay
