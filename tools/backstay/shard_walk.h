// tools/backstay/shard_walk.h -- reads one shard's log from end to end: what is queued, and what is
// not whole.
//
// Judges as recovery does (FORMAT.md 6, 9), but reads every record whatever a summary says of it,
// and changes nothing. Beside a daemon segments go while they are read: what was found in such a
// one counts for nothing, and neither does what seems to be missing from then on.
//
// Life:  Run once; then ask.
// Owns:  an index of the shard as compact as the daemon's.
// Turn:  Run waits.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "spool/checkpoint_cover.h"
#include "spool/index.h"
#include "spool/message_replay.h"
#include "spool/replay.h"
#include "spool/segment_scan.h"
#include "spool/segment_set.h"
#include "tools/backstay/finding.h"
#include "tools/backstay/shard_files.h"

namespace backstay {

// Counted while reading.
struct WalkCounts {
  uint64_t segments = 0;
  uint64_t file_bytes = 0;
  uint64_t bytes_read = 0;
  uint64_t bytes_written = 0;  // the log so far, padding included
  uint64_t bytes_records = 0;  // without commit records
  uint64_t batches = 0;        // commit records
  uint64_t records = 0;        // without commit records
  uint64_t messages = 0;
  uint64_t recipients = 0;
};

class ShardWalk final : private ScanEvents, private ReadProgress {
 public:
  // `is_in_use`: a daemon may be writing; the end of the log is left out.
  ShardWalk(ShardFiles& files, bool is_in_use, FindingEvents& events, ReadProgress* progress);
  ShardWalk(const ShardWalk&) = delete;
  ShardWalk& operator=(const ShardWalk&) = delete;

  void Run();
  const WalkCounts& counts() const { return counts_; }
  const Index& index() const { return index_; }
  const SegmentSet& segments() const { return segments_; }
  // Of each entry of the files: where reading ended.
  const std::vector<uint64_t>& ends() const { return ends_; }

 private:
  struct BrokenRange {
    uint32_t segment;
    ByteRange range;
    BatchFlaw flaw;
  };
  struct MissingPart {
    MessageRef message;
    MessageRef place;  // of the record that names the part
    uint32_t recipients;
    PartEntry part;
    MessageRef reported_message;
    std::vector<Debt> debts;  // of that one, that end with it if it counts
  };

  void OnRecord(const RecordHeader& header, uint32_t block, Bytes payload) override;
  void OnCommit(const CommitPayload& commit, bool continues) override;
  void OnBrokenBatch(ByteRange range, BatchFlaw flaw) override;
  void OnBrokenChain(uint64_t at) override;
  void OnBytesRead(uint64_t bytes) override;

  void TellLeftAlone();
  void UseCheckpoint();
  void ReadSegment(size_t entry_number);
  void ReadBesideADaemon(size_t entry_number);
  // Since the files were opened: it was given back, and is being cut or written over.
  bool HasGone(const CatalogEntry& entry);
  // Of the header, if there is a valid one at this place.
  std::optional<uint64_t> SaltAt(const CatalogEntry& entry, uint64_t at, size_t& got,
                                 IoError& error);
  void Forget(const CatalogEntry& entry, const WalkCounts& before);
  bool IsForgotten(uint32_t segment) const;
  void CheckZero(const CatalogEntry& entry);
  void CheckPrevious(const CatalogEntry& entry);
  void CheckFile(const CatalogEntry& entry);
  void AddMessage(const RecordHeader& header, uint32_t block, Bytes payload);
  const PartEntry* FindMissingPart() const;
  bool IsInTail(MessageRef message) const;
  bool IsOwed(const MissingPart& missing) const;
  void JudgeTail();
  void JudgeMessages();
  void Tell(FindingKind kind, uint32_t segment, std::optional<ByteRange> range, std::string what);

  ShardFiles& files_;
  const bool is_in_use_;
  bool is_sure_ = true;  // what is not there was not given back meanwhile, as far as can be told
  std::vector<uint32_t> forgotten_;                // segments, ascending
  std::optional<std::vector<Finding>> held_back_;  // of the segment being read
  FindingEvents& events_;
  ReadProgress* const progress_;
  SegmentSet segments_;
  Index index_{segments_};
  Replay replay_{index_};
  CheckpointCover cover_{std::nullopt};
  MessageReplay messages_{files_.catalog(), segments_, index_, cover_};
  WalkCounts counts_;
  std::vector<uint64_t> ends_;

  Segment* segment_ = nullptr;         // the one being read
  const SegmentScan* scan_ = nullptr;  // over it
  uint64_t written_end_ = 0;           // in it
  std::optional<uint32_t> last_commit_crc_;
  std::vector<uint32_t> with_commit_;  // segments with a valid commit record, ascending
  DecodedMessage message_;
  std::vector<PartEntry> parts_;         // seen whole, by place
  std::vector<BrokenRange> tail_;        // broken, and no valid commit record behind them so far
  std::vector<MissingPart> incomplete_;  // messages
};

}  // namespace backstay
