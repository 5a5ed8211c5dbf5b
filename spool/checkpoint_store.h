// spool/checkpoint_store.h -- checkpoint files beside the log; the two newest are kept.
//
// Names:  "checkpoint-0000002a"; numbers only grow and have nothing to do with those of segments.
// Errors: a checkpoint that cannot be written is named in the log and removed; the older ones stay
//         good. One that cannot be read or is not whole is named and passed over for the one
//         before it: it may be damaged, or not finished when the machine stopped. A start that
//         has no descriptor or no memory to open one waits: without it settled mail would come
//         back.
// Turn:   one operation at a time.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "io/io.h"
#include "spool/checkpoint.h"
#include "spool/range_read.h"

namespace backstay {

class CheckpointEvents {
 public:
  // The newest segment that any of them speaks for; 0: none does. Only asked for by who writes.
  virtual void OnCoversFound(uint32_t) {}
  // The newest whole one, if there is one.
  virtual void OnCheckpointRead(std::optional<Checkpoint> checkpoint) = 0;

 protected:
  ~CheckpointEvents() = default;
};

class CheckpointStore : private RangeReadEvents {
 public:
  CheckpointStore(Io& io, Fd directory, const Checkpoint::Identity& identity,
                  CheckpointEvents& events);
  CheckpointStore(const CheckpointStore&) = delete;
  CheckpointStore& operator=(const CheckpointStore&) = delete;

  // Before Read: from the first bytes of each of these. OnCoversFound comes once. One that cannot
  // be read is passed over: what it covers has files, unless somebody removed them.
  void FindCovers(std::vector<uint32_t> numbers);
  // `numbers`: of the files that are there, ascending. OnCheckpointRead comes once.
  void Read(std::vector<uint32_t> numbers);
  // The one that was told does not fit to the log. OnCheckpointRead comes once more, with the one
  // before it.
  void ReadOlder();
  // Once a turn while OnCheckpointRead is waited for: opens what could not be opened before.
  // `is_given_up`: nobody wants one any more.
  void StepRead(bool is_given_up);
  Instant NextDue() const { return step_ == Step::kWaiting ? retry_at_ : Instant::Max(); }
  // The device did not give one that may be good.
  bool has_unread() const { return has_unread_; }
  bool busy() const { return step_ != Step::kIdle; }
  void Write(const Checkpoint& checkpoint);
  // The last one could not be written; said once.
  bool TakeFailed() { return std::exchange(failed_, false); }
  // And no other one since.
  bool is_failing() const { return is_failing_; }
  uint64_t failures() const { return failures_; }  // to write one
  size_t bytes() const { return last_bytes_; }     // of the last one
  uint32_t next_number() const { return last_number_ + 1; }
  // Of the newest one that is on the disk; 0: there is none, or it is being written.
  uint32_t newest_number() const { return numbers_.empty() || busy() ? 0 : numbers_.back(); }
  // Of the older one of those kept; 0: there is one at most. Those of earlier runs count, though
  // they may be damaged.
  uint32_t older_number() const {
    return numbers_.size() < 2 || busy() ? 0 : numbers_[numbers_.size() - 2];
  }

 private:
  enum class Step : uint8_t {
    kIdle,
    kHeadOpened,  // of each
    kHeadRead,
    kWaiting,  // to open it once more
    kOpened,   // to read
    kRead,
    kCreated,
    kWritten,
    kSynced,
    kDirectorySynced,
    kUnlinked
  };

  void ReadNextHead();
  void ReadNext();
  void Open();
  void OpenFailed(IoError error);
  void PassOverUnread(IoError error);
  // The one looked at last goes when a better one is written.
  void PassOver();
  void OnRangeRead(IoError error, size_t bytes) override;
  void Advance(const IoResult& result);
  void WriteMore();
  void UnlinkUnwanted();
  void Failed(const char* what, IoError error);

  Io& io_;
  const Fd directory_;
  const Checkpoint::Identity identity_;
  CheckpointEvents& events_;
  Step step_ = Step::kIdle;
  std::vector<uint32_t> numbers_;   // of the files that may be good, ascending
  std::vector<uint32_t> unwanted_;  // of files that are to be unlinked
  uint32_t last_number_ = 0;
  size_t left_ = 0;      // of numbers_, still to be tried
  uint32_t covers_ = 0;  // of those whose heads were read
  int failed_opens_ = 0;
  Instant retry_at_;
  bool has_unread_ = false;
  std::string name_;
  Fd file_;
  std::vector<uint8_t> bytes_;
  size_t written_ = 0;
  bool failed_ = false;
  bool is_failing_ = false;
  uint64_t failures_ = 0;
  size_t last_bytes_ = 0;
  RangeRead read_;
  Completion<&CheckpointStore::Advance> op_{this};
};

std::optional<uint32_t> ParseCheckpointName(std::string_view name);

}  // namespace backstay
