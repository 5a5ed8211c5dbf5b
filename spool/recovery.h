// spool/recovery.h -- from files to the queue: reads every segment in order and fills set and
// index.
//
// Third part of a start, behind Catalog and TailScan. New mail is taken meanwhile; what is found is
// published when all of it is known, because a settle may stand in the very last segment.
//
// Life:  Start, OnRecovered once. Changes nothing on disk but copies in quarantine/.
// Owns:  nothing afterwards: segments go to the SegmentSet.
// Turn:  one operation at a time.
// See:   FORMAT.md 6.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_map.h"
#include "spool/catalog.h"
#include "spool/checkpoint_cover.h"
#include "spool/footer_file.h"
#include "spool/group_commit.h"
#include "spool/index.h"
#include "spool/message_replay.h"
#include "spool/quarantine.h"
#include "spool/replay.h"
#include "spool/segment_reader.h"
#include "spool/segment_scan.h"
#include "spool/zero_check.h"

namespace backstay {

class RecoveryEvents {
 public:
  virtual void OnRecovered() = 0;

 protected:
  ~RecoveryEvents() = default;
};

class Recovery final : private FooterReaderEvents,
                       private SegmentReaderEvents,
                       private ScanEvents,
                       private QuarantineEvents {
 public:
  struct Result {
    uint64_t damaged = 0;
    uint64_t torn = 0;
    uint64_t segments_scanned = 0;  // the others were known by their footers
    bool has_lost = false;          // segments with mail that is owed
  };

  Recovery(Io& io, Fd directory, uint16_t shard, Catalog& catalog, SegmentSet& segments,
           Index& index, RecoveryEvents& events);
  Recovery(const Recovery&) = delete;
  Recovery& operator=(const Recovery&) = delete;

  // The segments are in the set, empty and not published; new ones may be added behind them.
  void AddSegments();
  void Start(std::optional<Checkpoint> checkpoint);
  // OnRecovered comes soon, and nothing that was found counts.
  void Abort() { is_aborted_ = true; }
  bool is_aborted() const { return is_aborted_; }
  // The checkpoint and the segments disagree: nothing that was found counts, and another Recovery
  // tries the checkpoint before it, or none.
  bool is_misfit() const { return is_misfit_; }
  const Result& result() const { return result_; }
  // Notes of live recipients and rules in force.
  Replay& replay() { return replay_; }
  // Its checkpoint is of a version that kept none.
  bool LacksAccounts() const { return cover_.LacksAccounts(); }

 private:
  struct BrokenRange {
    uint32_t segment;
    ByteRange range;
    BatchFlaw flaw;
  };
  struct DoubtfulMessage {
    MessageRef message;
    uint32_t recipients;
    MessageRef reported_message;
    std::vector<Debt> debts;  // of that one, that end with it if it is kept
  };

  void OnSegmentRead() override;
  void OnRecord(const RecordHeader& header, uint32_t block, Bytes payload) override;
  void OnCommit(const CommitPayload& commit, bool continues) override;
  void OnFooterRead(Bytes payload, bool is_damaged) override;
  void OnBrokenBatch(ByteRange range, BatchFlaw flaw) override;
  void OnBrokenChain(uint64_t at) override;
  void OnQuarantined() override;

  Segment* AddSegment(const SegmentHeader& header, Fd file);
  void NextSegment();
  void OnReopened(const IoResult& result);
  // False: there is nothing to read in it.
  bool StartReading();
  // Its messages are known: are those that are owed known as well?
  void EndCovered();
  void EndSegment();
  void EndZeroCheck();
  void NameDamagedFile(const CatalogEntry& entry);
  void EndReading();
  void CheckPrevious(const CatalogEntry& entry);
  void AddMessage(const RecordHeader& header, uint32_t block, Bytes payload);
  bool HasParts() const;
  bool IsInTail(MessageRef message) const;
  void Damaged(const BrokenRange& broken, const char* what);
  void JudgeTail();
  void DropDoubtful();

  Io& io_;
  const Fd directory_;
  const uint16_t shard_;
  Catalog& catalog_;
  SegmentSet& segments_;
  Index& index_;
  RecoveryEvents& events_;
  SegmentReader reader_;
  FooterReader footer_;
  Quarantine quarantine_;
  Result result_;
  Replay replay_;
  CheckpointCover cover_{std::nullopt};
  MessageReplay messages_;

  bool is_aborted_ = false;
  bool is_misfit_ = false;
  size_t current_ = 0;  // in the catalog
  Segment* segment_ = nullptr;
  std::unique_ptr<SegmentScan> scan_;
  std::unique_ptr<ZeroCheck> zero_check_;
  std::optional<uint32_t> last_commit_crc_;
  std::vector<uint32_t> with_commit_;  // segments with a valid commit record, ascending
  DecodedMessage message_;
  absl::flat_hash_map<uint64_t, PartEntry> parts_;  // seen whole, by place
  std::vector<BrokenRange> tail_;          // broken, and no valid commit record behind them so far
  std::vector<DoubtfulMessage> doubtful_;  // some part is missing
  uint64_t damage_lines_ = 0;
  int failed_opens_ = 0;
  Completion<&Recovery::OnReopened> open_{this};
  SegmentName open_name_{};  // while open_ is in flight
};

}  // namespace backstay
