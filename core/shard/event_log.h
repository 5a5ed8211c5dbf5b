// core/shard/event_log.h -- one shard's part of the log of messages: lines, through the ring, to a
// file.
//
// Nobody waits for the log. Lines gather while others are written; when there is no more room they
// are counted, and the log says how many when it goes again. A log that cannot be opened or written
// is tried again each second. Shards write whole lines to one file that each has opened itself; a
// named pipe may mix those of several, standard error does not.
//
// Life:     UseSnapshot() opens; again: opens anew, for a file that was rotated away. Stop() writes
//           what is there, or gives it up after a second; then idle().
// Owns:     two buffers of kBufferBytesMax, its own descriptor of the file.
// Outlives: `snapshot` lives until the next one is used.
// Turn:     Add() only formats; writes begin when much has gathered or a moment has passed.
#pragma once

#include <memory>
#include <string>

#include "core/base/units.h"
#include "core/event/event.h"
#include "core/event/time_text.h"
#include "core/queue/timer_wheel.h"
#include "core/shard/snapshot.h"
#include "io/io.h"
#include "spool/spool.h"

namespace backstay {

class EventLog {
 public:
  // Half a second of a busy shard. An event's own lines are shorter (kListedBytesMax).
  static constexpr size_t kBufferBytesMax = 2_MiB;
  static constexpr size_t kWriteBytesMin = 64_KiB;  // so much is written at once

  // `standard_error`: where lines go when log.file is empty; not valid: nowhere. `shard` of
  // `shards`: for numbers that no other shard gives.
  EventLog(Io& io, TimerWheel& wheel, Fd standard_error, size_t shard, size_t shards);
  ~EventLog();
  EventLog(const EventLog&) = delete;
  EventLog& operator=(const EventLog&) = delete;

  void UseSnapshot(const Snapshot& snapshot);
  void Add(Event event);  // its time is now
  // Of a connection that begins now.
  uint64_t NextConnection() { return ++connections_ * shards_ + shard_; }
  // Somebody reads: worth making an event that costs something to make.
  bool is_on() const { return !path_.empty() || standard_error_.valid(); }
  void Stop();
  bool idle() const { return !op_.in_flight; }
  uint64_t lines_lost() const { return lines_lost_; }  // since the log last said so

 private:
  enum class Step : uint8_t { kClosed, kOpening, kOpen, kWriting, kPaused };
  void OnDone(const IoResult& result);
  void OnClock();
  void OnOpened(const IoResult& result);
  void OnWritten(const IoResult& result);
  void Continue();
  void Open();
  void Write();
  Bytes NextPiece() const;
  void Pause(IoError error);
  void SkipTornLine();
  void SayLost();
  void Format(const Event& event);
  void CloseFile();

  Io& io_;
  TimerWheel& wheel_;
  const Fd standard_error_;
  const size_t shard_;
  const size_t shards_;
  LogConfig::Format format_ = LogConfig::Format::kJson;
  std::string host_;
  std::string path_;     // empty: standard_error_
  std::string opening_;  // the path that is being opened; lives until the operation has ended
  std::unique_ptr<TimeText> time_;
  uint64_t connections_ = 0;
  Step step_ = Step::kClosed;
  Fd file_;
  std::string gathering_;
  std::string writing_;  // with the kernel from written_ on
  size_t written_ = 0;
  uint64_t lines_lost_ = 0;
  bool reopen_ = false;
  bool is_failing_ = false;  // the operator was told
  bool stopping_ = false;
  Alarm<&EventLog::OnClock> clock_{this};
  Completion<&EventLog::OnDone> op_{this};
};

// Says so when no recipient of the message is live any more.
void LogIfRemoved(EventLog& log, const Spool& spool, MessageRef message);

}  // namespace backstay
