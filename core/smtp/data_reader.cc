// core/smtp/data_reader.cc -- one automaton, and a way past the bytes that cannot concern it.
#include "core/smtp/data_reader.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "core/smtp/line_scan.h"

namespace backstay {

// The bytes of this call that are content and not yet emitted: [start, wherever the automaton is).
struct DataReader::Run {
  void Emit(Bytes content) {
    if (!reader.discarding_ && !content.empty()) {
      sink(content);
    }
  }
  // Emits up to `end`; content goes on at `next`.
  void Cut(size_t end, size_t next) {
    if (end > start) {
      Emit(bytes.subspan(start, end - start));
    }
    start = next;
  }
  void EmitCrLf() {
    static constexpr uint8_t kCrLf[] = {'\r', '\n'};
    Emit(kCrLf);
  }

  DataReader& reader;
  Bytes bytes;
  Sink sink;
  size_t start = 0;
};

void DataReader::Start(Mode mode) {
  *this = DataReader();
  state_ = State::kLineStart;
  mode_ = mode;
}

size_t DataReader::Consume(Bytes bytes, Sink sink) {
  Run run{*this, bytes, sink};
  size_t at = 0;
  while (at < bytes.size() && state_ != State::kDone) {
    // A CR of the call before was withheld and must be emitted by the automaton.
    const bool plain =
        state_ == State::kText || state_ == State::kLineStart || (state_ == State::kCr && at > 0);
    if (plain) {
      at += SkipPlain(bytes.data() + at, bytes.size() - at);
      if (at == bytes.size()) {
        break;
      }
    }
    Step(bytes[at], at, run);
    ++at;
  }
  // Whether a last CR belongs to the content is known with the byte behind it.
  const bool withheld = at > 0 && (state_ == State::kCr || state_ == State::kDotCr);
  run.Cut(withheld ? at - 1 : at, at);
  return at;
}

// Moves over whole blocks without a dot at a line's start, a CR or LF without its partner, or a
// NUL. Leaves the state as the automaton would have, and returns the bytes passed: all of them, or
// up to the first that needs it. Only from kText, kLineStart and kCr.
size_t DataReader::SkipPlain(const uint8_t* from, size_t bytes) {
  size_t at = 0;
  while (at < bytes) {
    const size_t count = std::min(bytes - at, kScanBytes);
    LineMasks masks;
    if (count == kScanBytes) {
      masks = ScanBlock(from + at);
    } else {
      uint8_t padded[kScanBytes];
      std::memset(padded, 'x', sizeof(padded));
      std::memcpy(padded, from + at, count);
      masks = ScanBlock(padded);
    }
    const uint64_t behind_cr = masks.cr << 1 | uint64_t{state_ == State::kCr};
    const uint64_t crlf = masks.lf & behind_cr;
    const uint64_t line_start = crlf << 1 | uint64_t{state_ == State::kLineStart};
    uint64_t stop = masks.dot & line_start;
    if (!discarding_) {
      stop |= masks.nul | (masks.lf ^ behind_cr);
    }
    if (count < kScanBytes) {
      stop &= (uint64_t{1} << count) - 1;
    }
    const size_t passed = stop == 0 ? count : static_cast<size_t>(std::countr_zero(stop));
    if (passed > 0) {
      const uint64_t last = uint64_t{1} << (passed - 1);
      state_ = (crlf & last) != 0       ? State::kLineStart
               : (masks.cr & last) != 0 ? State::kCr
                                        : State::kText;
    }
    at += passed;
    if (stop != 0) {
      break;
    }
  }
  return at;
}

void DataReader::Step(uint8_t byte, size_t at, Run& run) {
  switch (state_) {
    case State::kLineStart:
      if (byte == '.') {
        run.Cut(at, at + 1);
        state_ = State::kDot;
        return;
      }
      break;
    case State::kDot:
      if (byte == '\r') {
        state_ = State::kDotCr;
        return;
      }
      has_dot_lines_ |= byte == '.';
      break;
    case State::kDotCr:
      if (byte == '\n') {
        run.start = at + 1;
        state_ = State::kDone;
        return;
      }
      StrayCr(at, run);
      has_dot_lines_ |= byte == '.';
      break;
    case State::kCr:
      if (byte == '\n') {
        if (at == 0) {  // its CR was withheld by the call before
          run.EmitCrLf();
          run.start = 1;
        }
        state_ = State::kLineStart;
        return;
      }
      StrayCr(at, run);
      has_dot_lines_ |= byte == '.';
      break;
    case State::kStrayLineStart:
      has_dot_lines_ |= byte == '.';
      break;
    case State::kText:
    case State::kDone:
      break;
  }
  StepText(byte, at, run);
}

// `byte` stands where it has no meaning but its own.
void DataReader::StepText(uint8_t byte, size_t at, Run& run) {
  switch (byte) {
    case '\r':
      state_ = State::kCr;
      return;
    case '\n':
      StrayLf(at, run);
      return;
    case '\0':
      Fail(Fault::kNul, at, run);
      state_ = State::kText;
      return;
    default:
      state_ = State::kText;
      return;
  }
}

// The byte before `at` was a CR, and the one at `at` is no LF.
void DataReader::StrayCr(size_t at, Run& run) {
  const size_t end = at == 0 ? 0 : at - 1;
  if (mode_ == Mode::kReject) {
    Fail(Fault::kBareNewline, end, run);
    return;
  }
  run.Cut(end, at);
  run.EmitCrLf();
}

void DataReader::StrayLf(size_t at, Run& run) {
  if (mode_ == Mode::kReject) {
    Fail(Fault::kBareNewline, at, run);
    state_ = State::kText;
    return;
  }
  run.Cut(at, at + 1);
  run.EmitCrLf();
  state_ = State::kStrayLineStart;
}

// What lies before `end` is emitted first: if the sink discards because of it, then that came
// first, as it would have in smaller pieces.
void DataReader::Fail(Fault fault, size_t end, Run& run) {
  run.Cut(end, end);
  if (discarding_) {
    return;
  }
  fault_ = fault;
  discarding_ = true;
}

}  // namespace backstay
