// tools/backstay/shard_walk.cc -- segment by segment; then the tail and the messages are judged.
#include "tools/backstay/shard_walk.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <tuple>
#include <utility>

#include "core/base/check.h"
#include "spool/outcome_queue.h"
#include "spool/queue_id.h"
#include "spool/sweep.h"
#include "spool/zero_check.h"
#include "tools/backstay/stable_ends.h"

namespace backstay {
namespace {

bool IsBefore(const PartEntry& left, const PartEntry& right) {
  return std::tie(left.segment, left.block) < std::tie(right.segment, right.block);
}

ByteRange RangeOfRecord(uint32_t block, uint64_t payload_bytes) {
  const uint64_t at = uint64_t{block} * kRecordAlignment;
  return {at, at + FrameBytes(payload_bytes)};
}

}  // namespace

ShardWalk::ShardWalk(ShardFiles& files, bool is_in_use, FindingEvents& events,
                     ReadProgress* progress)
    : files_(files), is_in_use_(is_in_use), events_(events), progress_(progress) {}

void ShardWalk::Tell(FindingKind kind, uint32_t segment, std::optional<ByteRange> range,
                     std::string what) {
  Finding finding{kind, files_.identity().shard, segment, range, std::move(what)};
  if (held_back_.has_value()) {
    held_back_->push_back(std::move(finding));
  } else {
    events_.OnFinding(finding);
  }
}

void ShardWalk::Run() {
  TellLeftAlone();
  const std::vector<CatalogEntry>& entries = files_.entries();
  if (is_in_use_) {
    ends_ = StableEnds(files_);
  }
  for (const CatalogEntry& entry : entries) {
    ++counts_.segments;
    counts_.file_bytes += entry.file_bytes;
    if (!is_in_use_) {
      ends_.push_back(entry.header.has_value() ? files_.DataEnd(entry) : kDataStart);
    }
    if (entry.header.has_value()) {
      // Not published before all is known: then what is owed is counted once.
      segments_.Add(std::make_unique<Segment>(*entry.header, Fd()))->is_published = false;
    }
  }
  UseCheckpoint();
  for (size_t i = 0; i < entries.size(); ++i) {
    is_in_use_ ? ReadBesideADaemon(i) : ReadSegment(i);
  }
  for (const uint32_t segment : cover_.Lost()) {
    if (is_sure_) {
      Tell(FindingKind::kDamaged, segment, std::nullopt, "is missing, and mail in it was owed");
    }
  }
  Sweep(segments_, index_)
      .Step(replay_.rules(), UINT32_MAX, std::nullopt, 0, [](MessageRef, uint32_t) {});
  JudgeMessages();
  JudgeTail();
  for (Segment* segment = segments_.FindFrom(0); segment != nullptr;
       segment = segments_.FindFrom(segment->number() + 1)) {
    index_.Publish(*segment);
  }
}

// Segments that are gone may have held the settles of others: then only a checkpoint has them.
void ShardWalk::UseCheckpoint() {
  cover_ = CheckpointCover(files_.ReadCheckpoint());
  std::optional<RuleBook> rules = cover_.Begin(files_.catalog(), index_);
  while (!rules.has_value()) {  // without one it begins with no rules
    is_sure_ = !is_in_use_;     // it may know that segments are gone which were there a moment ago
    cover_ = CheckpointCover(files_.ReadOlderCheckpoint());
    rules = cover_.Begin(files_.catalog(), index_);
  }
  replay_.rules() = *std::move(rules);
}

void ShardWalk::TellLeftAlone() {
  const uint16_t shard = files_.identity().shard;
  for (const LeftAloneFile& file : files_.catalog().left_alone()) {
    switch (file.kind) {
      case LeftAlone::kForeign:
        if (is_in_use_ && ParseSegmentName(file.name).has_value()) {
          break;  // just created
        }
        events_.OnFinding({FindingKind::kNote, shard, std::nullopt, std::nullopt,
                           fmt::format("{} was not read: {}", file.name, file.why)});
        break;
      case LeftAlone::kGone:
        is_sure_ = false;  // given back since the directory was listed
        break;
      case LeftAlone::kUnreadable:
        Tell(FindingKind::kUnreadable, ParseSegmentName(file.name).value_or(0), std::nullopt,
             file.why);
        break;
      case LeftAlone::kDamaged:
        Tell(FindingKind::kDamaged, ParseSegmentName(file.name).value_or(0), std::nullopt,
             fmt::format("cannot be used: {}", file.why));
        break;
    }
  }
}

// ---- one segment ----

void ShardWalk::ReadSegment(size_t entry_number) {
  const CatalogEntry& entry = files_.entries()[entry_number];
  if (!entry.file.valid()) {
    return Tell(FindingKind::kUnreadable, entry.number, std::nullopt,
                "cannot be opened around the page cache");
  }
  if (!entry.header.has_value()) {
    // The last one is being prepared, and may be written to meanwhile.
    const bool is_new = is_in_use_ && entry_number + 1 == files_.entries().size();
    return is_new ? void() : CheckZero(entry);
  }
  const uint64_t end = ends_[entry_number];
  if (end <= kDataStart && is_in_use_) {
    return;  // prepared, or just begun
  }
  CheckPrevious(entry);
  if (end <= kDataStart) {
    return;
  }
  segment_ = segments_.Find(entry.number);
  written_end_ = kDataStart;
  SegmentScan scan(segment_->key, end, last_commit_crc_, *this);
  scan_ = &scan;
  const uint64_t unreadable_blocks = files_.Read(entry, scan, this);
  if (unreadable_blocks > 0) {
    Tell(FindingKind::kUnreadable, entry.number, std::nullopt,
         fmt::format("the device did not give {} blocks of {} bytes", unreadable_blocks,
                     kBlockBytes));
  }
  scan.Finish();
  if (scan.found_anything()) {
    CheckFile(entry);
  }
  last_commit_crc_ = scan.last_commit_crc();
  if (cover_.Covers(entry.number) && !cover_.Apply(*segment_, index_)) {
    Tell(FindingKind::kDamaged, entry.number, std::nullopt,
         "has not as many recipients as the checkpoint says; all of them are taken for queued");
  }
  segment_->index.ShrinkToFit();
  counts_.bytes_written += written_end_ - kDataStart;
}

void ShardWalk::ReadBesideADaemon(size_t entry_number) {
  const CatalogEntry& entry = files_.entries()[entry_number];
  const WalkCounts before = counts_;
  held_back_.emplace();
  ReadSegment(entry_number);
  const std::vector<Finding> findings = *std::exchange(held_back_, std::nullopt);
  const bool has_gone = HasGone(entry);
  for (const Finding& finding : findings) {
    if (!has_gone || finding.segment != entry.number) {  // or of the one before, which is there
      events_.OnFinding(finding);
    }
  }
  if (has_gone) {
    Forget(entry, before);
  }
}

// It was whole. It is cut from its end, or its first header is written anew before all else.
bool ShardWalk::HasGone(const CatalogEntry& entry) {
  if (!entry.header.has_value() || !entry.file.valid() || entry.is_short ||
      entry.is_header_from_copy) {
    return false;
  }
  size_t got = 0;
  IoError error = IoError::kNone;
  const std::optional<uint64_t> salt = SaltAt(entry, 0, got, error);
  if (salt.has_value() && *salt != entry.header->salt) {
    return true;
  }
  SaltAt(entry, entry.header->segment_bytes - kBlockBytes, got, error);
  return error == IoError::kNone && got < kBlockBytes;
}

// Its outcomes stay: they were whole records. What is owed in it is nothing, or it would be there.
void ShardWalk::Forget(const CatalogEntry& entry, const WalkCounts& before) {
  Tell(FindingKind::kNote, entry.number, std::nullopt,
       "was given back while it was read, and is not judged");
  is_sure_ = false;
  forgotten_.push_back(entry.number);
  const uint64_t bytes_read = counts_.bytes_read;
  counts_ = before;
  counts_.bytes_read = bytes_read;
  --counts_.segments;
  counts_.file_bytes -= entry.file_bytes;
  segments_.Find(entry.number)->index = SegmentIndex();
  tail_.clear();  // what follows it told, or would have
  std::erase_if(incomplete_,
                [&](const MissingPart& part) { return part.place.segment == entry.number; });
  if (with_commit_.empty() || with_commit_.back() != entry.number) {
    with_commit_.push_back(entry.number);
  }
  last_commit_crc_.reset();
}

bool ShardWalk::IsForgotten(uint32_t segment) const {
  return std::binary_search(forgotten_.begin(), forgotten_.end(), segment);
}

void ShardWalk::OnBytesRead(uint64_t bytes) {
  counts_.bytes_read += bytes;
  if (progress_ != nullptr) {
    progress_->OnBytesRead(bytes);
  }
}

void ShardWalk::CheckZero(const CatalogEntry& entry) {
  ZeroCheck check(std::max(entry.file_bytes, kDataStart));
  files_.Read(entry, check, this);
  if (!check.all_zero()) {
    Tell(FindingKind::kDamaged, entry.number, std::nullopt,
         "cannot be used: both headers are empty, and the rest is not");
  }
}

// What the file should have beside its records.
void ShardWalk::CheckFile(const CatalogEntry& entry) {
  const uint64_t second_at = entry.header->segment_bytes - kBlockBytes;
  if (entry.is_header_from_copy) {
    Tell(FindingKind::kDamaged, entry.number, ByteRange{0, kBlockBytes},
         "first header; its copy was used");
  }
  if (entry.is_short) {
    Tell(FindingKind::kDamaged, entry.number,
         ByteRange{entry.file_bytes, entry.header->segment_bytes}, "the file is cut off here");
    return;
  }
  size_t got = 0;
  IoError error = IoError::kNone;
  if (SaltAt(entry, second_at, got, error) != entry.header->salt) {
    Tell(FindingKind::kDamaged, entry.number, ByteRange{second_at, second_at + kBlockBytes},
         "second header; the first was used");
  }
}

std::optional<uint64_t> ShardWalk::SaltAt(const CatalogEntry& entry, uint64_t at, size_t& got,
                                          IoError& error) {
  AlignedBuffer block;
  block.Resize(kBlockBytes);
  got = files_.ReadRange(entry, {block.data(), kBlockBytes}, at, error);
  const auto header = DecodeSegmentHeader(block.bytes().first(got));
  return header.has_value() ? std::optional(header->salt) : std::nullopt;
}

// The log went on from there, so there was at least one whole batch.
void ShardWalk::CheckPrevious(const CatalogEntry& entry) {
  const uint32_t last = with_commit_.empty() ? 0 : with_commit_.back();
  if (cover_.MayLackBetween(last, entry.number) || (!is_sure_ && last + 1 < entry.number)) {
    last_commit_crc_.reset();
  }
  const std::optional<uint32_t> previous = files_.catalog().PreviousOf(entry);
  if (previous.has_value() &&
      !std::binary_search(with_commit_.begin(), with_commit_.end(), *previous)) {
    const bool is_there = files_.Find(*previous) != nullptr;
    if (is_there || (is_sure_ && !cover_.Covers(*previous))) {
      Tell(FindingKind::kDamaged, *previous, std::nullopt,
           is_there ? "has no whole batch left" : "is missing");
    }
  }
}

// ---- what the scan tells ----

void ShardWalk::OnRecord(const RecordHeader& header, uint32_t block, Bytes payload) {
  ++counts_.records;
  const ByteRange range = RangeOfRecord(block, payload.size());
  written_end_ = std::max(written_end_, range.to);
  counts_.bytes_records += range.to - range.from;
  switch (static_cast<RecordKind>(header.kind)) {
    case RecordKind::kStart:
    case RecordKind::kCommit:
    case RecordKind::kFooter:
    case RecordKind::kFooterPlace:
      return;
    case RecordKind::kMessage:
      return AddMessage(header, block, payload);
    case RecordKind::kPart:
      parts_.push_back({segment_->number(), block, header.payload_bytes, header.payload_crc});
      return;
    case RecordKind::kOutcomes:
      if (!ForEachOutcome(payload, [&](const OutcomeEntry& entry, Bytes detail) {
            if (cover_.Covers(segment_->number())) {
              return;  // the checkpoint knows, and knows later ones too
            }
            cover_.NoteOutcome(entry, detail);
            if (!replay_.Apply(entry, detail)) {
              Tell(FindingKind::kDamaged, segment_->number(), range,
                   fmt::format("outcome of kind {} that cannot be", entry.code));
            }
          })) {
        Tell(FindingKind::kDamaged, segment_->number(), range, "not a list of outcomes");
      }
      return;
  }
  Tell(FindingKind::kNote, segment_->number(), range,
       fmt::format("record of unknown kind {} skipped", header.kind));
}

// Null when every part of message_ was seen whole.
const PartEntry* ShardWalk::FindMissingPart() const {
  for (const PartEntry& part : message_.parts) {
    const auto at = std::lower_bound(parts_.begin(), parts_.end(), part, IsBefore);
    const bool is_whole = at != parts_.end() && at->segment == part.segment &&
                          at->block == part.block && at->bytes == part.bytes && at->crc == part.crc;
    if (!is_whole) {
      return &part;
    }
  }
  return nullptr;
}

void ShardWalk::AddMessage(const RecordHeader& header, uint32_t block, Bytes payload) {
  if (!DecodeMessage(payload, message_) || message_.recipient_domains.empty()) {
    return Tell(FindingKind::kDamaged, segment_->number(), RangeOfRecord(block, payload.size()),
                "not a message");
  }
  const MessageRef home = messages_.Add(*segment_, block, header, message_);
  counts_.messages += message_.is_moved() ? 0 : 1;
  counts_.recipients += message_.is_moved() ? 0 : message_.fixed.recipients;
  const PartEntry* missing = FindMissingPart();
  if (missing != nullptr) {
    incomplete_.push_back({home,
                           {segment_->number(), block},
                           message_.fixed.recipients,
                           *missing,
                           message_.reported_message(),
                           message_.debts});
  } else {
    messages_.EndDebts(home, message_.report_of());
  }
}

void ShardWalk::OnCommit(const CommitPayload&, bool continues) {
  ++counts_.batches;
  written_end_ = AlignUp(scan_->at() + kCommitFrameBytes, kBlockBytes);
  if (with_commit_.empty() || with_commit_.back() != segment_->number()) {
    with_commit_.push_back(segment_->number());
  }
  for (const BrokenRange& broken : tail_) {
    if (continues && broken.flaw == BatchFlaw::kNoEnd) {
      Tell(FindingKind::kNote, broken.segment, broken.range,
           "no batch is missing: a footer or a batch that was not finished, or a damaged footer");
    } else {
      Tell(FindingKind::kDamaged, broken.segment, broken.range, "batch");
    }
  }
  tail_.clear();
}

void ShardWalk::OnBrokenBatch(ByteRange range, BatchFlaw flaw) {
  if (files_.catalog().IsKnownTorn(segment_->number(), range.from)) {
    return Tell(FindingKind::kTorn, segment_->number(), range,
                "batch interrupted by an earlier stop; the start after it has dealt with it");
  }
  if (flaw == BatchFlaw::kLostCommit) {
    return Tell(FindingKind::kDamaged, segment_->number(), range, "batch");
  }
  tail_.push_back({segment_->number(), range, flaw});
}

void ShardWalk::OnBrokenChain(uint64_t at) {
  Tell(FindingKind::kDamaged, segment_->number(), ByteRange{at, at},
       "whole batches are missing before this place");
}

// ---- the end of the log ----

bool ShardWalk::IsInTail(MessageRef message) const {
  const uint64_t at = uint64_t{message.block} * kRecordAlignment;
  if (files_.catalog().IsKnownTorn(message.segment, at)) {
    return true;
  }
  return !tail_.empty() && std::pair(message.segment, at) >=
                               std::pair(tail_.front().segment, tail_.front().range.from);
}

bool ShardWalk::IsOwed(const MissingPart& missing) const {
  for (uint32_t recipient = 0; recipient < missing.recipients; ++recipient) {
    if (index_.IsLive(missing.message, recipient) || index_.IsPending(missing.message, recipient)) {
      return true;
    }
  }
  return false;
}

// A message that is settled needs its parts no more; one of a torn batch was never acknowledged.
void ShardWalk::JudgeMessages() {
  for (const MissingPart& missing : incomplete_) {
    if (!IsInTail(missing.place)) {
      messages_.EndDebts(missing.place, {missing.reported_message, missing.debts});
    }
  }
  for (const MissingPart& missing : incomplete_) {
    const MessageRef message = missing.message;
    // A segment that a running daemon has given back had nothing owed in it.
    const bool is_gone = is_in_use_ && (files_.Find(missing.part.segment) == nullptr ||
                                        IsForgotten(missing.part.segment));
    const bool lies_elsewhere = index_.PlaceOf(message) != missing.place;
    if (is_gone || lies_elsewhere || !IsOwed(missing)) {
      continue;
    }
    if (IsInTail(missing.place)) {
      for (uint32_t recipient = 0; recipient < missing.recipients; ++recipient) {
        if (index_.IsLive(message, recipient)) {
          replay_.Discard(message, recipient);
        }
      }
      continue;
    }
    const Catalog::Identity& identity = files_.identity();
    const std::array<char, 16> id =
        QueueId{identity.node, identity.shard, message.segment, message.block}.ToText();
    Tell(FindingKind::kDamaged, missing.part.segment,
         RangeOfRecord(missing.part.block, missing.part.bytes),
         fmt::format("part of message {}: it cannot be delivered whole",
                     std::string_view(id.data(), id.size())));
  }
}

void ShardWalk::JudgeTail() {
  for (const BrokenRange& broken : tail_) {
    if (is_in_use_) {
      // What was left out begins with a batch that has its commit record.
      Tell(FindingKind::kDamaged, broken.segment, broken.range, "batch");
      continue;
    }
    Tell(FindingKind::kTorn, broken.segment, broken.range,
         "last batch of the log is not whole: most likely a stop interrupted it, and then nothing "
         "in it was acknowledged");
  }
}

}  // namespace backstay
