// core/shard/conversation.cc -- what it waited for is told to the connection that it is lent to.
#include "core/shard/conversation.h"

#include "core/base/check.h"
#include "core/shard/inbound.h"

namespace backstay {

void Conversation::Uncongested::OnUncongested() {
  owner->OnUncongested();
}

void Conversation::Judged::OnRecipientJudged(const Reply& reply) {
  owner->OnRecipientJudged(reply);
}

void Conversation::Pause::OnTimer() {
  owner->OnPauseEnd();
}

void Conversation::Begin(InboundConnection& owner) {
  uncongested.owner = &owner;
  judged.owner = &owner;
  pause.owner = &owner;
}

bool Conversation::at_rest() const {
  return session.at_rest() && proxy_header == nullptr && !uncongested.linked() &&
         !judged.linked() && !pause.armed();
}

void Conversation::Clear() {
  ASSERT(transaction == nullptr);
  session.Clear();
  proxy_header.reset();
  uncongested.Unlink();
  judged.Unlink();
  pause.Unlink();
  content_bytes = 0;
  in_message = false;
  awaits_client = false;
}

}  // namespace backstay
