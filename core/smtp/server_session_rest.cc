// core/smtp/server_session_rest.cc -- between transactions: what is remembered, and nothing else.
#include <string>

#include "core/base/check.h"
#include "core/smtp/server_session.h"

namespace backstay {
namespace {

// Strings that grew beyond this for a rare line or a burst of replies give their memory back.
constexpr size_t kKeptCapacityMax = 1024;

}  // namespace

bool ServerSession::at_rest() const {
  return phase_ == Phase::kIdle && output_.empty() && line_.empty() && !paused_ &&
         last_word_ == nullptr;
}

void ServerSession::Rest(SessionMemory& memory) const {
  ASSERT(at_rest());
  ASSERT(!staged_);
  memory.helo.Assign(helo_);
  memory.hello = hello_;
  memory.secure = secure_;
  memory.errors = errors_;
  memory.junk = junk_;
}

void ServerSession::Clear() {
  verdict_ = nullptr;
  last_word_ = nullptr;
  for (std::string* text : {&output_, &line_, &helo_}) {
    text->clear();
    Trim(*text);
  }
  content_bytes_ = 0;
  recipients_ = 0;
  excess_recipients_ = 0;
  phase_ = Phase::kIdle;
  hello_ = Hello::kNone;
  secure_ = false;
  smtputf8_ = false;
  staged_ = false;
  paused_ = false;
  errors_ = 0;
  junk_ = 0;
}

void ServerSession::Wake(const SessionMemory& memory, Intake& intake) {
  ASSERT(at_rest());
  ASSERT(hello_ == Hello::kNone);
  intake_ = &intake;
  helo_.assign(memory.helo.view());
  hello_ = memory.hello;
  secure_ = memory.secure;
  errors_ = memory.errors;
  junk_ = memory.junk;
}

// `text` is empty.
void ServerSession::Trim(std::string& text) {
  if (text.capacity() > kKeptCapacityMax) {
    text = std::string();
  }
}

}  // namespace backstay
