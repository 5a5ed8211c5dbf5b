// spool/staging.h -- content of all messages under way: its memory, its budget, and who waits for
// room.
//
// Owns:  a pool of chunks. Writers own the chunks they took until they give them back.
// Turn:  Pump comes from Spool::CommitTurn.
#pragma once

#include <memory>
#include <vector>

#include "core/base/bytes.h"
#include "core/base/list.h"
#include "spool/segment.h"

namespace backstay {

class StagedWriter;

class StagedNode : public ListNode {
 public:
  explicit StagedNode(StagedWriter& owner) : writer(owner) {}
  StagedWriter& writer;
};

// A MessageWriter as the spool sees it.
class StagedWriter {
 public:
  StagedWriter() : active_node(*this), wait_node(*this) {}
  // Appends what is due (with `force`: everything that is staged). True: it waits no more and has
  // unlinked its wait_node; it may be gone afterwards. False: the log has no room for it.
  virtual bool Pump(bool force) = 0;
  virtual bool is_finishing() const = 0;
  // Ends a finishing message that nothing was appended for. May be gone afterwards.
  virtual void Refuse(CommitResult result) = 0;
  // Drops what is staged of an unfinished message; it is refused so when it is finished.
  virtual void GiveUp(CommitResult result) = 0;
  // It was given up, or a part of it is lost: tells so. May be gone afterwards.
  virtual void TellFailed() = 0;
  // Records in `segment` at or behind `from` are lost.
  virtual void LoseParts(uint32_t segment, uint64_t from) = 0;

  StagedNode active_node;  // in Staging's list while it has staged content or parts
  StagedNode wait_node;    // in one of Staging's lists while it waits

 protected:
  ~StagedWriter() = default;
};

class Staging {
 public:
  static constexpr size_t kChunkBytes = 4_KiB;
  // Free chunks that a pause leaves: enough for the first messages of the next burst.
  static constexpr size_t kIdleBytesMax = 1_MiB;
  using Chunk = std::unique_ptr<uint8_t[]>;

  Staging(size_t part_bytes, size_t bytes_max) : part_bytes_(part_bytes), bytes_max_(bytes_max) {}
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;

  Chunk Take();
  void Give(Chunk chunk);
  // In a pause: what a burst needed goes back to the system.
  void GiveBackMemory();
  size_t bytes() const { return chunks_out_ * kChunkBytes; }
  bool over_budget() const { return bytes() > bytes_max_; }
  // When so much is staged by one writer it becomes a part.
  size_t part_bytes() const;

  void Activate(StagedWriter& writer);
  void WaitForRoom(StagedWriter& writer);
  // Its message has failed; it is told from the next Pump.
  void WaitForRefusal(StagedWriter& writer);
  bool has_waiting() const { return !waiting_.empty(); }
  bool has_refused() const { return !refused_.empty(); }

  void TellRefused();
  void Pump();
  // Ends every finished message that still waits for room, and gives up the unfinished ones that
  // do.
  void RefuseWaiting(CommitResult result);
  void LoseParts(uint32_t segment, uint64_t from);

 private:
  void PumpForced();

  const size_t part_bytes_;
  const size_t bytes_max_;
  std::vector<Chunk> free_;
  size_t chunks_out_ = 0;
  List<StagedNode> active_;
  List<StagedNode> waiting_;  // first come, first served
  List<StagedNode> refused_;
};

}  // namespace backstay
