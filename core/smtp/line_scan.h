// core/smtp/line_scan.h -- 64 bytes at once: where are the CR, LF, NUL and dots.
//
// Bit i of a mask speaks of byte i. Two definitions with equal results: SSE2, and eight bytes at a
// time in ordinary registers.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/base/bytes.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace backstay {

struct LineMasks {
  uint64_t cr = 0;
  uint64_t lf = 0;
  uint64_t nul = 0;
  uint64_t dot = 0;
};

inline constexpr size_t kScanBytes = 64;

// One bit for each byte of `word` that equals `byte`. The sum cannot carry from one byte into the
// next (0x7f + 0x7f < 0x100), so unlike the shorter trick this one is exact; the product gathers
// the eight flags, 8 bits apart, in its top byte.
inline uint64_t EqualBytes(uint64_t word, uint8_t byte) {
  constexpr uint64_t kLow7 = 0x7f7f7f7f7f7f7f7f;
  const uint64_t difference = word ^ (0x0101010101010101 * byte);
  const uint64_t zero = ~(((difference & kLow7) + kLow7) | difference | kLow7);
  return ((zero >> 7) * 0x0102040810204080) >> 56;
}

inline LineMasks ScanBlockPortable(const uint8_t* block) {
  LineMasks masks;
  for (unsigned at = 0; at < kScanBytes; at += 8) {
    const uint64_t word = LoadLittle<uint64_t>(block + at);
    masks.cr |= EqualBytes(word, '\r') << at;
    masks.lf |= EqualBytes(word, '\n') << at;
    masks.nul |= EqualBytes(word, '\0') << at;
    masks.dot |= EqualBytes(word, '.') << at;
  }
  return masks;
}

#if defined(__SSE2__)
inline LineMasks ScanBlock(const uint8_t* block) {
  LineMasks masks;
  for (unsigned at = 0; at < kScanBytes; at += 16) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(block + at));
    const auto equal = [bytes, at](char c) {
      const int mask = _mm_movemask_epi8(_mm_cmpeq_epi8(bytes, _mm_set1_epi8(c)));
      return static_cast<uint64_t>(static_cast<uint32_t>(mask)) << at;
    };
    masks.cr |= equal('\r');
    masks.lf |= equal('\n');
    masks.nul |= equal('\0');
    masks.dot |= equal('.');
  }
  return masks;
}
#else
inline LineMasks ScanBlock(const uint8_t* block) {
  return ScanBlockPortable(block);
}
#endif

}  // namespace backstay
