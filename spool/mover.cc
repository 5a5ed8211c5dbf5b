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

// Who is owed is asked when the record is built: settles that come later stand behind it in the
// log. A report that came before stands before it, told or not: its batch fails with ours.
MessageDescription Mover::Describe(const QueueId&) {
  states_ = spool_.index().StatesOf(message_);
  spool_.commit().SettleReported(message_, states_);
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
