// tools/backstay/message_file.cc -- record by record.
#include "tools/backstay/message_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "core/base/status_macros.h"

namespace backstay {
namespace {

// Most messages fit; a larger record takes a second read.
constexpr size_t kFirstReadBytes = 64_KiB;

uint64_t OffsetOf(MessageRef place) {
  return uint64_t{place.block} * kRecordAlignment;
}

std::string Name(MessageRef place) {
  return fmt::format("segment {:08x} offset {}", place.segment, OffsetOf(place));
}

}  // namespace

absl::StatusOr<MessageFile::Record> MessageFile::ReadRecord(MessageRef place,
                                                            AlignedBuffer& buffer) {
  const CatalogEntry* entry = files_.Find(place.segment);
  if (entry == nullptr || !entry->header.has_value()) {
    return absl::NotFoundError(fmt::format("segment {:08x} is not there", place.segment));
  }
  if (!entry->file.valid()) {
    return absl::UnavailableError(fmt::format("segment {:08x} cannot be read", place.segment));
  }
  const uint64_t at = OffsetOf(place);
  const uint64_t end = files_.DataEnd(*entry);
  if (at < kDataStart || at >= end) {
    return absl::NotFoundError(fmt::format("{} is outside of the log", Name(place)));
  }
  const SegmentKey key(*entry->header);
  const uint64_t buffer_at = at / kBlockBytes * kBlockBytes;
  const auto start = static_cast<size_t>(at - buffer_at);
  for (uint64_t wanted = kFirstReadBytes;;) {
    buffer.Resize(static_cast<size_t>(wanted));
    IoError error = IoError::kNone;
    const size_t got = files_.ReadRange(*entry, {buffer.data(), buffer.size()}, buffer_at, error);
    if (error != IoError::kNone) {
      return absl::UnavailableError(
          fmt::format("{} cannot be read: {}", Name(place), Describe(error)));
    }
    const auto usable = static_cast<size_t>(std::min<uint64_t>(got, end - buffer_at));
    const Bytes bytes = buffer.bytes().first(usable).subspan(std::min(start, usable));
    const auto header = DecodeRecordHeader(key, place.block, bytes);
    if (!header.has_value()) {
      return absl::DataLossError(
          fmt::format("{}: no record begins there, or its header is damaged", Name(place)));
    }
    const uint64_t frame = FrameBytes(header->payload_bytes);
    const uint64_t needed = AlignUp(start + frame, kBlockBytes);
    if (frame <= bytes.size()) {
      const Bytes payload = bytes.subspan(sizeof(RecordHeader), header->payload_bytes);
      if (!PayloadIsWhole(*header, payload)) {
        return absl::DataLossError(
            fmt::format("{}: the checksum of its record ({} bytes) fails", Name(place), frame));
      }
      return Record{*header, payload};
    }
    if (needed <= wanted) {
      return absl::DataLossError(fmt::format("{}: its record is cut off", Name(place)));
    }
    wanted = needed;
  }
}

absl::Status MessageFile::Open() {
  ASSIGN_OR_RETURN(const Record record, ReadRecord(place_, record_));
  if (record.header.kind != static_cast<uint8_t>(RecordKind::kMessage)) {
    return absl::NotFoundError(fmt::format("{} is not the place of a message", Name(place_)));
  }
  if (!DecodeMessage(record.payload, message_)) {
    return absl::DataLossError(fmt::format("{}: not a message record", Name(place_)));
  }
  if ((message_.is_moved() ? message_.home() : place_) != home_) {
    return absl::NotFoundError(fmt::format("{} is the place of another message", Name(place_)));
  }
  return absl::OkStatus();
}

absl::StatusOr<Bytes> MessageFile::ReadPart(const PartEntry& part) {
  const MessageRef place{part.segment, part.block};
  absl::StatusOr<Record> record = ReadRecord(place, part_);
  if (absl::IsNotFound(record.status())) {
    return absl::DataLossError(
        fmt::format("a part of it is gone: {}", std::string(record.status().message())));
  }
  RETURN_IF_ERROR(record.status());
  const RecordHeader& header = record->header;
  if (header.kind != static_cast<uint8_t>(RecordKind::kPart) ||
      record->payload.size() != part.bytes || header.payload_crc != part.crc) {
    return absl::DataLossError(fmt::format("{}: not the part that belongs there", Name(place)));
  }
  return record->payload;
}

absl::Status MessageFile::ForEachPiece(absl::FunctionRef<void(Bytes)> take) {
  take(message_.prefix);
  for (const PartEntry& part : message_.parts) {
    ASSIGN_OR_RETURN(const Bytes piece, ReadPart(part));
    take(piece);
  }
  take(message_.content);
  return absl::OkStatus();
}

}  // namespace backstay
