// core/smtp/trace_fields.cc -- composes Received fields and counts them.
#include "core/smtp/trace_fields.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <iterator>
#include <limits>

#include "absl/time/civil_time.h"
#include "absl/time/time.h"
#include "core/base/text.h"
#include "core/smtp/ascii.h"

namespace backstay {
namespace {

constexpr size_t kNameBytesMax = 255;       // of a host or a PTR; the rest would be noise
constexpr size_t kRecipientBytesMax = 256;  // RFC 5321 s4.5.3.1.3
constexpr size_t kQueueIdBytesMax = 64;
// The longest line is the first: two names, an address and 30 bytes of frame.
static_assert(2 * kNameBytesMax + 64 + 30 <= 998);
static_assert(kNameBytesMax + kQueueIdBytesMax + 64 <= 998);

// Only what names and literals are made of: no blank, no parenthesis, no semicolon, no quote, no
// backslash, nothing that could end the line, the clause or the comment it stands in.
bool IsNameByte(char c) {
  return IsAlphanumeric(c) ||
         std::string_view("-._:[]/+=~*#%&'!$^`{|}").find(c) != std::string_view::npos;
}

void AppendName(std::string_view name, std::string& output) {
  if (name.empty()) {
    output.append("unknown");
    return;
  }
  for (const char c : name.substr(0, kNameBytesMax)) {
    output.push_back(IsNameByte(c) ? c : '?');
  }
}

// An address may hold anything between quotes; one with a tab is left out rather than altered. Only
// a message under SMTPUTF8 may have header fields in UTF-8.
bool FitsForClause(const Trace& trace) {
  const auto fits = [&](char c) {
    return IsPrintable(c) || (trace.smtputf8 && static_cast<unsigned char>(c) >= 0x80);
  };
  return !trace.recipient.empty() && trace.recipient.size() <= kRecipientBytesMax &&
         std::all_of(trace.recipient.begin(), trace.recipient.end(), fits);
}

constexpr std::string_view kReceived = "received";
constexpr uint16_t kNoMatch = std::numeric_limits<uint16_t>::max();

// A word of at most four letters as a number; longer ones are all the same.
constexpr uint32_t kLongWord = std::numeric_limits<uint32_t>::max();
constexpr uint32_t Extended(uint32_t word, char c) {
  return word >> 24 != 0 ? kLongWord : word << 8 | static_cast<uint8_t>(ToLower(c));
}
constexpr uint32_t Packed(std::string_view text) {
  uint32_t word = 0;
  for (const char c : text) {
    word = Extended(word, c);
  }
  return word;
}

}  // namespace

void AppendDate(WallTime time, std::string& output) {
  static constexpr std::array<std::string_view, 7> kDays = {"Mon", "Tue", "Wed", "Thu",
                                                            "Fri", "Sat", "Sun"};
  static constexpr std::array<std::string_view, 12> kMonths = {
      "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const absl::CivilSecond second = absl::ToCivilSecond(
      absl::UnixEpoch() + absl::Nanoseconds(time.nanoseconds()), absl::UTCTimeZone());
  const auto day = static_cast<size_t>(absl::GetWeekday(absl::CivilDay(second)));
  const auto number = [&output](int64_t value, size_t digits) {
    AppendNumber(output, static_cast<uint64_t>(value), digits);
  };
  output.append(kDays[day]).append(", ");
  number(second.day(), 2);
  output.append(" ").append(kMonths[static_cast<size_t>(second.month() - 1)]).append(" ");
  number(second.year(), 4);
  output.append(" ");
  number(second.hour(), 2);
  output.append(":");
  number(second.minute(), 2);
  output.append(":");
  number(second.second(), 2);
  output.append(" +0000");
}

// There is no name for HELO over TLS.
std::string_view ProtocolName(bool extended, bool secure, bool smtputf8) {
  if (!extended) {
    return "SMTP";
  }
  if (smtputf8) {
    return secure ? "UTF8SMTPS" : "UTF8SMTP";
  }
  return secure ? "ESMTPS" : "ESMTP";
}

void AppendReceived(const Trace& trace, std::string& output) {
  output.append("Received: from ");
  AppendName(trace.helo, output);
  output.append(" (");
  AppendName(trace.client_name, output);
  output.append(" [");
  AppendName(trace.client_address_literal.substr(0, 64), output);
  output.append("])\r\n\tby ");
  AppendName(trace.hostname, output);
  output.append(" (backstay) with ")
      .append(ProtocolName(trace.extended, trace.secure, trace.smtputf8))
      .append(" id ");
  AppendName(trace.queue_id.substr(0, kQueueIdBytesMax), output);
  if (FitsForClause(trace)) {
    output.append("\r\n\tfor <").append(trace.recipient).append(">");
  }
  output.append(";\r\n\t");
  AppendDate(trace.time, output);
  output.append("\r\n");
}

void HopCounter::Start() {
  *this = HopCounter();
  state_ = State::kLineStart;
}

void HopCounter::Consume(Bytes content, std::string_view hostname) {
  size_t at = 0;
  while (at < content.size() && state_ != State::kBody) {
    switch (state_) {
      case State::kLineStart:
        at += StartLine(content[at]);
        break;
      case State::kName:
        StepName(content[at++]);
        break;
      case State::kValue:
        at += StepValue(content.subspan(at), hostname);
        break;
      case State::kSkip: {
        const void* newline = std::memchr(content.data() + at, '\n', content.size() - at);
        if (newline == nullptr) {
          return;
        }
        at = static_cast<size_t>(static_cast<const uint8_t*>(newline) - content.data()) + 1;
        state_ = State::kLineStart;
        break;
      }
      case State::kBody:
        break;
    }
  }
}

// Returns how many bytes were taken: the first of a line belongs to the state it leads to.
size_t HopCounter::StartLine(uint8_t first) {
  const char c = static_cast<char>(first);
  if (c == '\r') {  // content has CR only before LF: an empty line
    state_ = State::kBody;
    return 1;
  }
  if (IsBlank(c)) {
    state_ = in_value_ ? State::kValue : State::kSkip;
    return 0;
  }
  in_value_ = false;
  name_bytes_ = 0;
  state_ = ToLower(c) == kReceived[0] ? State::kName : State::kSkip;
  return 0;
}

void HopCounter::StepName(uint8_t byte) {
  const char c = static_cast<char>(byte);
  if (name_bytes_ < kReceived.size()) {
    if (ToLower(c) == kReceived[name_bytes_]) {
      ++name_bytes_;
    } else {
      state_ = c == '\n' ? State::kLineStart : State::kSkip;
    }
    return;
  }
  if (c == ':') {
    ++received_;
    in_value_ = true;
    comment_depth_ = 0;
    value_ = Value::kKeyword;
    word_ = 0;
    state_ = State::kValue;
  } else if (!IsBlank(c)) {  // RFC 5322 s4.5: blanks may stand before the colon
    state_ = c == '\n' ? State::kLineStart : State::kSkip;
  }
}

// One line's part of a Received field, or less.
size_t HopCounter::StepValue(Bytes bytes, std::string_view hostname) {
  size_t at = 0;
  while (at < bytes.size() && state_ == State::kValue) {
    StepValueByte(static_cast<char>(bytes[at]), hostname);
    ++at;
  }
  return at;
}

void HopCounter::StepValueByte(char c, std::string_view hostname) {
  if (c == '\n') {
    state_ = State::kLineStart;
    return;
  }
  if (comment_depth_ > 0) {
    if (c == ')') {
      --comment_depth_;
    } else if (c == '(' && comment_depth_ < std::numeric_limits<uint8_t>::max()) {
      ++comment_depth_;
    }
    return;
  }
  if (c == '(' || c == ';' || c == '\r' || IsBlank(c)) {
    EndWord(hostname);
    comment_depth_ = c == '(' ? 1 : 0;
    if (c == ';') {  // only the date follows
      in_value_ = false;
      state_ = State::kSkip;
    }
    return;
  }
  word_ = Extended(word_, c);
  if (value_ == Value::kByHost) {
    const bool matches = host_bytes_ < hostname.size()
                             ? ToLower(c) == ToLower(hostname[host_bytes_])
                             : host_bytes_ == hostname.size() && c == '.';  // "mx2.example.net."
    host_bytes_ = matches ? static_cast<uint16_t>(host_bytes_ + 1) : kNoMatch;
  }
}

void HopCounter::EndWord(std::string_view hostname) {
  const uint32_t word = word_;
  word_ = 0;
  if (word == 0) {
    return;
  }
  switch (value_) {
    case Value::kKeyword:
      if (word == Packed("from")) {
        value_ = Value::kFromHost;
      } else if (word == Packed("by")) {
        value_ = Value::kByHost;
        host_bytes_ = 0;
      }
      return;
    case Value::kFromHost:
      value_ = Value::kKeyword;
      return;
    case Value::kByHost:
      if (!hostname.empty() && host_bytes_ != kNoMatch && host_bytes_ >= hostname.size()) {
        ++own_;
      }
      in_value_ = false;  // a field has one by clause
      state_ = State::kSkip;
      return;
  }
}

}  // namespace backstay
