// spool/recovery.cc -- scanning, judging what is broken, and where the log goes on.
#include "spool/recovery.h"

#include <algorithm>

#include "core/base/check.h"
#include "core/base/log.h"
#include "core/base/mark.h"

namespace backstay {
namespace {

constexpr uint64_t kDamageLinesMax = 100;
constexpr int kOpenTries = 3;

uint64_t PlaceKey(uint32_t segment, uint32_t block) {
  return (uint64_t{segment} << 32) | block;
}

}  // namespace

Recovery::Recovery(Io& io, Fd directory, uint16_t shard, Catalog& catalog, SegmentSet& segments,
                   Index& index, RecoveryEvents& events)
    : io_(io),
      directory_(directory),
      shard_(shard),
      catalog_(catalog),
      segments_(segments),
      index_(index),
      events_(events),
      reader_(io, *this),
      footer_(io, *this),
      quarantine_(io, directory, *this),
      replay_(index),
      messages_(catalog, segments, index, cover_) {}

void Recovery::AddSegments() {
  for (const CatalogEntry& entry : catalog_.entries()) {
    if (entry.header.has_value()) {
      Segment* segment = AddSegment(*entry.header, entry.file);
      segment->untrusted_from = entry.start.has_value() ? entry.start->untrusted_from() : 0;
    }
  }
}

void Recovery::Start(std::optional<Checkpoint> checkpoint) {
  for (const CatalogEntry& entry : catalog_.entries()) {
    if (Segment* segment = segments_.Find(entry.number); segment != nullptr) {
      segment->index = SegmentIndex();  // a Recovery before this one may have filled it
      segment->pins = 0;
      segment->orders_in_checkpoint = 0;
    }
  }
  segments_.RemoveIf([](const Segment& segment) { return segment.is_gone(); });
  result_.damaged = catalog_.damage();
  for (const uint32_t number : catalog_.unreadable()) {
    segments_.NoteUnreadable(number);
  }
  cover_ = CheckpointCover(std::move(checkpoint));
  std::optional<RuleBook> rules = cover_.Begin(catalog_, index_);
  is_misfit_ = !rules.has_value();
  if (rules.has_value()) {
    replay_.rules() = *std::move(rules);
    replay_.notes() = cover_.TakeNotes();
    cover_.LoadAccounts(catalog_, io_.WallNow(), index_);
  }
  NextSegment();
}

Segment* Recovery::AddSegment(const SegmentHeader& header, Fd file) {
  Segment* segment = segments_.Add(std::make_unique<Segment>(header, file));
  segment->is_published = false;
  return segment;
}

// ---- one segment after the other ----

void Recovery::NextSegment() {
  while (current_ < catalog_.entries().size() && !is_aborted_ && !is_misfit_) {
    CatalogEntry& entry = catalog_.entries()[current_];
    if (entry.header.has_value() && catalog_.TrustEnd(entry.number).has_value() &&
        entry.file.valid()) {
      // The page cache may show bytes that never reached the disk.
      MARK("abandoned segment read around the cache");
      io_.Close(entry.file);
      entry.file = Fd();
      segments_.Find(entry.number)->file = Fd();
      open_name_ = NameOfSegment(entry.number);
      io_.Open(&open_, directory_, open_name_.data(), OpenMode::kReadDirect);
      return;
    }
    // Without its start record the segment is damaged: a scan says so.
    const bool is_whole = entry.header.has_value() && entry.start.has_value() &&
                          !catalog_.TrustEnd(entry.number).has_value();
    if (is_whole && cover_.Covers(entry.number) && entry.header->version >= 4) {
      segment_ = segments_.Find(entry.number);
      return footer_.Start(entry.file, *entry.header);
    }
    if (StartReading()) {
      return;
    }
    EndCovered();
  }
  EndReading();
}

void Recovery::OnFooterRead(Bytes payload, bool is_damaged) {
  if (is_damaged) {
    LogError("spool shard={} segment={:08x} damaged: footer; the segment is read", shard_,
             segment_->number());
    ++result_.damaged;
  }
  auto footer = DecodeFooter(payload, segment_->number(),
                             [this](std::string_view name) { return index_.Intern(name); });
  if (footer.has_value()) {
    segment_->index = std::move(footer->index);
    if (cover_.Apply(*segment_, index_)) {
      MARK("segment known by its footer");
      for (const MovedMessage& moved : footer->moved) {
        messages_.AddNamed(moved);
      }
      CheckPrevious(catalog_.entries()[current_]);
      NameDamagedFile(catalog_.entries()[current_]);
      with_commit_.push_back(segment_->number());
      last_commit_crc_ = footer->last_commit_crc;
      ++current_;
      return NextSegment();
    }
    segment_->index = SegmentIndex();
  }
  if (!StartReading()) {
    EndCovered();
    NextSegment();
  }
}

void Recovery::OnReopened(const IoResult& result) {
  CatalogEntry& entry = catalog_.entries()[current_];
  if (result.error() == IoError::kDevice && ++failed_opens_ < kOpenTries) {
    return io_.Open(&open_, directory_, open_name_.data(), OpenMode::kReadDirect);
  }
  failed_opens_ = 0;
  if (!result.ok()) {
    LogError("spool shard={} segment={:08x} left alone: {}", shard_, entry.number,
             Describe(result.error()));
    segments_.Remove(entry.number);
    segments_.NoteUnreadable(entry.number);
    ++result_.damaged;
    ++current_;
    return NextSegment();
  }
  entry.file = result.fd();
  if (!StartReading()) {
    EndCovered();
    NextSegment();
  }
}

bool Recovery::StartReading() {
  CatalogEntry& entry = catalog_.entries()[current_];
  segment_ = nullptr;
  if (!entry.header.has_value()) {
    if (!entry.file.valid()) {
      return false;  // looked at before
    }
    zero_check_ = std::make_unique<ZeroCheck>(entry.copy_place());
    if (entry.copy_place() <= kDataStart) {
      EndZeroCheck();
      return false;
    }
    reader_.Start(entry.file, *zero_check_);
    return true;
  }
  segment_ = segments_.Find(entry.number);
  if (segment_ == nullptr) {
    MARK("segment left alone by the recovery before this one");
    ++result_.damaged;
    return false;
  }
  segment_->file = entry.file;
  CheckPrevious(entry);
  const std::optional<uint64_t> trust_end = catalog_.TrustEnd(entry.number);
  if (trust_end.has_value()) {
    segment_->phase = SegmentPhase::kAbandoned;
    segment_->good_bytes = *trust_end;
  }
  const uint64_t end = catalog_.ReadableEnd(entry);
  if (end <= kDataStart) {
    LogInfo("spool shard={} segment={:08x} holds nothing", shard_, entry.number);
    return false;
  }
  ScanEvents& scan_events = *this;
  ++result_.segments_scanned;
  scan_ = std::make_unique<SegmentScan>(segment_->key, end, last_commit_crc_, scan_events);
  if (trust_end.has_value()) {  // opened around the cache
    reader_.Start(entry.file, *scan_);
  } else {
    reader_.StartDirect(directory_, entry.number, entry.file, *scan_);
  }
  return true;
}

void Recovery::CheckPrevious(const CatalogEntry& entry) {
  if (cover_.MayLackBetween(with_commit_.empty() ? 0 : with_commit_.back(), entry.number)) {
    last_commit_crc_.reset();
  }
  const std::optional<uint32_t> previous = catalog_.PreviousOf(entry);
  if (!previous.has_value() ||
      std::binary_search(with_commit_.begin(), with_commit_.end(), *previous)) {
    return;
  }
  const bool is_there = catalog_.Find(*previous) != nullptr;
  if (!is_there && cover_.Covers(*previous)) {
    return;  // given back, or lost: the checkpoint tells
  }
  LogError("spool shard={} segment={:08x} {}", shard_, *previous,
           is_there ? "damaged: emptied" : "missing");
  ++result_.damaged;
}

void Recovery::OnSegmentRead() {
  if (reader_.unreadable_blocks() > 0) {
    LogError("spool shard={} segment={:08x} unreadable_blocks={}", shard_,
             catalog_.entries()[current_].number, reader_.unreadable_blocks());
    result_.damaged += reader_.unreadable_blocks();
    MARK("segment with unreadable blocks kept");
    segments_.NoteGap();
  }
  if (zero_check_ != nullptr) {
    EndZeroCheck();
  } else {
    EndSegment();
  }
  EndCovered();
  NextSegment();
}

void Recovery::EndCovered() {
  if (segment_ != nullptr && cover_.Covers(segment_->number()) &&
      !cover_.Apply(*segment_, index_)) {
    MARK("checkpoint and segment disagree");
    LogWarning("spool shard={} segment={:08x} does not fit to the checkpoint, which is not used",
               shard_, segment_->number());
    is_misfit_ = true;
  }
  ++current_;
}

void Recovery::EndZeroCheck() {
  CatalogEntry& entry = catalog_.entries()[current_];
  io_.Close(entry.file);
  entry.file = Fd();
  if (zero_check_->all_zero()) {
    MARK("segment never used");
    LogInfo("spool shard={} segment={:08x} was never used", shard_, entry.number);
    SegmentHeader header;
    header.segment = entry.number;
    header.segment_bytes = std::max(entry.file_bytes, kSegmentBytesMin);
    AddSegment(header, Fd())->phase = SegmentPhase::kAbandoned;
  } else {
    LogError("spool shard={} segment={:08x} left alone: no readable header", shard_, entry.number);
    ++result_.damaged;
  }
  zero_check_.reset();
}

void Recovery::EndSegment() {
  scan_->Finish();
  segment_->index.ShrinkToFit();
  if (scan_->found_anything()) {
    NameDamagedFile(catalog_.entries()[current_]);
  }
  last_commit_crc_ = scan_->last_commit_crc();
  scan_.reset();
}

void Recovery::NameDamagedFile(const CatalogEntry& entry) {
  if (entry.is_header_from_copy) {
    MARK("header copy used");
    ++result_.damaged;
    LogError("spool shard={} segment={:08x} damaged: first header; its copy is used", shard_,
             entry.number);
  }
  if (entry.is_short) {
    ++result_.damaged;
    LogError("spool shard={} segment={:08x} damaged: {} bytes instead of {}", shard_, entry.number,
             entry.file_bytes, entry.header->segment_bytes);
  }
}

// ---- what the scan tells ----

void Recovery::OnRecord(const RecordHeader& header, uint32_t block, Bytes payload) {
  switch (static_cast<RecordKind>(header.kind)) {
    case RecordKind::kStart:
    case RecordKind::kCommit:
    case RecordKind::kFooter:
    case RecordKind::kFooterPlace:
      return;
    case RecordKind::kMessage:
      return AddMessage(header, block, payload);
    case RecordKind::kPart:
      parts_[PlaceKey(segment_->number(), block)] =
          PartEntry{segment_->number(), block, header.payload_bytes, header.payload_crc};
      return;
    case RecordKind::kOutcomes:
      if (cover_.Covers(segment_->number())) {
        return;  // the checkpoint knows, and knows later ones too
      }
      if (!ForEachOutcome(payload, [this](const OutcomeEntry& entry, Bytes detail) {
            cover_.NoteOutcome(entry, detail);
            if (entry.code == static_cast<uint8_t>(OutcomeCode::kRule)) {
              segment_->orders_in_checkpoint = Segment::kNotTaken;
            }
            result_.damaged += replay_.Apply(entry, detail) ? 0 : 1;
          })) {
        ++result_.damaged;
      }
      return;
  }
  LogWarning("spool shard={} segment={:08x} offset={} record of unknown kind {} skipped", shard_,
             segment_->number(), uint64_t{block} * kRecordAlignment, header.kind);
}

bool Recovery::HasParts() const {
  return std::all_of(message_.parts.begin(), message_.parts.end(), [this](const PartEntry& part) {
    if (cover_.Covers(part.segment)) {
      return true;  // not looked at now; it was synced before the checkpoint
    }
    const auto found = parts_.find(PlaceKey(part.segment, part.block));
    return found != parts_.end() && found->second.bytes == part.bytes &&
           found->second.crc == part.crc;
  });
}

void Recovery::AddMessage(const RecordHeader& header, uint32_t block, Bytes payload) {
  if (!DecodeMessage(payload, message_) || message_.recipient_domains.empty()) {
    LogError("spool shard={} segment={:08x} offset={} damaged: not a message", shard_,
             segment_->number(), uint64_t{block} * kRecordAlignment);
    ++result_.damaged;
    return;
  }
  const MessageRef home = messages_.Add(*segment_, block, header, message_);
  if (message_.is_moved()) {
    return;
  }
  if (HasParts()) {
    return messages_.EndDebts(home, message_.report_of());
  }
  doubtful_.push_back(
      {home, message_.fixed.recipients, message_.reported_message(), message_.debts});
}

void Recovery::OnCommit(const CommitPayload&, bool continues) {
  if (with_commit_.empty() || with_commit_.back() != segment_->number()) {
    with_commit_.push_back(segment_->number());
  }
  for (const BrokenRange& broken : tail_) {
    // When the chain goes on no batch is missing there: a footer was cut short, or a batch of which
    // nobody was promised anything.
    if (broken.flaw == BatchFlaw::kHole || !continues) {
      Damaged(broken, "batch");
    }
  }
  tail_.clear();
}

void Recovery::OnBrokenBatch(ByteRange range, BatchFlaw flaw) {
  if (catalog_.IsKnownTorn(segment_->number(), range.from)) {
    MARK("torn tail met again");
    // Told before; the copy may be missing if that start was cut short.
    quarantine_.Add(segment_->number(), segment_->file, range.from, range.to);
    return;
  }
  const BrokenRange broken{segment_->number(), range, flaw};
  if (flaw == BatchFlaw::kLostCommit) {
    return Damaged(broken, "batch");
  }
  tail_.push_back(broken);
}

void Recovery::OnBrokenChain(uint64_t at) {
  Damaged({segment_->number(), {at, at}, BatchFlaw::kLostCommit}, "batches missing before it");
}

void Recovery::Damaged(const BrokenRange& broken, const char* what) {
  ++result_.damaged;
  if (++damage_lines_ <= kDamageLinesMax) {
    LogError("spool shard={} segment={:08x} from={} to={} damaged: {}", shard_, broken.segment,
             broken.range.from, broken.range.to, what);
  }
  quarantine_.Add(broken.segment, segments_.Find(broken.segment)->file, broken.range.from,
                  broken.range.to);
}

// ---- the end of the log ----

bool Recovery::IsInTail(MessageRef message) const {
  if (catalog_.IsKnownTorn(message.segment, uint64_t{message.block} * kRecordAlignment)) {
    return true;
  }
  return !tail_.empty() &&
         (message.segment > tail_.front().segment ||
          (message.segment == tail_.front().segment &&
           uint64_t{message.block} * kRecordAlignment >= tail_.front().range.from));
}

void Recovery::DropDoubtful() {
  for (const DoubtfulMessage& doubtful : doubtful_) {
    if (!IsInTail(doubtful.message)) {
      // Acknowledged: reading it will say that it is damaged.
      messages_.EndDebts(doubtful.message, {doubtful.reported_message, doubtful.debts});
      continue;
    }
    MARK("torn message dropped");
    for (uint32_t recipient = 0; recipient < doubtful.recipients; ++recipient) {
      if (index_.IsLive(doubtful.message, recipient)) {
        replay_.Discard(doubtful.message, recipient);
      }
    }
  }
}

void Recovery::JudgeTail() {
  for (const BrokenRange& broken : tail_) {
    ++result_.torn;
    LogWarning("spool shard={} segment={:08x} from={} to={} torn or damaged: last batch", shard_,
               broken.segment, broken.range.from, broken.range.to);
    quarantine_.Add(broken.segment, segments_.Find(broken.segment)->file, broken.range.from,
                    broken.range.to);
  }
}

void Recovery::EndReading() {
  if (damage_lines_ > kDamageLinesMax) {
    LogError("spool shard={} and {} more damaged ranges", shard_, damage_lines_ - kDamageLinesMax);
  }
  if (is_aborted_) {
    for (; current_ < catalog_.entries().size(); ++current_) {
      const CatalogEntry& entry = catalog_.entries()[current_];
      if (!entry.header.has_value() && entry.file.valid()) {
        io_.Close(entry.file);  // the others belong to their segments
      }
    }
    return events_.OnRecovered();
  }
  if (is_misfit_) {
    return events_.OnRecovered();
  }
  DropDoubtful();
  JudgeTail();
  replay_.DropStale();
  for (const uint32_t segment : cover_.Lost()) {
    LogError("spool shard={} segment={:08x} missing: mail in it was owed", shard_, segment);
    result_.has_lost = true;
    ++result_.damaged;
  }
  result_.has_lost |= cover_.has_unusable();
  quarantine_.Start();
}

void Recovery::OnQuarantined() {
  for (const CatalogEntry& entry : catalog_.entries()) {
    Segment* segment = segments_.Find(entry.number);
    if (segment != nullptr && segment->phase == SegmentPhase::kAbandoned && segment->file.valid()) {
      io_.Close(segment->file);
      segment->file = Fd();
    }
  }
  events_.OnRecovered();
}

}  // namespace backstay
