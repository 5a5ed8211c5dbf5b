// spool/message_reader.h -- reads one message back: head first, then its content piece by piece.
//
// Every byte handed out was covered by a checksum that was verified before.
// Owns:  one buffer of at most a part and its header.
//         Its parts stay on disk until Close, even if the message is settled or moved meanwhile.
// Errors: kDamaged: checksum or structure; kUnreadable: the device failed. The caller decides.
// Turn:  one operation at a time; each answers by an event in a later turn.
#pragma once

#include <vector>

#include "spool/spool.h"

namespace backstay {

enum class ReadOutcome : uint8_t { kOk, kDamaged, kUnreadable };

// What is known of a message before its content. Views into the reader's buffer, valid until the
// next NextContent() or Close().
struct MessageHead {
  Bytes envelope;
  std::vector<std::string_view> domains;
  std::vector<uint16_t> recipient_domains;
  WallTime arrival_wall;
  SpoolTime arrival;
  uint16_t flags = 0;
  uint64_t content_bytes = 0;  // prefix included
};

class MessageReaderEvents {
 public:
  virtual void OnHead(ReadOutcome outcome) = 0;
  // `content` is valid until the next call to the reader. Empty and kOk: the end.
  virtual void OnContent(ReadOutcome outcome, Bytes content) = 0;

 protected:
  ~MessageReaderEvents() = default;
};

class MessageReader {
 public:
  MessageReader(Spool& spool, MessageReaderEvents& events) : MessageReader(spool.impl(), events) {}
  MessageReader(Spool::Impl& spool, MessageReaderEvents& events);
  ~MessageReader();  // closed
  MessageReader(const MessageReader&) = delete;
  MessageReader& operator=(const MessageReader&) = delete;

  void Open(MessageRef message);  // -> OnHead
  const MessageHead& head() const;
  void NextContent();  // -> OnContent
  // Forgets the message. With an operation in flight the reader is busy until it has completed; its
  // event is not told.
  void Close();
  bool busy() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace backstay
