// core/smtp/reply_parser.cc -- one byte at a time: replies are short, and a cut may be anywhere.
#include "core/smtp/reply_parser.h"

#include <algorithm>

#include "core/base/check.h"
#include "core/smtp/ascii.h"

namespace backstay {
namespace {

constexpr int kCodeMin = 200;
constexpr int kCodeMax = 599;
constexpr size_t kCodeDigits = 3;
constexpr size_t kCleanBytesMax = 400;  // what an Outcome and a DSN carry

// RFC 3463 s2: class "." subject "." detail, one digit and twice one to three.
size_t DigitsAt(std::string_view text, size_t at) {
  size_t count = 0;
  while (count < 3 && at + count < text.size() && IsDigit(text[at + count])) {
    ++count;
  }
  return count;
}

char ClassOf(int code) {
  return static_cast<char>('0' + code / 100);
}

}  // namespace

std::string_view LeadingEnhancedCode(std::string_view text) {
  if (text.empty() || (text[0] != '2' && text[0] != '4' && text[0] != '5')) {
    return {};
  }
  size_t at = 1;
  for (int part = 0; part < 2; ++part) {
    if (at >= text.size() || text[at] != '.') {
      return {};
    }
    const size_t digits = DigitsAt(text, at + 1);
    if (digits == 0) {
      return {};
    }
    at += 1 + digits;
  }
  return at == text.size() || IsBlank(text[at]) ? text.substr(0, at) : std::string_view();
}

bool PrimaryReply::NextLine(std::string_view& lines, std::string_view& line) {
  const size_t end = lines.find('\n');
  if (end == std::string_view::npos) {
    return false;
  }
  line = lines.substr(0, end);
  lines.remove_prefix(end + 1);
  return true;
}

std::string PrimaryReply::Clean() const {
  std::string clean;
  std::string_view rest = lines;
  std::string_view line;
  while (NextLine(rest, line) && clean.size() < kCleanBytesMax) {
    line.remove_prefix(LeadingEnhancedCode(line).size());
    line = Trimmed(line);
    if (!line.empty() && !clean.empty()) {
      clean += ' ';
    }
    for (const char c : line) {
      clean += IsPrintable(c) ? c : '?';
    }
  }
  clean.resize(std::min(clean.size(), kCleanBytesMax));
  return clean;
}

ReplyParser::Result ReplyParser::Consume(Bytes& bytes) {
  while (!bytes.empty()) {
    const uint8_t byte = bytes.front();
    bytes = bytes.subspan(1);
    const Result result = Take(byte);
    if (result != Result::kIncomplete) {
      return result;
    }
  }
  return state_ == State::kError ? Result::kError : Result::kIncomplete;
}

ReplyParser::Result ReplyParser::Take(uint8_t byte) {
  if (reply_given_) {
    reply_given_ = false;
    reply_.code = 0;
    reply_.enhanced.clear();
    reply_.lines.clear();
  }
  const auto c = static_cast<char>(byte);
  if (state_ == State::kError || ++line_bytes_ > kLineBytesMax || byte == 0) {
    return Fail();
  }
  switch (state_) {
    case State::kCode:
      if (!IsDigit(c)) {
        return Fail();
      }
      line_code_ = line_code_ * 10 + (c - '0');
      if (line_bytes_ == kCodeDigits) {
        state_ = State::kSeparator;
      }
      return Result::kIncomplete;
    case State::kSeparator:
      if (c != ' ' && c != '-' && c != '\r') {
        return Fail();
      }
      last_line_ = c != '-';
      state_ = c == '\r' ? State::kLf : State::kText;
      return Result::kIncomplete;
    case State::kText:
      if (c == '\n') {
        return Fail();
      }
      if (c == '\r') {
        state_ = State::kLf;
      } else {
        Keep(byte);
      }
      return Result::kIncomplete;
    case State::kLf:
      return c == '\n' ? EndLine() : Fail();
    case State::kError:
      break;
  }
  UNREACHABLE();
}

void ReplyParser::Keep(uint8_t byte) {
  if (line_kept_bytes_ < kStoredLineBytesMax) {
    ++line_kept_bytes_;
    reply_.lines += static_cast<char>(byte);
  }
}

ReplyParser::Result ReplyParser::EndLine() {
  if (line_code_ < kCodeMin || line_code_ > kCodeMax ||
      (line_count_ > 0 && line_code_ != reply_.code) || ++line_count_ > kReplyLinesMax) {
    return Fail();
  }
  if (line_count_ == 1) {
    reply_.code = line_code_;
    const std::string_view enhanced = LeadingEnhancedCode(reply_.lines);
    if (!enhanced.empty() && enhanced.front() == ClassOf(reply_.code)) {
      reply_.enhanced.assign(enhanced);
    }
  }
  reply_.lines += '\n';
  state_ = State::kCode;
  line_code_ = 0;
  line_bytes_ = 0;
  line_kept_bytes_ = 0;
  if (!last_line_) {
    return Result::kIncomplete;
  }
  line_count_ = 0;
  reply_given_ = true;
  return Result::kReply;
}

ReplyParser::Result ReplyParser::Fail() {
  state_ = State::kError;
  return Result::kError;
}

}  // namespace backstay
