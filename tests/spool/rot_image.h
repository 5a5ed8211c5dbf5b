// tests/spool/rot_image.h -- a spool on a disk of which it is known what every byte says: harm it,
// start on it, compare with the ledger.
//
// The image is built once. A case harms some files and calls StartAndJudge(), which starts a spool,
// reads everything, checks what was found against what was harmed, and puts the image back.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "spool/record.h"
#include "tests/spool/spool_harness.h"

namespace backstay {

// What a range of a file says. Padding is in no region.
enum class Holds : uint8_t {
  kHeader,
  kHeaderCopy,
  kStart,
  kCommit,
  kMessage,
  kPart,
  kOutcomes,
  kFooter,
  kPlace,  // of the footer
  kFree,   // behind the last batch and the footer
  kCheckpoint
};

struct Region {
  uint64_t from = 0;
  uint64_t to = 0;
  Holds holds = Holds::kFree;
  MessageRef place;  // of the record
};

inline Bytes From(const std::string& contents, uint64_t at) {
  return AsBytes(std::string_view(contents).substr(static_cast<size_t>(at)));
}

class RotImage {
 public:
  struct Shape {
    uint64_t segment_bytes = 64_KiB;
    size_t sealed_segments = 3;
    bool with_checkpoints = true;  // without them every segment is scanned
    uint16_t shard = 2;
  };
  explicit RotImage(const Shape& shape);

  // ---- what there is ----
  // Segments with mail in them, oldest first, and checkpoints.
  const std::vector<std::string>& segments() const { return segments_; }
  const std::vector<std::string>& checkpoints() const { return checkpoints_; }
  const std::string& Original(const std::string& name) const { return originals_.at(name); }
  const std::vector<Region>& Regions(const std::string& name) const { return regions_.at(name); }
  bool HoldsNothing(const std::string& name, uint64_t at) const;
  uint64_t Count(Holds holds) const;
  uint64_t starts() const { return starts_; }
  SpoolHarness& harness() { return harness_; }

  // ---- harm ----
  void FlipBit(const std::string& name, uint64_t bit);
  void Overwrite(const std::string& name, uint64_t at, const std::string& bytes);
  void Truncate(const std::string& name, uint64_t bytes);
  void Delete(const std::string& name);
  // In the place of a file that is there, or beside them.
  void Put(const std::string& name, const std::string& contents);
  // The harm cannot be told from what a crash leaves.
  void ForgiveSilence() {
    must_report_ = false;
    must_be_named_.clear();
  }

  // ---- the verdict ----
  void StartAndJudge();

 private:
  enum class State : uint8_t { kLive, kPending, kDone };
  struct Account {
    std::string envelope;
    std::string content;
    std::vector<std::string> domains;  // of each recipient
    std::vector<State> states;
    std::map<uint32_t, std::string> notes;
  };
  using Recipient = std::pair<MessageRef, uint32_t>;
  struct Touched {
    std::string name;
    uint64_t from;
    uint64_t to;
  };

  // building
  void Build();
  void SendSome(uint64_t i);
  void SettleSome(uint64_t i);
  void Take();
  void Map(const std::string& name);
  void MapRecords(const std::string& name, const SegmentHeader& header);
  void MapRecord(Holds holds, MessageRef place, Bytes payload);
  void FindCover();

  // harm
  void Hit(const std::string& name, uint64_t from, uint64_t to);
  void HitRegion(const std::string& name, const Region& region);
  bool IsOwed(MessageRef message) const;
  bool IsTailOrPlaceAllZero(const std::string& name, const std::string& contents) const;

  // verdict
  void JudgeMessages();
  void JudgeRecipients();
  void JudgeReport();
  bool IsCopied();
  bool IsNamed() const;
  void Restore();

  const Shape shape_;
  SpoolHarness harness_;
  std::map<MessageRef, Account> accounts_;
  uint64_t pending_ = 0;  // recipients

  std::map<std::string, std::string> originals_;
  std::vector<std::string> segments_;
  std::vector<std::string> checkpoints_;
  std::map<std::string, std::vector<Region>> regions_;
  std::map<MessageRef, MessageRef> part_owner_;            // place of a part: its message
  std::map<MessageRef, std::vector<Recipient>> outcomes_;  // place of a record: whom it settles
  std::set<std::string> by_footer_;                        // segments that a start does not scan
  std::string tail_;                                       // where the log ends
  std::pair<uint64_t, uint64_t> last_batch_;               // in tail_

  // of the case at hand
  std::vector<Touched> touched_;
  std::set<MessageRef> hit_messages_;    // may be missing or damaged
  std::set<Recipient> hit_recipients_;   // may be live again
  std::set<std::string> must_be_named_;  // in the log, by any of these words
  bool must_report_ = false;
  bool may_report_ = false;
  bool must_copy_ = false;
  std::pair<std::string, std::string> foreign_;  // name and contents
  std::optional<uint64_t> flipped_;              // bit, in the one file that was touched
  uint64_t starts_ = 0;
};

}  // namespace backstay
