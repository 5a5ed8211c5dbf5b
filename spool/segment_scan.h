// spool/segment_scan.h -- walks the bytes of one segment: records, whole and broken batches, the
// tail.
//
// Pure: the owner reads the file and feeds it. A bad record never ends the walk.
// Life:  Feed in order from kDataStart, Finish once.
// Units: offsets in the file.
// See:   FORMAT.md 6.
#pragma once

#include <optional>
#include <vector>

#include "spool/record.h"
#include "spool/segment_sink.h"

namespace backstay {

struct ByteRange {
  uint64_t from = 0;
  uint64_t to = 0;
};

// What is wrong with a range that should have been a whole batch.
enum class BatchFlaw : uint8_t {
  kLostCommit,  // no commit record of its own, but one behind it in this segment
  kHole,        // a commit record, and not all that it speaks of
  kNoEnd        // no commit record here or behind it in this segment: a batch or a footer cut short
};

// What the walk found, in the order of the file.
class ScanEvents {
 public:
  virtual void OnRecord(const RecordHeader& header, uint32_t block, Bytes payload) = 0;
  // A valid commit record, which also says that every batch before this one was synced.
  // `continues`: it follows the last commit record before it, so that no whole batch is missing
  // between them.
  virtual void OnCommit(const CommitPayload& commit, bool continues) = 0;
  // Its whole records were or will be told all the same.
  virtual void OnBrokenBatch(ByteRange range, BatchFlaw flaw) = 0;
  // A whole batch that does not continue the chain: batches before it are gone.
  virtual void OnBrokenChain(uint64_t at) = 0;

 protected:
  ~ScanEvents() = default;
};

class SegmentScan final : public SegmentSink {
 public:
  // `end`: where data ends (the second header, the end of a short file, or the end of trust).
  // `previous_crc`: header checksum of the last commit record of the log before this segment, if
  // known.
  SegmentScan(const SegmentKey& key, uint64_t end, std::optional<uint32_t> previous_crc,
              ScanEvents& events);
  // The walk begins at this block instead. A batch that began before it looks broken.
  void BeginAt(uint64_t offset);
  // The walk ends when no record began in so many bytes: enough to find where the log ended, not to
  // find what lies behind a gap.
  void EndBehindGap(uint64_t bytes) { gap_max_ = bytes; }
  SegmentScan(const SegmentScan&) = delete;
  SegmentScan& operator=(const SegmentScan&) = delete;

  uint64_t at() const override { return at_; }
  uint64_t end() const override { return end_; }
  uint64_t need() const override { return need_; }
  void Feed(Bytes bytes) override;
  void SkipZeros(uint64_t to) override;
  void Finish();

  std::optional<uint32_t> last_commit_crc() const { return previous_crc_; }
  uint64_t next_sequence() const { return next_sequence_; }
  bool found_anything() const { return nonzero_end_ > kDataStart; }

 private:
  size_t Step(Bytes bytes);
  void EndBehindLastRecord();
  size_t SkipUnknown(Bytes bytes);
  void AcceptFooter(uint64_t nonzero_before);
  void AcceptCommit(const RecordHeader& header, const CommitPayload& commit);

  const SegmentKey key_;
  uint64_t end_;
  uint64_t gap_max_ = UINT64_MAX;
  uint64_t record_end_ = kDataStart;  // of the last whole header and what it speaks of
  std::optional<uint32_t> previous_crc_;
  ScanEvents& events_;
  uint64_t at_ = kDataStart;
  uint64_t need_ = kBlockBytes;
  uint64_t next_sequence_ = 1;
  uint64_t batch_end_ = kDataStart;    // of the last batch that ended in a valid commit record
  uint64_t nonzero_end_ = kDataStart;  // behind the last byte that someone wrote here
  // Records since batch_end_: places and header checksums.
  std::vector<uint64_t> seen_at_;
  std::vector<uint32_t> seen_crcs_;
};

}  // namespace backstay
