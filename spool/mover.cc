// spool/mover.cc -- head, content, record.
#include "spool/mover.h"

#include "core/base/check.h"
#include "spool/spool_impl.h"

namespace backstay {

void Mover::Start(MessageRef message) {
  ASSERT(state_ != State::kMoving);
  ASSERT(!busy());
  state_ = State::kMoving;
  message_ = message;
  wants_content_ = false;
  reader_.Open(message);
}

void Mover::Step() {
  if (wants_content_ && !spool_.Congested()) {
    wants_content_ = false;
    reader_.NextContent();
  }
}

void Mover::Stop() {
  wants_content_ = false;
  state_ = State::kIdle;
  reader_.Close();
  writer_.Abandon();
}

void Mover::End(State state) {
  Stop();
  state_ = state;
}

void Mover::OnHead(ReadOutcome outcome) {
  if (outcome != ReadOutcome::kOk) {
    return End(State::kUnreadable);
  }
  const MessageHead& head = reader_.head();
  envelope_.assign(head.envelope.begin(), head.envelope.end());
  names_.assign(head.domains.begin(), head.domains.end());
  domains_.assign(names_.begin(), names_.end());
  recipient_domains_ = head.recipient_domains;
  wants_content_ = true;
}

void Mover::OnContent(ReadOutcome outcome, Bytes content) {
  if (outcome != ReadOutcome::kOk) {
    return End(State::kUnreadable);
  }
  if (!content.empty()) {
    writer_.Append(content);
    wants_content_ = true;
    return;
  }
  writer_.Finish(*this);
}

// Settles that come later stand behind the record in the log. A report that came before stands
// before it, told or not: its batch fails with ours. So does a deletion, which may get to this
// message later and leaves no other trace: a checkpoint that knows it carried out speaks of the
// home only, and that may be gone.
void Mover::AskWhoIsOwed() {
  const Index& index = spool_.index();
  states_.assign(recipient_domains_.size(), RecipientState::kSettled);
  if (!index.IsOwed(message_)) {
    return;  // it ended just now, and with it its home may have been forgotten
  }
  states_ = index.StatesOf(message_);
  spool_.commit().SettleReported(message_, states_);
  for (uint32_t i = 0; i < states_.size(); ++i) {
    if (spool_.rules().IsDeleted(index.DomainOf(message_, i), message_)) {
      states_[i] = RecipientState::kSettled;
    }
  }
}

// Who is owed is asked when the record is built.
MessageDescription Mover::Describe(const QueueId&) {
  AskWhoIsOwed();
  MessageDescription description;
  description.envelope = envelope_;
  description.domains = domains_;
  description.recipient_domains = recipient_domains_;
  description.arrival_wall = reader_.head().arrival_wall;
  description.flags = reader_.head().flags;
  description.moved = MovedFrom{message_, reader_.head().arrival, states_};
  return description;
}

void Mover::OnCommitted(CommitResult result, MessageRef) {
  End(result == CommitResult::kStored ? State::kMoved : State::kRefused);
}

}  // namespace backstay
