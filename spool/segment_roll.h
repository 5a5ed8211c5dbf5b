// spool/segment_roll.h -- prepares the next segment ahead of need: a new file, or a spare one under
// a new name; both headers, syncs.
//
// Life:  Start, steps, OnSegmentReady or OnRollFailed; then the owner takes the segment or starts
//        again.
// Owns:  the descriptor until the segment is taken.
// Errors: a failed step removes the file; nothing was promised in it. kNoSpace keeps the number,
//         any other
//        failure uses it up (the file may have survived).
// Turn:  one operation at a time.
// See:   FORMAT.md 4.1.
#pragma once

#include <memory>
#include <optional>

#include "io/io.h"
#include "spool/aligned_buffer.h"
#include "spool/segment.h"
#include "spool/spare_pool.h"

namespace backstay {

class RollEvents {
 public:
  virtual void OnSegmentReady() = 0;
  virtual void OnRollFailed(IoError error) = 0;

 protected:
  ~RollEvents() = default;
};

class SegmentRoll {
 public:
  struct Identity {
    uint16_t node = 0;
    uint16_t shard = 0;
    uint64_t segment_bytes = 0;
  };
  SegmentRoll(Io& io, Fd directory, const Identity& identity, SparePool& spares,
              RollEvents& events);
  SegmentRoll(const SegmentRoll&) = delete;
  SegmentRoll& operator=(const SegmentRoll&) = delete;

  void set_next_number(uint32_t number) { next_number_ = number; }
  bool busy() const { return step_ != Step::kIdle; }
  bool ready() const { return ready_ != nullptr; }
  void Start();
  std::unique_ptr<Segment> Take();

 private:
  enum class Step : uint8_t {
    kIdle,
    kCreated,
    kAllocated,
    kHeaderWritten,
    kCopyWritten,
    kFileSynced,
    kRenamed,  // a spare
    kDirectorySynced,
    kRemoved  // after a failure
  };

  void Advance(const IoResult& result);
  void Created(const IoResult& result);
  void Renamed(const IoResult& result);
  void SealHeader(uint32_t generation);
  void WriteHeader(Step next);
  Bytes HeaderBytes() const;
  uint64_t HeaderAt() const;
  bool HeaderGoesOn(const IoResult& result);
  void Fail(const char* what, IoError error);

  Io& io_;
  const Fd directory_;
  const Identity identity_;
  SparePool& spares_;
  RollEvents& events_;
  Step step_ = Step::kIdle;
  uint32_t next_number_ = 1;
  SegmentName name_{};
  SegmentName spare_name_{};
  std::optional<Spare> spare_;  // that becomes the segment
  SegmentHeader header_;
  Fd file_;
  AlignedBuffer blocks_;  // a block of zeros for the place of the footer, and the header
  size_t written_ = 0;    // in the write under way
  IoError error_ = IoError::kNone;
  std::unique_ptr<Segment> ready_;
  Completion<&SegmentRoll::Advance> op_{this};
};

}  // namespace backstay
