// tools/backstay/message_walk.cc -- a second reading that keeps nothing.
#include "tools/backstay/message_walk.h"

namespace backstay {
namespace {

class MessageScan final : private ScanEvents {
 public:
  MessageScan(const Catalog::Identity& identity, Messages which,
              absl::FunctionRef<void(const StoredMessage&)> visit)
      : identity_(identity), which_(which), visit_(visit) {}

  void Read(ShardFiles& files, const CatalogEntry& entry, const Segment& segment, uint64_t end) {
    segment_ = &segment;
    SegmentScan scan(segment.key, end, std::nullopt, *this);
    files.Read(entry, scan);
    scan.Finish();
  }

 private:
  void OnRecord(const RecordHeader& header, uint32_t block, Bytes payload) override {
    if (header.kind != static_cast<uint8_t>(RecordKind::kMessage)) {
      return;
    }
    const std::optional<uint32_t> number = segment_->index.Find(block);
    if (!number.has_value() || !DecodeMessage(payload, message_)) {
      return;
    }
    if (which_ == Messages::kAll || segment_->index.IsOwed(*number)) {
      visit_({{identity_.node, identity_.shard, segment_->number(), block},
              message_,
              segment_->index,
              *number,
              FrameBytes(payload.size())});
    }
  }
  void OnCommit(const CommitPayload&, bool) override {}
  void OnBrokenBatch(ByteRange, BatchFlaw) override {}
  void OnBrokenChain(uint64_t) override {}

  const Catalog::Identity identity_;
  const Messages which_;
  absl::FunctionRef<void(const StoredMessage&)> visit_;
  const Segment* segment_ = nullptr;
  DecodedMessage message_;
};

}  // namespace

void ForEachMessage(ShardFiles& files, const ShardWalk& walk, Messages which,
                    absl::FunctionRef<void(const StoredMessage&)> visit) {
  MessageScan scan(files.identity(), which, visit);
  for (size_t i = 0; i < files.entries().size(); ++i) {
    const CatalogEntry& entry = files.entries()[i];
    const Segment* segment =
        entry.header.has_value() ? walk.segments().Find(entry.number) : nullptr;
    if (segment == nullptr || segment->index.messages() == 0) {
      continue;
    }
    if (which == Messages::kAll || !segment->index.dead()) {
      scan.Read(files, entry, *segment, walk.ends()[i]);
    }
  }
}

}  // namespace backstay
