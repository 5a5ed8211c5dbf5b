// core/smtp/reply_parser.h -- bytes of a primary to replies, strictly and within caps.
//
// Strict because a lenient reader of replies loses its place: a reply taken for that of another
// command marks mail as delivered that was not (reliability rows 130-132). Only CRLF ends a line;
// NUL, a bare CR or LF, codes outside 200-599 and lines of different codes in one reply are errors.
//
// Life:  Consume() until kError, which stays. Each reply starts with nothing of the one before.
// Owns:  the text of the reply being read, at most kReplyLinesMax * kStoredLineBytesMax.
// See:   RFC 5321 s4.2 (grammar; a code without text is legal), RFC 2034 s4 (enhanced codes).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/base/bytes.h"
#include "core/base/units.h"

namespace backstay {

// What a primary said. Its text is a stranger's: Clean() before it is shown or kept.
struct PrimaryReply {
  int code = 0;
  // "5.1.1"; empty when there was none or its class contradicts the code: the code wins. Taken
  // whether ENHANCEDSTATUSCODES was offered or not, as many a primary sends them without a word.
  std::string enhanced;
  std::string lines;  // without codes, each ended by '\n'; long ones cut

  bool positive() const { return code < 300; }
  bool transient() const { return code >= 400 && code < 500; }
  bool permanent() const { return code >= 500; }

  // Takes the first line off `lines`; false when there is none.
  static bool NextLine(std::string_view& lines, std::string_view& line);
  // One line of at most 400 bytes, printable ASCII only, without the enhanced codes.
  std::string Clean() const;
};

// The enhanced status code that `text` begins with ("5.1.1"), empty if none.
std::string_view LeadingEnhancedCode(std::string_view text);

class ReplyParser {
 public:
  enum class Result : uint8_t { kIncomplete, kReply, kError };

  // Far above what RFC 5321 s4.5.3.1.5 (512 bytes a line) allows and any primary sends.
  static constexpr size_t kLineBytesMax = 4_KiB;
  static constexpr size_t kReplyLinesMax = 128;
  // More of a line is checked but not kept.
  static constexpr size_t kStoredLineBytesMax = 512;
  static_assert(kStoredLineBytesMax <= kLineBytesMax);

  // Takes bytes off the front of `bytes`: all of them, or up to the end of a reply or an error.
  Result Consume(Bytes& bytes);
  // The reply of the last kReply, until the next Consume().
  const PrimaryReply& reply() const { return reply_; }
  // Bytes of a reply have come that is not complete.
  bool in_reply() const { return line_bytes_ > 0 || line_count_ > 0; }

 private:
  enum class State : uint8_t { kCode, kSeparator, kText, kLf, kError };
  Result Take(uint8_t byte);
  Result EndLine();
  Result Fail();
  void Keep(uint8_t byte);

  State state_ = State::kCode;
  PrimaryReply reply_;
  bool reply_given_ = false;  // reply_ is the last one; the next byte starts anew
  int line_code_ = 0;
  bool last_line_ = false;  // of the line being read: no '-' behind its code
  size_t line_bytes_ = 0;   // of the line being read
  size_t line_count_ = 0;   // complete lines of the reply being read
  size_t line_kept_bytes_ = 0;
};

}  // namespace backstay
