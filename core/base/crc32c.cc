// core/base/crc32c.cc -- CRC-32C by instruction where the processor has it.
#include "core/base/crc32c.h"

#include <array>

#if defined(__x86_64__)
#include <nmmintrin.h>
#elif defined(__ARM_FEATURE_CRC32)
#include <arm_acle.h>
#endif

namespace backstay {
namespace {

constexpr uint32_t kPolynomialReflected = 0x82f63b78;

constexpr std::array<uint32_t, 256> MakeTable() {
  std::array<uint32_t, 256> table{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t remainder = byte;
    for (int bit = 0; bit < 8; ++bit) {
      remainder = (remainder >> 1) ^ ((remainder & 1) != 0 ? kPolynomialReflected : 0);
    }
    table[byte] = remainder;
  }
  return table;
}

constexpr std::array<uint32_t, 256> kTable = MakeTable();

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) uint32_t Crc32cByInstruction(uint32_t crc, Bytes bytes) {
  const uint8_t* at = bytes.data();
  size_t left = bytes.size();
  uint64_t state = ~crc;
  for (; left >= 8; left -= 8, at += 8) {
    state = _mm_crc32_u64(state, LoadLittle<uint64_t>(at));
  }
  auto narrow = static_cast<uint32_t>(state);
  for (; left > 0; --left, ++at) {
    narrow = _mm_crc32_u8(narrow, *at);
  }
  return ~narrow;
}
#elif defined(__ARM_FEATURE_CRC32)
uint32_t Crc32cByInstruction(uint32_t crc, Bytes bytes) {
  const uint8_t* at = bytes.data();
  size_t left = bytes.size();
  uint32_t state = ~crc;
  for (; left >= 8; left -= 8, at += 8) {
    state = __crc32cd(state, LoadLittle<uint64_t>(at));
  }
  for (; left > 0; --left, ++at) {
    state = __crc32cb(state, *at);
  }
  return ~state;
}
#endif

}  // namespace

uint32_t Crc32cByTable(uint32_t crc, Bytes bytes) {
  uint32_t state = ~crc;
  for (const uint8_t byte : bytes) {
    state = (state >> 8) ^ kTable[(state ^ byte) & 0xff];
  }
  return ~state;
}

uint32_t Crc32c(uint32_t crc, Bytes bytes) {
#if defined(__x86_64__)
  static const bool has_instruction = __builtin_cpu_supports("sse4.2") != 0;
  return has_instruction ? Crc32cByInstruction(crc, bytes) : Crc32cByTable(crc, bytes);
#elif defined(__ARM_FEATURE_CRC32)
  return Crc32cByInstruction(crc, bytes);
#else
  return Crc32cByTable(crc, bytes);
#endif
}

}  // namespace backstay
