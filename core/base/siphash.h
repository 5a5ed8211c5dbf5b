// core/base/siphash.h -- SipHash-2-4: 64 bits of any text that nobody without the key can aim at.
//
// For tables that strangers fill. No cipher and no signature.
// See: Aumasson and Bernstein, "SipHash: a fast short-input PRF" (2012), whose vectors are tested.
#pragma once

#include <cstdint>

#include "core/base/bytes.h"

namespace backstay {

struct SipKey {
  uint64_t first = 0;
  uint64_t second = 0;
};

uint64_t SipHash(const SipKey& key, Bytes bytes);

}  // namespace backstay
