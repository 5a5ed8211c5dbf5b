// core/shard/message_flags.h -- what the shard notes in the spool's opaque flags of a message.
#pragma once

#include <cstdint>

namespace backstay {

struct MessageFlags {
  // Some line begins with a dot: the content must be stuffed when it is sent.
  static constexpr uint16_t kDotLines = 1;
  // The reverse-path is <>: a failure is discarded by rule, no DSN is owed.
  static constexpr uint16_t kNullReversePath = 2;
};

}  // namespace backstay
