// tools/backstay/message_walk.cc -- a second reading that keeps nothing.
#include "tools/backstay/message_walk.h"

namespace backstay {
namespace {

class MessageScan final : private ScanEvents {
 public:
  MessageScan(const Catalog::Identity& identity, const ShardWalk& walk, Messages which,
              absl::FunctionRef<void(const StoredMessage&)> visit)
      : identity_(identity), walk_(walk), which_(which), visit_(visit) {}

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
    if (!DecodeMessage(payload, message_)) {
      return;
    }
    const MessageRef place{segment_->number(), block};
    const MessageRef home = message_.is_moved() ? message_.home() : place;
    const Segment* segment = walk_.segments().Find(home.segment);
    const std::optional<uint32_t> number =
        segment != nullptr ? segment->index.Find(home.block) : std::nullopt;
    if (!number.has_value() || walk_.index().PlaceOf(home) != place) {
      return;  // settled and forgotten, or it lies elsewhere
    }
    if (which_ == Messages::kAll || segment->index.IsOwed(*number)) {
      visit_({{identity_.node, identity_.shard, home.segment, home.block},
              message_,
              segment->index,
              *number,
              FrameBytes(payload.size())});
    }
  }
  void OnCommit(const CommitPayload&, bool) override {}
  void OnBrokenBatch(ByteRange, BatchFlaw) override {}
  void OnBrokenChain(uint64_t) override {}

  const Catalog::Identity identity_;
  const ShardWalk& walk_;
  const Messages which_;
  absl::FunctionRef<void(const StoredMessage&)> visit_;
  const Segment* segment_ = nullptr;
  DecodedMessage message_;
};

}  // namespace

void ForEachMessage(ShardFiles& files, const ShardWalk& walk, Messages which,
                    absl::FunctionRef<void(const StoredMessage&)> visit) {
  MessageScan scan(files.identity(), walk, which, visit);
  for (size_t i = 0; i < files.entries().size(); ++i) {
    const CatalogEntry& entry = files.entries()[i];
    const Segment* segment =
        entry.header.has_value() ? walk.segments().Find(entry.number) : nullptr;
    // Pins: of messages that were moved to here.
    if (segment != nullptr && (which == Messages::kAll || segment->is_held())) {
      scan.Read(files, entry, *segment, walk.ends()[i]);
    }
  }
}

}  // namespace backstay
