// core/smtp/message_id.cc -- finds one field of the header section.
#include "core/smtp/message_id.h"

#include "core/smtp/ascii.h"

namespace backstay {
namespace {

constexpr std::string_view kName = "message-id";

}  // namespace

void MessageIdReader::Start() {
  state_ = State::kLineStart;
  in_value_ = false;
  size_ = 0;
}

void MessageIdReader::Consume(Bytes content) {
  std::string_view text = AsText(content);
  while (state_ != State::kDone && !text.empty()) {
    if (state_ == State::kSkip) {
      const size_t newline = text.find('\n');
      if (newline == std::string_view::npos) {
        return;
      }
      text.remove_prefix(newline);
    }
    Step(text[0]);
    text.remove_prefix(1);
  }
}

void MessageIdReader::Step(char character) {
  switch (state_) {
    case State::kLineStart:
      BeginLine(character);
      return;
    case State::kName:
      if (name_bytes_ < kName.size()) {
        state_ = ToLower(character) == kName[name_bytes_] ? State::kName : State::kSkip;
        ++name_bytes_;
      } else if (character == ':') {
        state_ = State::kValue;
        in_value_ = true;
      } else if (!IsBlank(character)) {
        state_ = State::kSkip;
      }
      break;
    case State::kValue:
      if (IsPrintable(character) && character != ' ' && size_ < kBytesMax) {
        value_[size_++] = character;
      }
      break;
    case State::kSkip:
    case State::kDone:
      break;
  }
  if (character == '\n') {
    state_ = State::kLineStart;
  }
}

void MessageIdReader::BeginLine(char character) {
  if (in_value_) {
    state_ = IsBlank(character) ? State::kValue : State::kDone;
    return;
  }
  if (character == '\r' || character == '\n') {
    state_ = State::kDone;
    return;
  }
  name_bytes_ = 1;
  state_ = ToLower(character) == kName[0] ? State::kName : State::kSkip;
}

}  // namespace backstay
