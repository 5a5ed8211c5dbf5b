// core/smtp/message_id.h -- the Message-ID of a message that goes by, for the log. Bounded, copies
// once.
//
// Owns: the value, at most kBytesMax of it. Survives a cut at any place.
// See:  RFC 5322 s2.2.3 (folding), s3.6.4.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "core/base/bytes.h"

namespace backstay {

class MessageIdReader {
 public:
  static constexpr size_t kBytesMax = 255;

  void Start();
  // Decoded content in order, in pieces of any size. Does not look behind the header section.
  void Consume(Bytes content);
  // As it was sent, without blanks and folding around it; empty: there was none so far.
  std::string_view value() const { return {value_.data(), size_}; }

 private:
  enum class State : uint8_t {
    kLineStart,
    kName,   // of a field that may be Message-ID
    kValue,  // of the first one
    kSkip,   // the rest of a line that does not matter
    kDone    // behind the value or the header section
  };

  void Step(char character);
  void BeginLine(char character);

  State state_ = State::kDone;
  bool in_value_ = false;   // a folded line continues it
  uint8_t name_bytes_ = 0;  // matched of "message-id"
  uint8_t size_ = 0;
  std::array<char, kBytesMax> value_;
};

}  // namespace backstay
