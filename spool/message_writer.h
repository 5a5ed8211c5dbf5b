// spool/message_writer.h -- content of one message on its way into the log, in bounded memory.
//
// Life:  Claim or not, Append*, then Finish (the source is told the outcome) or Abandon. Reusable
//        after either.
// Owns:  staged content, in chunks from the spool's pool. When options.part_bytes are staged (less
//        when the spool is congested) they are appended to the log as a part, durable later or
//        never.
// Turn:  never waits. A part that finds no room in the log stays staged.
// See:   DESIGN 5 "Messages".
#pragma once

#include "spool/spool.h"

namespace backstay {

class MessageWriter {
 public:
  explicit MessageWriter(Spool& spool) : MessageWriter(spool.impl()) {}
  explicit MessageWriter(Spool::Impl& spool);
  ~MessageWriter();  // as Abandon
  MessageWriter(const MessageWriter&) = delete;
  MessageWriter& operator=(const MessageWriter&) = delete;

  // Whether Claim() would find it now.
  bool HasRoom(uint64_t bytes) const;
  // Room for so much content; false: the disk is too full for it. More may come, and finds room or
  // not. What was claimed and does not come is given back at the end.
  bool Claim(uint64_t bytes);
  void Append(Bytes content);
  uint64_t content_bytes() const;  // appended so far
  // The message is complete: appends its last record now or when the log has room.
  void Finish(MessageSource& source);
  // Drops what is staged; parts already in the log are dead. After Finish: the source is not told
  // any more; a record already appended is still committed and delivered.
  void Abandon();
  // The same behind Finish, but false, and nothing has changed, if the record was appended.
  bool Withdraw();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace backstay
