// spool/range_read.h -- reads a range of a file whole: goes on after short reads.
//
// Life:  Start, one OnRangeRead, again. The buffer and the file must live until then.
// Errors: kNone with fewer bytes than asked for: the file ends there.
#pragma once

#include "io/io.h"

namespace backstay {

// A disk that fails a read often answers the next one.
inline constexpr int kReadTries = 3;

class RangeReadEvents {
 public:
  virtual void OnRangeRead(IoError error, size_t bytes) = 0;

 protected:
  ~RangeReadEvents() = default;
};

class RangeRead {
 public:
  // `tries`: how often in all a read that fails is started.
  RangeRead(Io& io, RangeReadEvents& events, int tries) : io_(io), events_(events), tries_(tries) {}
  RangeRead(const RangeRead&) = delete;
  RangeRead& operator=(const RangeRead&) = delete;

  bool busy() const { return op_.in_flight; }
  void Start(Fd file, MutableBytes into, uint64_t at) {
    file_ = file;
    into_ = into;
    at_ = at;
    done_ = 0;
    failures_ = 0;
    Continue();
  }

 private:
  void Continue() { io_.Read(&op_, file_, into_.subspan(done_), Offset{at_ + done_}); }
  void OnRead(const IoResult& result) {
    if (!result.ok()) {
      // Behind an odd end of file a read around the page cache is refused instead of being empty.
      const bool is_end = done_ > 0 && result.error() == IoError::kInvalid;
      if (!is_end && ++failures_ < tries_) {
        return Continue();
      }
      return events_.OnRangeRead(is_end ? IoError::kNone : result.error(), done_);
    }
    done_ += result.count();
    ASSERT(done_ <= into_.size());
    if (result.count() == 0 || done_ == into_.size()) {
      return events_.OnRangeRead(IoError::kNone, done_);
    }
    Continue();
  }

  Io& io_;
  RangeReadEvents& events_;
  const int tries_;
  int failures_ = 0;
  Fd file_;
  MutableBytes into_;
  uint64_t at_ = 0;
  size_t done_ = 0;
  Completion<&RangeRead::OnRead> op_{this};
};

}  // namespace backstay
