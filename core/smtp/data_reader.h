// core/smtp/data_reader.h -- mail data off the wire: its end, dots un-stuffed, CR, LF, NUL policed.
//
// Only CRLF.CRLF ends data, and .CRLF as its very first line. What follows a bare CR or a bare LF
// is never the start of a line here, whatever the mode: neither an end of data nor a stuffed dot.
//
// Life:  Start(), Consume() until done().
// Owns:  nothing: content is emitted as runs of the caller's bytes. Any cut is survived.
// Errors: fault(); from then on nothing is emitted and only the end is looked for, as fast.
// See:   RFC 5321 s2.3.8, s4.5.2; reliability rows 1-15.
#pragma once

#include <cstddef>
#include <cstdint>

#include "absl/functional/function_ref.h"
#include "core/base/bytes.h"

namespace backstay {

class DataReader {
 public:
  // A bare CR or LF: kReject makes it a fault, kNormalize turns it into CRLF. NUL is always one.
  enum class Mode : uint8_t { kReject, kNormalize };
  enum class Fault : uint8_t { kNone, kBareNewline, kNul };  // the first one met
  // Gets the decoded content in order, never an empty piece. It may call Discard().
  using Sink = absl::FunctionRef<void(Bytes)>;

  void Start(Mode mode);
  // Returns the bytes taken: all, or up to and with the end of data.
  size_t Consume(Bytes bytes, Sink sink);
  // Emits nothing from here on; the end is still looked for.
  void Discard() { discarding_ = true; }

  bool done() const { return state_ == State::kDone; }
  Fault fault() const { return fault_; }
  // Some line of what was emitted begins with a dot. Meaningless after Discard() or a fault.
  bool has_dot_lines() const { return has_dot_lines_; }

 private:
  enum class State : uint8_t {
    kLineStart,       // at the start of data or behind CRLF
    kDot,             // a dot at a line's start, not emitted
    kDotCr,           // and a CR behind it
    kText,            // inside a line
    kCr,              // a CR inside a line: CRLF or bare, the next byte tells
    kStrayLineStart,  // behind a bare LF that became CRLF
    kDone
  };
  struct Run;

  size_t SkipPlain(const uint8_t* from, size_t bytes);
  void Step(uint8_t byte, size_t at, Run& run);
  void StepText(uint8_t byte, size_t at, Run& run);
  void StrayCr(size_t at, Run& run);
  void StrayLf(size_t at, Run& run);
  void Fail(Fault fault, size_t end, Run& run);

  State state_ = State::kDone;
  Mode mode_ = Mode::kReject;
  Fault fault_ = Fault::kNone;
  bool discarding_ = false;
  bool has_dot_lines_ = false;
};

}  // namespace backstay
