// core/smtp/data_writer.h -- content as stored to mail data as sent: dots stuffed, one terminator.
//
// The last layer before the socket, so that nothing behind it can smuggle: every line that begins
// with a dot is stuffed, those of the header too, and no CR or LF leaves alone, whatever lies in
// the spool. A clean piece, nearly all of them, costs one scan and one copy.
//
// Life:  Start(); Write() pieces cut anywhere; Finish() once.
// See:   RFC 5321 s4.5.2 (transparency), s4.1.1.4; reliability rows 9-15.
#pragma once

#include <cstdint>
#include <string>

#include "core/base/bytes.h"

namespace backstay {

class DataWriter {
 public:
  // `has_dot_lines`: what the receiving side noted. It is checked, not trusted.
  void Start(bool has_dot_lines);
  void Write(Bytes stored, std::string& output);
  // Completes the last line if need be and ends the mail data.
  void Finish(std::string& output);

  // Faults in stored content that were put right: a bare CR or LF became CRLF, or a dot line was
  // stuffed that the flag had denied. Our bug, or damage that a checksum missed.
  uint64_t repairs() const { return repairs_; }

 private:
  // Where the next byte stands. Behind a CR the next byte that leaves is an LF, in any case.
  enum class Place : uint8_t { kLineStart, kText, kAfterCr };
  size_t CleanBytes(Bytes stored);
  void WriteWithCare(uint8_t byte, std::string& output);

  bool has_dot_lines_ = false;
  Place place_ = Place::kLineStart;  // at first: the CRLF that ended DATA
  uint64_t repairs_ = 0;
};

}  // namespace backstay
