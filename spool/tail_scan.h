// spool/tail_scan.h -- where the log ended: what must be known before new mail is taken.
//
// Second part of a start, behind Catalog and before Recovery: reads segments from the newest down
// to the first with a valid commit record, in most cases one. A batch that no record begins within
// the largest batch is not there: what lies behind a larger gap is damage, and Recovery finds it.
// Judges nothing but the tail, changes nothing on disk.
//
// Life:  Start, OnTailScanned once.
// Turn:  one operation at a time.
// See:   FORMAT.md 6 "torn tail".
#pragma once

#include <memory>
#include <optional>

#include "spool/catalog.h"
#include "spool/group_commit.h"
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
  TailScan(Io& io, const Catalog& catalog, TailScanEvents& events);
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
  void OnSynced(const IoResult& result);

  Io& io_;
  const Catalog& catalog_;
  TailScanEvents& events_;
  SegmentReader reader_;
  std::unique_ptr<SegmentScan> scan_;
  size_t left_ = 0;  // entries of the catalog that were not looked at, and the one being read
  bool has_commit_ = false;
  std::optional<uint64_t> broken_at_;  // first broken batch of the segment, no commit behind it
  GroupCommit::Resumption resumption_;
  SpoolTime clock_;
  Fd last_written_;  // the segment where the log ended
  Completion<&TailScan::OnSynced> sync_{this};
};

}  // namespace backstay
