// core/shard/next_event.h -- the soonest thing that can change how a primary stands, or its mail.
//
// A value. Instants of any shard: their clock is the same.
#pragma once

#include <cstdint>

#include "core/base/units.h"

namespace backstay {

struct NextEvent {
  enum class Kind : uint8_t {
    kNone,
    kProbe,     // it is asked whether it is back
    kPause,     // after canaries that were all deferred, or a bad connection: it is tried again
    kRetry,     // a message that it deferred is due
    kQuestion,  // to the DNS: where it is
    kExpiry     // the first of its mail is given up
  };
  Kind kind = Kind::kNone;
  Instant at = Instant::Max();  // kNone: never

  void Offer(Kind other, Instant then) {
    if (then < at) {
      kind = other;
      at = then;
    }
  }
  void Offer(const NextEvent& other) { Offer(other.kind, other.at); }
};

}  // namespace backstay
