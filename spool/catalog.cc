// spool/catalog.cc -- listing, headers, start records.
#include "spool/catalog.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "core/base/check.h"
#include "core/base/log.h"
#include "spool/checkpoint_store.h"
#include "spool/segment_set.h"

namespace backstay {
namespace {

constexpr size_t kHeadBytes = 2 * kBlockBytes;  // header and start record
static_assert(kDataStart + kStartFrameBytes <= kHeadBytes);

bool IsCause(const UntrustedEntry& entry, UntrustedCause cause) {
  return entry.cause == static_cast<uint32_t>(cause);
}

bool IsIn(const UntrustedEntry& entry, uint32_t segment, uint64_t at) {
  return segment == entry.first_segment
             ? at >= entry.good_bytes
             : segment > entry.first_segment && segment <= entry.last_segment;
}

// At most the front of a header that was not written to its end.
bool IsUnused(Bytes bytes) {
  size_t front = 0;
  while (front < std::min(bytes.size(), sizeof(kSegmentMagic)) &&
         bytes[front] == static_cast<uint8_t>(kSegmentMagic >> (8 * front))) {
    ++front;
  }
  const bool is_ours = front == sizeof(kSegmentMagic);
  return IsZero(bytes.subspan(is_ours ? std::min(bytes.size(), sizeof(SegmentHeader)) : front));
}

}  // namespace

uint64_t CatalogEntry::copy_place() const {
  return file_bytes < kHeadBytes ? file_bytes
                                 : file_bytes / kBlockBytes * kBlockBytes - kBlockBytes;
}

Catalog::Catalog(Io& io, Fd directory, const Identity& identity, CatalogEvents& events)
    : io_(io),
      directory_(directory),
      identity_(identity),
      events_(events),
      read_(io, *this, kReadTries) {}

std::string Catalog::Name() const {
  return NameOfSegment(found_[current_].number).data();
}

void Catalog::Start() {
  ASSERT(step_ == Step::kIdle);
  auto listing = io_.List(directory_);
  if (!listing.ok()) {
    return events_.OnCatalogRead(listing.status());
  }
  for (const DirectoryEntry& file : *listing) {
    if (file.is_directory && file.name == "quarantine") {
      continue;
    }
    if (const auto checkpoint = ParseCheckpointName(file.name); checkpoint.has_value()) {
      checkpoints_.push_back(*checkpoint);
      continue;
    }
    if (const auto spare = ParseSpareName(file.name); spare.has_value() && file.is_file) {
      spares_.push_back(*spare);
      highest_number_ = std::max(highest_number_, *spare);
      continue;
    }
    const std::optional<uint32_t> number = ParseSegmentName(file.name);
    highest_number_ = std::max(highest_number_, number.value_or(0));
    if (!number.has_value() || !file.is_file || file.bytes == 0) {
      LogWarning("spool shard={} file=\"{}\" left alone: not a segment", identity_.shard,
                 Escaped(file.name));
      left_alone_.push_back({file.name, LeftAlone::kForeign,
                             number.has_value() ? "empty, or no plain file" : "not a segment"});
      continue;
    }
    CatalogEntry entry;
    entry.number = *number;
    entry.file_bytes = file.bytes;
    found_.push_back(entry);
  }
  std::sort(found_.begin(), found_.end(), [](const CatalogEntry& left, const CatalogEntry& right) {
    return left.number < right.number;
  });
  std::sort(checkpoints_.begin(), checkpoints_.end());
  Next();
}

void Catalog::Next() {
  if (current_ == found_.size()) {
    step_ = Step::kIdle;
    return events_.OnCatalogRead(absl::OkStatus());
  }
  step_ = Step::kOpened;
  failed_opens_ = 0;
  open_name_ = NameOfSegment(found_[current_].number);
  io_.Open(&open_, directory_, open_name_.data(), OpenMode::kRead);
}

// Whatever could not be read stayed as it was filled, and its checksum fails.
void Catalog::OnRangeRead(IoError error, size_t bytes) {
  const uint64_t wanted = step_ == Step::kCopyRead ? kBlockBytes : kHeadBytes;
  const bool is_short = bytes < std::min<uint64_t>(wanted, found_[current_].file_bytes);
  found_[current_].is_unreadable |= error != IoError::kNone || is_short;
  if (step_ == Step::kCopyRead) {
    return CopyRead();
  }
  ASSERT(step_ == Step::kHeadRead);
  HeadRead();
}

void Catalog::OnOpened(const IoResult& result) {
  if (result.error() == IoError::kNoDescriptors || result.error() == IoError::kNoMemory) {
    // Mail would seem lost although nothing is wrong with it.
    step_ = Step::kIdle;
    return events_.OnCatalogRead(absl::ResourceExhaustedError(fmt::format(
        "cannot open {}: {}; raise the limit of open files", Name(), Describe(result.error()))));
  }
  if (!result.ok()) {
    if (result.error() == IoError::kDevice && ++failed_opens_ < kReadTries) {
      return io_.Open(&open_, directory_, open_name_.data(), OpenMode::kRead);
    }
    const bool is_gone = result.error() == IoError::kNotFound;
    found_[current_].is_unreadable = !is_gone;
    return LeaveAlone(is_gone ? LeftAlone::kGone : LeftAlone::kUnreadable,
                      Describe(result.error()));
  }
  found_[current_].file = result.fd();
  head_.Resize(kHeadBytes);
  // What cannot be read must not look like zeros.
  std::fill(head_.data(), head_.data() + kHeadBytes, uint8_t{0xee});
  step_ = Step::kHeadRead;
  read_.Start(result.fd(), {head_.data(), kHeadBytes}, 0);
}

void Catalog::HeadRead() {
  CatalogEntry& entry = found_[current_];
  const auto header = DecodeSegmentHeader(head_.bytes());
  const bool has_copy = entry.copy_place() < entry.file_bytes;
  if (header.has_value() && (IsExpected(*header) || !has_copy)) {
    return Decide(header, false);
  }
  if (!has_copy) {
    return KeepIfZero(IsUnused(head_.bytes().first(static_cast<size_t>(entry.file_bytes))));
  }
  copy_.Resize(kBlockBytes);
  std::fill(copy_.data(), copy_.data() + kBlockBytes, uint8_t{0xee});
  step_ = Step::kCopyRead;
  read_.Start(entry.file, {copy_.data(), kBlockBytes}, entry.copy_place());
}

void Catalog::CopyRead() {
  const auto copy = DecodeSegmentHeader(copy_.bytes());
  const auto header = DecodeSegmentHeader(head_.bytes());
  // A header of another segment may be a block that was written to the wrong place.
  if (copy.has_value() && (IsExpected(*copy) || !header.has_value())) {
    return Decide(copy, true);
  }
  if (header.has_value()) {
    return Decide(header, false);
  }
  KeepIfZero(IsUnused(head_.bytes()) && IsUnused(copy_.bytes()));
}

void Catalog::KeepIfZero(bool is_zero) {
  if (!is_zero) {
    return LeaveAlone(found_[current_].is_unreadable ? LeftAlone::kUnreadable : LeftAlone::kDamaged,
                      "no readable header");
  }
  entries_.push_back(found_[current_++]);
  Next();
}

bool Catalog::IsExpected(const SegmentHeader& header) const {
  return header.segment == found_[current_].number && header.shard == identity_.shard &&
         header.node == identity_.node;
}

void Catalog::Decide(std::optional<SegmentHeader> header, bool from_copy) {
  CatalogEntry& entry = found_[current_];
  if (header->version < kFormatOldest || header->version > kFormatVersion ||
      header->state != static_cast<uint32_t>(SegmentState::kInUse)) {
    return LeaveAlone(LeftAlone::kDamaged,
                      fmt::format("format {} state {}", header->version, header->state));
  }
  if (!IsExpected(*header)) {
    return LeaveAlone(LeftAlone::kDamaged,
                      fmt::format("it is segment {:08x} of node {} shard {}", header->segment,
                                  header->node, header->shard));
  }
  const bool is_possible = header->segment_bytes % kBlockBytes == 0 &&
                           header->segment_bytes >= kSegmentBytesMin &&
                           header->segment_bytes <= kSegmentBytesMax;
  if (!is_possible) {
    return LeaveAlone(LeftAlone::kDamaged, "impossible size in its header");
  }
  entry.is_header_from_copy = from_copy;
  entry.is_short = entry.file_bytes < header->segment_bytes;
  entry.header = header;
  ReadStart(*header);
  entries_.push_back(found_[current_++]);
  Next();
}

void Catalog::ReadStart(const SegmentHeader& header) {
  const SegmentKey key(header);
  const Bytes bytes = head_.bytes().subspan(kDataStart);
  const auto record =
      DecodeRecordHeader(key, static_cast<uint32_t>(kDataStart / kRecordAlignment), bytes);
  if (!record.has_value() || record->kind != static_cast<uint8_t>(RecordKind::kStart) ||
      record->payload_bytes != sizeof(StartPayload)) {
    return;
  }
  const Bytes payload = bytes.subspan(sizeof(RecordHeader), sizeof(StartPayload));
  if (!PayloadIsWhole(*record, payload)) {
    return;
  }
  const auto start = LoadStruct<StartPayload>(payload);
  const size_t count = std::min<size_t>(start.entries, kUntrustedEntriesMax);
  for (size_t i = 0; i < count; ++i) {
    if (start.entry[i].last_segment < header.segment) {
      untrusted_.push_back(start.entry[i]);
    }
  }
  found_[current_].start = start;
}

void Catalog::LeaveAlone(LeftAlone kind, std::string_view why) {
  CatalogEntry& entry = found_[current_];
  LogError("spool shard={} segment={:08x} left alone: {}", identity_.shard, entry.number, why);
  ++damage_;
  left_alone_.push_back({Name(), kind, std::string(why)});
  if (entry.is_unreadable) {
    unreadable_.push_back(entry.number);
  }
  if (entry.file.valid()) {
    io_.Close(entry.file);
  }
  ++current_;
  Next();
}

const CatalogEntry* Catalog::Find(uint32_t segment) const {
  const auto at = std::lower_bound(
      entries_.begin(), entries_.end(), segment,
      [](const CatalogEntry& entry, uint32_t number) { return entry.number < number; });
  return at != entries_.end() && at->number == segment ? &*at : nullptr;
}

bool Catalog::IsLeftAlone(uint32_t segment) const {
  return std::any_of(left_alone_.begin(), left_alone_.end(), [&](const LeftAloneFile& file) {
    return file.name == NameOfSegment(segment).data();
  });
}

std::optional<uint64_t> Catalog::TrustEnd(uint32_t segment) const {
  std::optional<uint64_t> end;
  for (const UntrustedEntry& entry : untrusted_) {
    if (!IsCause(entry, UntrustedCause::kAbandoned) || segment < entry.first_segment ||
        segment > entry.last_segment) {
      continue;
    }
    const uint64_t good = segment == entry.first_segment ? entry.good_bytes : 0;
    end = std::min(end.value_or(good), good);
  }
  return end;
}

std::optional<uint32_t> Catalog::PreviousOf(const CatalogEntry& entry) const {
  if (!entry.start.has_value() || entries_.front().number > entry.start->previous_segment) {
    return std::nullopt;
  }
  const uint32_t previous = entry.start->previous_segment;
  // Segments with nothing good in them are removed at once, whatever their age.
  const bool may_be_gone = TrustEnd(previous).value_or(kDataStart + 1) <= kDataStart;
  return may_be_gone ? std::nullopt : std::optional(previous);
}

uint64_t Catalog::ReadableEnd(const CatalogEntry& entry) const {
  ASSERT(entry.header.has_value());
  const uint64_t end = std::min(DataEnd(*entry.header), entry.file_bytes);
  return std::min(end, TrustEnd(entry.number).value_or(end));
}

bool Catalog::IsKnownTorn(uint32_t segment, uint64_t at) const {
  return std::any_of(untrusted_.begin(), untrusted_.end(), [&](const UntrustedEntry& entry) {
    return IsCause(entry, UntrustedCause::kTorn) && IsIn(entry, segment, at);
  });
}

bool Catalog::IsTorn(uint32_t segment, uint64_t at) const {
  return IsKnownTorn(segment, at) || (tail_.has_value() && IsIn(*tail_, segment, at));
}

std::optional<WallTime> Catalog::Created() const {
  for (const CatalogEntry& entry : entries_) {
    if (entry.header.has_value()) {
      return WallTime::FromNanoseconds(entry.header->created_wall);
    }
  }
  return std::nullopt;
}

}  // namespace backstay
