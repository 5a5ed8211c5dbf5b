// tools/backstay/stable_ends.cc -- reads from the newest segment down to one with a commit record.
#include "tools/backstay/stable_ends.h"

#include <algorithm>

#include "spool/segment_scan.h"

namespace backstay {
namespace {

class LastBatch final : public ScanEvents {
 public:
  // Where the last batch that ends in a commit record begins; nothing: there is none.
  std::optional<uint64_t> Find(ShardFiles& files, const CatalogEntry& entry) {
    begin_.reset();
    SegmentScan scan(SegmentKey(*entry.header), files.DataEnd(entry), std::nullopt, *this);
    scan_ = &scan;
    files.Read(entry, scan);
    scan.Finish();
    return begin_;
  }

 private:
  void OnRecord(const RecordHeader&, uint32_t, Bytes) override {}
  void OnCommit(const CommitPayload& commit, bool) override {
    begin_ = scan_->at() - std::min(commit.batch_bytes, scan_->at() - kDataStart);
  }
  void OnBrokenBatch(ByteRange, BatchFlaw) override {}
  void OnBrokenChain(uint64_t) override {}

  SegmentScan* scan_ = nullptr;
  std::optional<uint64_t> begin_;
};

}  // namespace

std::vector<uint64_t> StableEnds(ShardFiles& files) {
  const std::vector<CatalogEntry>& entries = files.entries();
  std::vector<uint64_t> ends(entries.size(), kDataStart);
  bool is_stable = false;  // a younger segment has a whole batch: nobody writes here any more
  for (size_t left = entries.size(); left > 0; --left) {
    const CatalogEntry& entry = entries[left - 1];
    if (!entry.header.has_value() || !entry.file.valid()) {
      continue;
    }
    if (is_stable) {
      ends[left - 1] = files.DataEnd(entry);
      continue;
    }
    const std::optional<uint64_t> begin = LastBatch().Find(files, entry);
    is_stable = begin.has_value();
    ends[left - 1] = begin.value_or(kDataStart);
  }
  return ends;
}

}  // namespace backstay
