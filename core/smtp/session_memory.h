// core/smtp/session_memory.h -- what is to be remembered of a client that says nothing just now.
//
// All that a ServerSession knows between two transactions, with every reply sent. A million idle
// connections hold one each.
#pragma once

#include <cstdint>

#include "core/base/compact_text.h"

namespace backstay {

// How a client greeted.
enum class Hello : uint8_t { kNone, kPlain, kExtended };

struct SessionMemory {
  CompactText helo;  // argument of EHLO or HELO
  Hello hello = Hello::kNone;
  bool secure = false;
  uint8_t errors = 0;
  uint8_t junk = 0;
};
static_assert(sizeof(SessionMemory) <= 16);

}  // namespace backstay
