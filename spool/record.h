// spool/record.h -- record frames and segment headers: bytes in, bytes out, bound to their place.
//
// Errors: a Decode gives nothing for bytes that the matching Seal cannot have made in this place.
// See:    FORMAT.md 2.
#pragma once

#include <optional>
#include <span>

#include "core/base/bytes.h"
#include "spool/format.h"

namespace backstay {

// What ties a record to one segment: salt, node, shard, number, generation.
class SegmentKey {
 public:
  SegmentKey() = default;
  explicit SegmentKey(const SegmentHeader& header);
  uint32_t segment() const { return segment_; }
  uint32_t generation() const { return generation_; }
  // Where the checksum of a record header at this place starts.
  uint32_t Seed(uint32_t block) const;

 private:
  uint32_t segment_ = 0;
  uint32_t generation_ = 0;
  uint32_t prefix_crc_ = 0;
};

// Where batches and the footer end: before the place of the footer (version 2) and the second
// header.
uint64_t DataEnd(const SegmentHeader& header);

// Writes the header block (4 KiB, the checksum is computed).
void SealSegmentHeader(const SegmentHeader& header, MutableBytes block);
// Nothing: no valid header of any version. The caller checks version, number, shard and node.
std::optional<SegmentHeader> DecodeSegmentHeader(Bytes block);

// `frame` is FrameBytes(header.payload_bytes) long with the payload already in its place. Fills
// header and padding; returns the header's checksum.
uint32_t SealRecord(const SegmentKey& key, uint32_t block, RecordHeader header, MutableBytes frame);
// Checks the header alone: afterwards its length may be trusted. `bytes` may be longer or shorter.
std::optional<RecordHeader> DecodeRecordHeader(const SegmentKey& key, uint32_t block, Bytes bytes);
bool PayloadIsWhole(const RecordHeader& header, Bytes payload);

// What a commit record says of the header checksums of its batch.
uint32_t CrcOfCrcs(std::span<const uint32_t> crcs);

// Copies one of the fixed structs of format.h. The caller has checked the length.
template <typename Struct>
Struct LoadStruct(Bytes bytes) {
  Struct value;
  std::memcpy(&value, bytes.data(), sizeof(value));
  return value;
}
template <typename Struct>
void StoreStruct(MutableBytes bytes, const Struct& value) {
  std::memcpy(bytes.data(), &value, sizeof(value));
}

bool IsZero(Bytes bytes);

}  // namespace backstay
