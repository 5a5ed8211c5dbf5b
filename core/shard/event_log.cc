// core/shard/event_log.cc -- gather, write, gather; one operation at a time.
#include "core/shard/event_log.h"

#include <algorithm>
#include <utility>

#include "core/base/check.h"
#include "core/base/log.h"
#include "core/base/mark.h"
#include "core/event/json_line.h"
#include "core/event/postfix_lines.h"

namespace backstay {
namespace {

// How long a line may wait for others.
constexpr absl::Duration kGatherMax = absl::Milliseconds(100);
constexpr absl::Duration kOpenAgain = absl::Seconds(1);
constexpr absl::Duration kStopMax = absl::Seconds(1);
// PIPE_BUF: what a pipe takes in one piece, so that lines of several shards do not mix there.
constexpr size_t kPieceBytesMax = 4096;

size_t LinesOf(std::string_view text) {
  return static_cast<size_t>(std::count(text.begin(), text.end(), '\n'));
}

}  // namespace

EventLog::EventLog(Io& io, TimerWheel& wheel, Fd standard_error, size_t shard, size_t shards)
    : io_(io), wheel_(wheel), standard_error_(standard_error), shard_(shard), shards_(shards) {
  // What gathers until it is written, and a line more: no growing on the way of a message.
  gathering_.reserve(2 * kWriteBytesMin);
  writing_.reserve(2 * kWriteBytesMin);
}

EventLog::~EventLog() {
  wheel_.Cancel(&clock_);
}

void EventLog::UseSnapshot(const Snapshot& snapshot) {
  format_ = snapshot.config.log.format;
  path_ = snapshot.config.log.file;
  host_ = snapshot.hostname.substr(0, snapshot.hostname.find('.'));
  time_ = std::make_unique<TimeText>(
      format_ == LogConfig::Format::kJson ? TimeText::Form::kIso : TimeText::Form::kSyslog,
      snapshot.time_zone);
  reopen_ = true;
  if (op_.in_flight) {
    io_.Cancel(&op_);  // it may be what does not go on
    return;
  }
  Continue();
}

// ---- lines ----

void EventLog::Add(Event event) {
  if (!is_on()) {
    return;
  }
  event.time = io_.WallNow();
  const size_t before = gathering_.size();
  Format(event);
  if (gathering_.size() > kBufferBytesMax && event.kind != EventKind::kLinesLost) {
    lines_lost_ += LinesOf(std::string_view(gathering_).substr(before));
    gathering_.resize(before);
    return;
  }
  if (step_ != Step::kOpen) {
    return;
  }
  if (gathering_.size() >= kWriteBytesMin) {
    Write();
  } else if (!clock_.armed() && !gathering_.empty()) {
    wheel_.Insert(&clock_, io_.Now() + kGatherMax);
  }
}

void LogIfRemoved(EventLog& log, const Spool& spool, MessageRef message) {
  const uint32_t recipients = log.is_on() ? spool.Recipients(message) : 0;
  for (uint32_t recipient = 0; recipient < recipients; ++recipient) {
    if (spool.IsLive(message, recipient)) {
      return;
    }
  }
  if (recipients > 0) {
    const auto id = spool.Id(message).ToText();
    Event event;
    event.kind = EventKind::kRemoved;
    event.id = std::string_view(id.data(), id.size());
    log.Add(event);
  }
}

void EventLog::Format(const Event& event) {
  switch (format_) {
    case LogConfig::Format::kJson:
      AppendJsonLine(event, *time_, gathering_);
      return;
    case LogConfig::Format::kPostfix:
      AppendPostfixLines(event, host_, *time_, gathering_);
      return;
  }
  UNREACHABLE();
}

// ---- the file ----

void EventLog::OnDone(const IoResult& result) {
  if (stopping_ && !clock_.armed()) {
    // The second that it had is over. Also when the cancel came too late: nobody would end what is
    // begun now.
    step_ = Step::kPaused;
    return;
  }
  if (step_ == Step::kOpening) {
    OnOpened(result);
  } else {
    ASSERT(step_ == Step::kWriting);
    OnWritten(result);
  }
}

// What is due next, with nothing in flight.
void EventLog::Continue() {
  if (reopen_) {
    reopen_ = false;
    SkipTornLine();
    CloseFile();
    Open();
  } else if (!writing_.empty() || gathering_.size() >= kWriteBytesMin ||
             (stopping_ && !gathering_.empty())) {
    Write();
  } else if (!gathering_.empty()) {
    wheel_.Insert(&clock_, io_.Now() + kGatherMax);
  }
}

void EventLog::Open() {
  if (!is_on()) {
    step_ = Step::kClosed;
    return;
  }
  if (path_.empty()) {
    file_ = standard_error_;
    step_ = Step::kOpen;
    Continue();
    return;
  }
  step_ = Step::kOpening;
  opening_ = path_;
  io_.OpenPath(&op_, opening_.c_str(), OpenMode::kAppend);
}

void EventLog::OnOpened(const IoResult& result) {
  if (!result.ok() && !reopen_) {
    Pause(result.error());
    return;
  }
  if (result.ok()) {
    file_ = result.fd();
  }
  step_ = Step::kOpen;
  Continue();
}

void EventLog::Write() {
  if (!stopping_) {
    wheel_.Cancel(&clock_);
  }
  if (writing_.empty()) {
    writing_.swap(gathering_);
    written_ = 0;
  }
  step_ = Step::kWriting;
  io_.Append(&op_, file_, NextPiece());
}

// To a pipe or a terminal: whole lines, as many as fit a piece.
Bytes EventLog::NextPiece() const {
  const std::string_view rest = std::string_view(writing_).substr(written_);
  if (!path_.empty() || rest.size() <= kPieceBytesMax) {
    return AsBytes(rest);
  }
  const size_t end = rest.rfind('\n', kPieceBytesMax - 1);
  return AsBytes(rest.substr(0, end == std::string_view::npos ? kPieceBytesMax : end + 1));
}

void EventLog::OnWritten(const IoResult& result) {
  if (result.ok() && result.count() > 0) {
    written_ += result.count();
  } else if (result.ok() || result.error() != IoError::kCanceled) {
    Pause(result.ok() ? IoError::kNoSpace : result.error());
    return;
  }
  if (written_ == writing_.size()) {
    writing_.clear();
    written_ = 0;
    SayLost();  // not open yet: its line gathers, and what gathered is written below
  }
  step_ = Step::kOpen;
  Continue();
}

// ---- when it does not work ----

void EventLog::Pause(IoError error) {
  step_ = Step::kPaused;
  if (!std::exchange(is_failing_, true)) {
    LogWarning("log {}: {}; mail goes on, and lines wait while there is room for them",
               path_.empty() ? "(standard error)" : Escaped(path_), Describe(error));
  }
  if (!stopping_) {
    wheel_.Insert(&clock_, io_.Now() + kOpenAgain);
  }
}

void EventLog::OnClock() {
  if (stopping_) {
    MARK("log_given_up");
    io_.Cancel(&op_);
  } else if (step_ == Step::kPaused) {
    reopen_ = true;
    Continue();
  } else if (step_ == Step::kOpen && !gathering_.empty()) {
    Write();
  }
}

// A full disk may have taken half a line, and others of another shard may stand behind it by now:
// the half is ended and its rest is lost.
void EventLog::SkipTornLine() {
  if (written_ > 0 && writing_[written_ - 1] != '\n' && writing_[written_] != '\n') {
    MARK("log_line_torn");
    written_ = writing_.find('\n', written_);
    ++lines_lost_;
  }
}

void EventLog::SayLost() {
  if (std::exchange(is_failing_, false)) {
    LogInfo("log {}: goes on", path_.empty() ? "(standard error)" : Escaped(path_));
  }
  if (lines_lost_ > 0) {
    Event lost;
    lost.kind = EventKind::kLinesLost;
    lost.lines = std::exchange(lines_lost_, 0);
    LogWarning("log: {} lines were lost", lost.lines);
    Add(lost);
  }
}

// ---- the end ----

void EventLog::CloseFile() {
  if (file_.valid() && file_ != standard_error_) {
    io_.Close(file_);
  }
  file_ = Fd();
}

void EventLog::Stop() {
  if (std::exchange(stopping_, true)) {
    return;
  }
  wheel_.Cancel(&clock_);
  if (step_ == Step::kOpen) {
    Continue();
  }
  if (op_.in_flight) {
    wheel_.Insert(&clock_, io_.Now() + kStopMax);
  }
}

}  // namespace backstay
