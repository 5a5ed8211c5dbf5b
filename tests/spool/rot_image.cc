// tests/spool/rot_image.cc -- building the image, and what each kind of harm may cost.
#include "tests/spool/rot_image.h"

#include <algorithm>

#include "core/base/log.h"
#include "fmt/format.h"
#include "spool/checkpoint.h"
#include "spool/message_record.h"
#include "spool/outcome_queue.h"
#include "spool/record.h"

namespace backstay {
namespace {

SpoolOptions OptionsOf(const RotImage::Shape& shape) {
  SpoolOptions options = SpoolHarness::SmallOptions();
  options.shard = shape.shard;
  options.segment_bytes = shape.segment_bytes;
  options.part_bytes = shape.segment_bytes / 16;
  return options;
}

Holds HoldsOf(uint8_t kind) {
  switch (static_cast<RecordKind>(kind)) {
    case RecordKind::kStart:
      return Holds::kStart;
    case RecordKind::kCommit:
      return Holds::kCommit;
    case RecordKind::kMessage:
      return Holds::kMessage;
    case RecordKind::kPart:
      return Holds::kPart;
    case RecordKind::kOutcomes:
      return Holds::kOutcomes;
    case RecordKind::kFooter:
      return Holds::kFooter;
    case RecordKind::kFooterPlace:
      return Holds::kPlace;
  }
  ADD_FAILURE() << "a record of kind " << int{kind};
  return Holds::kFree;
}

}  // namespace

RotImage::RotImage(const Shape& shape) : shape_(shape), harness_(1, OptionsOf(shape)) {
  Build();
  Take();
}

// ---- the mail ----

void RotImage::Build() {
  harness_.Start();
  // The one that is prepared has no mail in it.
  for (uint64_t i = 0; harness_.SegmentFiles().size() < shape_.sealed_segments + 2; ++i) {
    SendSome(i);
    SettleSome(i);
    SettleSome(i + 2);
  }
  harness_.Idle(absl::Seconds(2));  // footers, checkpoints
  SendSome(4);
  harness_.Idle(absl::Seconds(2));
  SendSome(5);
  SettleSome(5);
  harness_.Idle(absl::Seconds(2));
}

// One batch, of one message or several.
void RotImage::SendSome(uint64_t i) {
  const size_t large = shape_.segment_bytes / 16 * 3;
  const size_t scale = shape_.segment_bytes / 64_KiB;  // as many in a segment of any size
  const size_t before = harness_.sent.size();
  for (uint64_t n = 0; n <= i % 3; ++n) {
    const size_t bytes =
        i % 9 == 4 && n == 0 ? large + i * 37 : (300 + (i + n) * 331 % 1900) * scale;
    std::vector<std::string> recipients = {"a.example"};
    if ((i + n) % 3 == 1) {
      recipients = {"b.example", "a.example", "b.example"};
    }
    harness_.Send(TestContent(before + n + 1, bytes), recipients);
  }
  harness_.TurnUntil([this] { return harness_.sent.back()->committed == 1; });
  for (size_t n = before; n < harness_.sent.size(); ++n) {
    const Sent& sent = *harness_.sent[n];
    ASSERT_EQ(sent.result, CommitResult::kStored);
    Account& account = accounts_[sent.message];
    account.envelope = sent.envelope;
    account.content = sent.prefix + sent.content;
    for (const uint16_t domain : sent.recipient_domains) {
      account.domains.push_back(sent.domains[domain]);
    }
    account.states.resize(account.domains.size());
  }
  if (i % 4 == 0) {
    harness_.Idle(absl::Milliseconds(200));  // a successor
  }
}

// Of the newest message or one before it, so that outcomes are in all segments and of others too.
void RotImage::SettleSome(uint64_t i) {
  const auto age = static_cast<ptrdiff_t>(std::min<uint64_t>(i % 5, accounts_.size() - 1));
  auto& [message, account] = *std::prev(accounts_.end(), age + 1);
  const auto recipient = static_cast<uint32_t>(account.states.size() - 1);
  State& state = account.states[recipient];
  if (state == State::kLive && i % 4 == 1) {
    const std::string note = fmt::format("451 later {}", i);
    harness_.spool->Defer(message, recipient, harness_.spool->Intern(account.domains[recipient]),
                          AsBytes(note));
    account.notes[recipient] = note;
  } else if (state == State::kLive && i % 4 != 0) {
    const bool fails = i % 8 == 3;
    harness_.Settle(message, recipient, fails ? SettleKind::kFailed : SettleKind::kDelivered,
                    fails ? "550 no" : "");
    state = fails ? State::kPending : State::kDone;
    pending_ += fails ? 1 : 0;
    account.notes.erase(recipient);
  } else if (state == State::kPending && i % 4 == 2) {
    harness_.Settle(message, recipient);
    state = State::kDone;
    --pending_;
  }
}

// ---- the map ----

void RotImage::Take() {
  harness_.Crash(CrashMode::kNothingUnsynced);
  if (!shape_.with_checkpoints) {
    harness_.DeleteCheckpoints();
  }
  for (const std::string& path : harness_.CheckpointPaths()) {
    const std::string name = path.substr(path.rfind('/') + 1);
    checkpoints_.push_back(name);
    originals_[name] = *harness_.disk().Contents(path);
    regions_[name] = {{0, originals_[name].size(), Holds::kCheckpoint, {}}};
  }
  for (const std::string& name : harness_.SegmentFiles()) {
    originals_[name] = *harness_.disk().Contents(SpoolHarness::PathOf(name));
    Map(name);
  }
  FindCover();
}

void RotImage::Map(const std::string& name) {
  const std::string& contents = originals_[name];
  const auto header = DecodeSegmentHeader(AsBytes(contents));
  ASSERT_TRUE(header.has_value());
  const uint64_t copy_at = contents.size() - kBlockBytes;
  std::vector<Region>& regions = regions_[name];
  if (IsZero(From(contents, kDataStart).first(kBlockBytes))) {
    // Prepared: nothing in it, and its headers may be lost.
    regions.push_back({kDataStart, DataEnd(*header), Holds::kFree, {header->segment, 0}});
    return;
  }
  segments_.push_back(name);
  tail_ = name;
  const MessageRef place{header->segment, 0};
  regions.push_back({0, sizeof(SegmentHeader), Holds::kHeader, place});
  MapRecords(name, *header);
  regions.push_back({copy_at, copy_at + sizeof(SegmentHeader), Holds::kHeaderCopy, place});
}

void RotImage::MapRecords(const std::string& name, const SegmentHeader& header) {
  const std::string& contents = originals_[name];
  const SegmentKey key(header);
  std::vector<Region>& regions = regions_[name];
  uint64_t used_to = kDataStart;  // by batches and the footer
  for (uint64_t at = kDataStart; at <= DataEnd(header);) {
    const MessageRef place{header.segment, static_cast<uint32_t>(at / kRecordAlignment)};
    const auto record = DecodeRecordHeader(key, place.block, From(contents, at));
    if (!record.has_value()) {
      at += kRecordAlignment;
      continue;
    }
    const Bytes payload = From(contents, at + sizeof(RecordHeader)).first(record->payload_bytes);
    EXPECT_TRUE(PayloadIsWhole(*record, payload));
    const Holds holds = HoldsOf(record->kind);
    regions.push_back({at, at + sizeof(RecordHeader) + payload.size(), holds, place});
    MapRecord(holds, place, payload);
    at += FrameBytes(payload.size());
    if (holds == Holds::kCommit) {
      last_batch_ = {used_to, AlignUp(at, kBlockBytes)};
    }
    if (holds == Holds::kCommit || holds == Holds::kFooter) {
      used_to = AlignUp(at, kBlockBytes);
    }
  }
  regions.push_back({used_to, DataEnd(header), Holds::kFree, {header.segment, 0}});
}

void RotImage::MapRecord(Holds holds, MessageRef place, Bytes payload) {
  DecodedMessage message;
  if (holds == Holds::kMessage && DecodeMessage(payload, message)) {
    for (const PartEntry& part : message.parts) {
      part_owner_[{part.segment, part.block}] = place;
    }
  }
  if (holds == Holds::kOutcomes) {
    EXPECT_TRUE(ForEachOutcome(payload, [&](const OutcomeEntry& entry, Bytes) {
      outcomes_[place].push_back({{entry.segment, entry.block}, entry.recipient});
    }));
  }
}

void RotImage::FindCover() {
  if (checkpoints_.empty()) {
    return;
  }
  const auto checkpoint = Checkpoint::Decode(AsBytes(originals_[checkpoints_.back()]),
                                             {harness_.options.node, harness_.options.shard});
  ASSERT_TRUE(checkpoint.has_value());
  for (const std::string& name : segments_) {
    const std::vector<Region>& regions = regions_[name];
    const bool has_footer = std::any_of(regions.begin(), regions.end(), [](const Region& region) {
      return region.holds == Holds::kPlace;
    });
    if (has_footer && regions.front().place.segment <= checkpoint->covers) {
      by_footer_.insert(name);
    }
  }
}

bool RotImage::HoldsNothing(const std::string& name, uint64_t at) const {
  const std::vector<Region>& regions = regions_.at(name);
  return std::none_of(regions.begin(), regions.end(), [at](const Region& region) {
    return region.holds != Holds::kFree && at >= region.from && at < region.to;
  });
}

uint64_t RotImage::Count(Holds holds) const {
  uint64_t count = 0;
  for (const auto& [name, regions] : regions_) {
    count += static_cast<uint64_t>(
        std::count_if(regions.begin(), regions.end(),
                      [holds](const Region& region) { return region.holds == holds; }));
  }
  return count;
}

}  // namespace backstay
