// tools/backstay/message_file.h -- one message by its place: every byte is verified before it is
// handed out.
//
// Life:   Open, then ForEachPiece as often as wanted: once with a visitor that does nothing, and it
//         is known whether all of it is whole.
// Owns:   one buffer, as large as the largest record of the message.
// Errors: kNotFound: there is no message at this place. kDataLoss: there is damage; the text names
//         segment and offset. kUnavailable: the device did not give it.
// Turn:   every call waits.
#pragma once

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "spool/message_record.h"
#include "tools/backstay/shard_files.h"

namespace backstay {

class MessageFile {
 public:
  // `home`: as in its queue id; `place`: where it lies.
  MessageFile(ShardFiles& files, MessageRef home, MessageRef place)
      : files_(files), home_(home), place_(place) {}
  MessageFile(const MessageFile&) = delete;
  MessageFile& operator=(const MessageFile&) = delete;

  absl::Status Open();
  const DecodedMessage& message() const { return message_; }
  // Prefix, parts, content: what is sent to the primary, in order.
  absl::Status ForEachPiece(absl::FunctionRef<void(Bytes)> take);

 private:
  struct Record {
    RecordHeader header;
    Bytes payload;  // in the buffer it was read into
  };
  absl::StatusOr<Record> ReadRecord(MessageRef place, AlignedBuffer& buffer);
  absl::StatusOr<Bytes> ReadPart(const PartEntry& part);

  ShardFiles& files_;
  const MessageRef home_;
  const MessageRef place_;
  AlignedBuffer record_;  // message_ is of views into it
  AlignedBuffer part_;
  DecodedMessage message_;
};

}  // namespace backstay
