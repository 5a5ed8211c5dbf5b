// tools/load/draft.h -- one message on its way, and how it ended.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/container/inlined_vector.h"
#include "core/base/units.h"
#include "io/io_result.h"

namespace backstay {

struct Draft {
  uint64_t number = 0;
  Instant intended;    // when it was to be sent; latency and refusals count from here
  Instant started;     // when a connection began with it: to connect, or MAIL
  Instant ended;       // when its last byte was queued
  bool cut = false;    // the connection is to be cut in the middle of its content
  bool taken = false;  // MAIL was accepted: RSET before the next
  uint32_t accepted = 0;
  absl::InlinedVector<uint32_t, 2> refused;  // recipients
};

// Where a session or a message was when it ended.
enum class LoadPhase : uint8_t {
  kConnect,
  kGreeting,
  kEhlo,
  kTls,
  kMail,
  kRcpt,
  kData,
  kEnd  // behind the end of data
};
std::string_view Describe(LoadPhase phase);

struct Ending {
  enum class Kind : uint8_t {
    kAcknowledged,
    kRefused,  // `code`
    kLost,     // the connection ended first, `error` says how: whether it was taken is not known
    kCut       // by us
  };
  Kind kind = Kind::kAcknowledged;
  LoadPhase phase = LoadPhase::kEnd;
  int code = 0;
  IoError error = IoError::kNone;  // kLost: kNone is an orderly end
};
std::string Describe(const Ending& ending);  // refused or lost: "rcpt 550", "end lost: peer reset"

}  // namespace backstay
