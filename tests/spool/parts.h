// tests/spool/parts.h -- records for those to whom it does not matter what they hold.
#pragma once

#include <algorithm>

#include "spool/batch.h"

namespace backstay {

// A part of so many bytes.
inline void AddPart(Batch& batch, size_t bytes, uint64_t sequence) {
  const MutableBytes payload = batch.BeginRecord(bytes);
  std::fill(payload.begin(), payload.end(), uint8_t{0x55});
  RecordHeader header;
  header.kind = static_cast<uint8_t>(RecordKind::kPart);
  header.payload_bytes = static_cast<uint32_t>(bytes);
  header.sequence = sequence;
  batch.EndRecord(header);
}

}  // namespace backstay
