// core/smtp/server_session_content.cc -- behind 354: content, its limits, and its end; answers that
// come late.
#include <algorithm>

#include "core/base/check.h"
#include "core/base/mark.h"
#include "core/smtp/server_session.h"

namespace backstay {

size_t ServerSession::ConsumeContent(Bytes bytes) {
  const size_t taken = reader_.Consume(bytes, [this](Bytes content) { OnContent(content); });
  if (phase_ == Phase::kContent && reader_.fault() != DataReader::Fault::kNone) {
    Doom(reader_.fault() == DataReader::Fault::kNul ? replies::kNulInData : replies::kBareNewline);
  }
  const bool more = taken < bytes.size();
  if (phase_ == Phase::kSwallowing) {
    content_bytes_ += taken;
    if (reader_.done()) {
      EndSwallowing(more);
    } else if (content_bytes_ > kSwallowedBytesMax) {
      MARK("refused message without an end");
      EndWith(*verdict_);
    }
    return taken;
  }
  if (reader_.done()) {
    if (more && hello_ == Hello::kPlain) {
      last_word_ = &replies::kNotInSync;
    }
    phase_ = Phase::kAwaitingFinish;
    staged_ = false;
    intake_->OnEndOfData(reader_.has_dot_lines());
  }
  return taken;
}

// The verdict must not depend on where the content was cut: what counts is which fault came first.
void ServerSession::OnContent(Bytes content) {
  uint64_t fitting = content.size();
  if (const uint64_t most = params_.message_bytes_max; most != 0) {
    // A reload may have set it below what is here.
    fitting = std::min(fitting, most - std::min(most, content_bytes_));
  }
  content_bytes_ += fitting;
  hops_.Consume(content.first(fitting), params_.hostname);
  if (hops_.looping()) {
    Doom(replies::kMailLoop);
  } else if (fitting < content.size()) {
    Doom(replies::kMessageTooBig);
  } else {
    intake_->OnContent(content);
  }
}

// The message cannot be taken any more, but its end must be found: what follows is not commands.
void ServerSession::Doom(const Reply& verdict) {
  Tell(verdict);
  phase_ = Phase::kSwallowing;
  verdict_ = &verdict;
  content_bytes_ = 0;
  reader_.Discard();
  DropStaged();
}

void ServerSession::EndSwallowing(bool more) {
  ResetTransaction();
  if (reader_.fault() != DataReader::Fault::kNone) {
    MARK("malformed data");
    EndWith(*verdict_);  // whose framing is broken once is not believed again
    return;
  }
  Say(*verdict_);
  if (more && hello_ == Hello::kPlain && !wants_close()) {
    CloseWith(replies::kNotInSync);
  }
}

void ServerSession::AnswerRcpt(const Reply& reply) {
  if (reply.positive()) {
    ++recipients_;
  }
  Answer(reply);
}

void ServerSession::FinishRcpt(std::string_view address, const Reply& reply) {
  ASSERT(awaiting_rcpt());
  phase_ = Phase::kEnvelope;
  Command command;
  command.verb = Verb::kRcpt;
  command.argument = address;
  command_ = &command;
  AnswerRcpt(reply);
  command_ = nullptr;
  SayLastWord();
}

void ServerSession::FinishData(const Reply& reply) {
  ASSERT(awaiting_finish());
  Tell(reply);
  ResetTransaction();
  if (reply.positive()) {
    errors_ = 0;
    junk_ = 0;
  }
  Say(reply);
  SayLastWord();
}

void ServerSession::SayLastWord() {
  if (last_word_ != nullptr && !wants_close()) {
    EndWith(*last_word_);
  }
}

}  // namespace backstay
