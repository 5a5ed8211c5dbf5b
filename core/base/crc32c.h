// core/base/crc32c.h -- CRC-32C (Castagnoli, reflected, RFC 3720 s12.1): SSE4.2 or table, same
// result.
#pragma once

#include <cstdint>

#include "core/base/bytes.h"

namespace backstay {

// The checksum of `seen + bytes`, where `crc` is the checksum of `seen` (0 for nothing seen).
uint32_t Crc32c(uint32_t crc, Bytes bytes);

// The portable version, for machines without the instruction and as the other half of the test.
uint32_t Crc32cByTable(uint32_t crc, Bytes bytes);

}  // namespace backstay
