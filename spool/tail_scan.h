// spool/tail_scan.h -- where the log ended: what must be known before new mail is taken.
//
// Second part of a start, behind Catalog and before Recovery: reads segments from the newest down
// to the first with a valid commit record, in most cases one. Where the log ends in it is found by
// halving: no batch is larger than a window, so behind a window in which no record begins there is
// nothing but damage, and Recovery finds that.
// Judges nothing but the tail, changes nothing on disk. Reads around the page cache: what a failed
// sync of the run before left there may go at any time.
//
// Life:  Start, OnTailScanned once.
// Turn:  one operation at a time.
// See:   FORMAT.md 6 "torn tail".
#pragma once

#include <memory>
#include <optional>

#include "spool/catalog.h"
#include "spool/group_commit.h"
#include "spool/record_probe.h"
#include "spool/segment_reader.h"
#include "spool/segment_scan.h"

namespace backstay {

class TailScanEvents {
 public:
  virtual void OnTailScanned() = 0;

 protected:
  ~TailScanEvents() = default;
};

class TailScan final : private SegmentReaderEvents, private ScanEvents {
 public:
  // `window_bytes`: no batch has more.
  TailScan(Io& io, Fd directory, const Catalog& catalog, TailScanEvents& events,
           uint64_t window_bytes = kBatchBytesMax);
  TailScan(const TailScan&) = delete;
  TailScan& operator=(const TailScan&) = delete;

  void Start();
  const GroupCommit::Resumption& resumption() const { return resumption_; }
  SpoolTime clock() const { return clock_; }

 private:
  void OnSegmentRead() override;
  void OnRecord(const RecordHeader&, uint32_t, Bytes) override {}
  void OnCommit(const CommitPayload& commit, bool continues) override;
  void OnBrokenBatch(ByteRange range, BatchFlaw flaw) override;
  void OnBrokenChain(uint64_t) override {}

  void Next();
  void Read(SegmentSink& sink);
  // Window k of the segment that is looked at: from k to k + 1 times window_bytes_.
  void Halve();
  void OnProbed();
  void Scan(uint64_t from);
  const CatalogEntry& entry() const { return catalog_.entries()[left_ - 1]; }
  void OnSynced(const IoResult& result);

  Io& io_;
  const Fd directory_;
  const Catalog& catalog_;
  TailScanEvents& events_;
  const uint64_t window_bytes_;
  SegmentReader reader_;
  std::optional<RecordProbe> probe_;
  uint64_t last_used_ = 0;     // window where a record begins; the first one is taken for such
  uint64_t first_unused_ = 0;  // window from which on none does
  std::unique_ptr<SegmentScan> scan_;
  uint64_t scan_from_ = 0;
  uint64_t commits_ = 0;  // of the last scan
  size_t left_ = 0;       // entries of the catalog that were not looked at, and the one being read
  std::optional<uint64_t> broken_at_;  // first broken batch of the segment, no commit behind it
  GroupCommit::Resumption resumption_;
  SpoolTime clock_;
  Fd last_written_;  // the segment where the log ended
  int failed_syncs_ = 0;
  Completion<&TailScan::OnSynced> sync_{this};
};

}  // namespace backstay
