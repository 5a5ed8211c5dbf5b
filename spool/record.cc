// spool/record.cc -- checksums over place, header and payload.
#include "spool/record.h"

#include <algorithm>
#include <array>

#include "core/base/check.h"
#include "core/base/crc32c.h"

namespace backstay {
namespace {

constexpr size_t kSegmentCrcAt = offsetof(SegmentHeader, crc);
constexpr size_t kHeaderCrcAt = offsetof(RecordHeader, header_crc);

}  // namespace

SegmentKey::SegmentKey(const SegmentHeader& header)
    : segment_(header.segment), generation_(header.generation) {
  std::array<uint8_t, 20> place;
  StoreLittle(place.data(), header.salt);
  StoreLittle(place.data() + 8, header.node);
  StoreLittle(place.data() + 10, header.shard);
  StoreLittle(place.data() + 12, header.segment);
  StoreLittle(place.data() + 16, header.generation);
  prefix_crc_ = Crc32c(0, place);
}

uint32_t SegmentKey::Seed(uint32_t block) const {
  std::array<uint8_t, 4> place;
  StoreLittle(place.data(), block);
  return Crc32c(prefix_crc_, place);
}

uint64_t DataEnd(const SegmentHeader& header) {
  return header.segment_bytes - (header.version == 1 ? 1 : 2) * kBlockBytes;
}

void SealSegmentHeader(const SegmentHeader& header, MutableBytes block) {
  ASSERT(block.size() == kBlockBytes);
  std::fill(block.begin(), block.end(), uint8_t{0});
  StoreStruct(block, header);
  StoreLittle(block.data() + kSegmentCrcAt, Crc32c(0, block.first(kSegmentCrcAt)));
}

std::optional<SegmentHeader> DecodeSegmentHeader(Bytes block) {
  if (block.size() < sizeof(SegmentHeader)) {
    return std::nullopt;
  }
  const auto header = LoadStruct<SegmentHeader>(block);
  if (header.magic != kSegmentMagic || header.crc != Crc32c(0, block.first(kSegmentCrcAt))) {
    return std::nullopt;
  }
  return header;
}

uint32_t SealRecord(const SegmentKey& key, uint32_t block, RecordHeader header,
                    MutableBytes frame) {
  ASSERT(frame.size() == FrameBytes(header.payload_bytes));
  const size_t payload_end = sizeof(RecordHeader) + header.payload_bytes;
  std::fill(frame.begin() + static_cast<ptrdiff_t>(payload_end), frame.end(), uint8_t{0});
  header.segment = key.segment();
  header.generation = key.generation();
  header.payload_crc = Crc32c(0, frame.subspan(sizeof(RecordHeader), header.payload_bytes));
  StoreStruct(frame, header);
  const uint32_t crc = Crc32c(key.Seed(block), frame.first(kHeaderCrcAt));
  StoreLittle(frame.data() + kHeaderCrcAt, crc);
  return crc;
}

std::optional<RecordHeader> DecodeRecordHeader(const SegmentKey& key, uint32_t block, Bytes bytes) {
  if (bytes.size() < sizeof(RecordHeader) || LoadLittle<uint32_t>(bytes.data()) != kRecordMagic) {
    return std::nullopt;
  }
  const auto header = LoadStruct<RecordHeader>(bytes);
  const bool is_ours = header.segment == key.segment() && header.generation == key.generation();
  if (!is_ours || header.payload_bytes > kPayloadBytesMax) {
    return std::nullopt;
  }
  if (header.header_crc != Crc32c(key.Seed(block), bytes.first(kHeaderCrcAt))) {
    return std::nullopt;
  }
  return header;
}

bool PayloadIsWhole(const RecordHeader& header, Bytes payload) {
  return payload.size() == header.payload_bytes && Crc32c(0, payload) == header.payload_crc;
}

uint32_t CrcOfCrcs(std::span<const uint32_t> crcs) {
  return Crc32c(0, {reinterpret_cast<const uint8_t*>(crcs.data()), crcs.size_bytes()});
}

bool IsZero(Bytes bytes) {
  // Comparing a range with itself one byte on is what memcmp does fastest.
  return bytes.empty() ||
         (bytes[0] == 0 && std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0);
}

}  // namespace backstay
