// spool/mover.h -- one message from where it lies to the end of the log.
//
// Life:  Start, Step once a turn until state() is not kMoving. Reusable, unless it is busy().
// Owns:  a piece of content that was read, and the message's envelope.
// Errors: a message that cannot be read or stored stays where it is.
// Turn:  one operation at a time; does not read on while the log is congested.
#pragma once

#include <string>
#include <vector>

#include "spool/message_reader.h"
#include "spool/message_writer.h"

namespace backstay {

class Mover final : private MessageReaderEvents, private MessageSource {
 public:
  enum class State : uint8_t { kIdle, kMoving, kMoved, kRefused, kUnreadable };

  explicit Mover(Spool::Impl& spool) : spool_(spool), reader_(spool, *this), writer_(spool) {}
  Mover(const Mover&) = delete;
  Mover& operator=(const Mover&) = delete;

  // `message` is owed. Its home, wherever it lies now.
  void Start(MessageRef message);
  void Step();
  State state() const { return state_; }
  MessageRef message() const { return message_; }  // that was started last
  // What was appended already becomes durable none the less, and then counts.
  void Stop();
  bool busy() const { return reader_.busy(); }

 private:
  void OnHead(ReadOutcome outcome) override;
  void OnContent(ReadOutcome outcome, Bytes content) override;
  MessageDescription Describe(const QueueId& id) override;
  void OnCommitted(CommitResult result, MessageRef place) override;
  void End(State state);
  void AskWhoIsOwed();

  Spool::Impl& spool_;
  State state_ = State::kIdle;
  MessageRef message_;
  bool wants_content_ = false;
  std::vector<uint8_t> envelope_;
  std::vector<std::string> names_;
  std::vector<std::string_view> domains_;  // names_
  std::vector<uint16_t> recipient_domains_;
  std::vector<RecipientState> states_;
  MessageReader reader_;
  MessageWriter writer_;
};

}  // namespace backstay
