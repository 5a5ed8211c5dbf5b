// spool/quarantine.h -- copies broken ranges of segments to files of their own, for a human to look
// at.
//
// Life:  Add ranges, Start, OnQuarantined. A copy that exists already is left as it is.
// Errors: a copy that fails is named in the log and given up; the range stays where it was.
// Turn:  one operation at a time.
#pragma once

#include <string>
#include <vector>

#include "io/io.h"
#include "spool/aligned_buffer.h"

namespace backstay {

class QuarantineEvents {
 public:
  virtual void OnQuarantined() = 0;

 protected:
  ~QuarantineEvents() = default;
};

class Quarantine {
 public:
  Quarantine(Io& io, Fd directory, QuarantineEvents& events)
      : io_(io), directory_(directory), events_(events) {}
  Quarantine(const Quarantine&) = delete;
  Quarantine& operator=(const Quarantine&) = delete;

  // `file` must stay open until OnQuarantined.
  void Add(uint32_t segment, Fd file, uint64_t from, uint64_t to);
  void Start();

 private:
  static constexpr size_t kCopyBytes = 1_MiB;
  static constexpr size_t kRangesMax = 1000;

  enum class Step : uint8_t { kIdle, kCreated, kRead, kWritten, kSynced, kDirectorySynced };
  struct Range {
    uint32_t segment;
    Fd file;
    uint64_t from;
    uint64_t to;
  };

  void Next();
  void Advance(const IoResult& result);
  void ReadMore();
  void EndRange();
  void Finish();

  Io& io_;
  const Fd directory_;
  QuarantineEvents& events_;
  Step step_ = Step::kIdle;
  std::vector<Range> ranges_;
  size_t current_ = 0;
  uint64_t copied_ = 0;  // of the current range
  size_t written_ = 0;   // of buffer_
  bool has_copied_ = false;
  std::string name_;
  Fd quarantine_;
  Fd copy_;
  AlignedBuffer buffer_;
  Completion<&Quarantine::Advance> op_{this};
};

}  // namespace backstay
