// spool/format.h -- numbers and fixed layouts of the log, exactly as spool/FORMAT.md states them.
//
// The structs are copied to and from the file as they lie: little-endian (asserted in bytes.h),
// every field naturally aligned, no padding (asserted below).
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/base/units.h"

namespace backstay {

constexpr uint32_t kFormatVersion = 7;
constexpr uint32_t kFormatOldest = 1;      // read, never written
constexpr uint32_t kCheckpointOldest = 4;  // the same layout since, but for the accounts

// Places are counted in these, so that 24 bits of a queue id reach 1 GiB.
constexpr size_t kRecordAlignment = 64;
constexpr uint64_t kSegmentBytesMax = 1_GiB;
static_assert(kSegmentBytesMax / kRecordAlignment == size_t{1} << 24);
// Batches start and end on these: the page of the kernel and of most devices, so that no
// acknowledged byte shares a block with one that is still to be written.
constexpr size_t kBlockBytes = 4_KiB;
// Both header blocks, and room for a few batches.
constexpr uint64_t kSegmentBytesMin = 64_KiB;
constexpr uint64_t kDataStart = kBlockBytes;
constexpr uint32_t kSegmentNumberMax = (1u << 28) - 1;  // 28 bits of a queue id
// Behind the last commit record of a log nothing lies further away than this.
constexpr uint64_t kBatchBytesMax = 32_MiB;
// Bounds the memory of readers. The largest record is a message with all its recipients.
constexpr size_t kPayloadBytesMax = 16_MiB;

constexpr uint64_t kSegmentMagic = 0x3147455354534b42;  // "BKSTSEG1"
constexpr uint32_t kRecordMagic = 0x31524b42;           // "BKR1"

enum class SegmentState : uint32_t { kInUse = 1 };

enum class RecordKind : uint8_t {
  kStart = 1,
  kCommit = 2,
  kMessage = 3,
  kPart = 4,
  kOutcomes = 5,
  kFooter = 6,
  // 7 to 9 are reserved
  kFooterPlace = 10
};

struct SegmentHeader {
  uint64_t magic = kSegmentMagic;
  uint32_t version = kFormatVersion;
  uint32_t state = static_cast<uint32_t>(SegmentState::kInUse);
  uint16_t node = 0;
  uint16_t shard = 0;
  uint32_t segment = 0;
  uint32_t generation = 1;
  uint32_t zero = 0;
  uint64_t segment_bytes = 0;
  uint64_t salt = 0;
  int64_t created_wall = 0;
  uint32_t zero_too = 0;
  uint32_t crc = 0;  // of what stands before it
};
static_assert(sizeof(SegmentHeader) == 64);

struct RecordHeader {
  uint32_t magic = kRecordMagic;
  uint8_t kind = 0;
  uint8_t flags = 0;
  uint16_t zero = 0;
  uint32_t payload_bytes = 0;
  uint32_t segment = 0;
  uint32_t generation = 0;
  uint32_t part = 1;
  uint32_t parts = 1;
  uint32_t zero_too = 0;
  uint64_t sequence = 0;
  uint32_t payload_crc = 0;
  uint32_t header_crc = 0;  // of the place and of what stands before it
};
static_assert(sizeof(RecordHeader) == 48);

struct CommitPayload {
  uint32_t previous_crc = 0;  // header_crc of the commit record before this one
  uint32_t records = 0;
  uint64_t batch_bytes = 0;
  uint32_t records_crc = 0;
  uint32_t zero = 0;
  int64_t spool_clock = 0;
  int64_t wall_clock = 0;
  uint64_t epoch = 0;
};
static_assert(sizeof(CommitPayload) == 48);

enum class UntrustedCause : uint32_t { kAbandoned = 1, kTorn = 2 };

struct UntrustedEntry {
  uint32_t first_segment = 0;
  uint32_t last_segment = 0;
  uint32_t generation = 0;
  uint32_t cause = 0;
  uint64_t good_bytes = 0;
};
static_assert(sizeof(UntrustedEntry) == 24);

// One torn tail, one abandoned segment with something good in it, one run of segments with nothing
// good: more cannot gather before a batch succeeds, and then the list starts anew.
constexpr size_t kUntrustedEntriesMax = 6;

struct StartPayload {
  uint32_t previous_segment = 0;
  uint32_t entries = 0;
  UntrustedEntry entry[kUntrustedEntriesMax];  // from older segments to younger ones
  uint32_t untrusted_from() const { return entries > 0 ? entry[0].first_segment : 0; }
};
static_assert(sizeof(StartPayload) == 152);

struct MessageFixed {
  uint32_t meta_bytes = 0;
  uint32_t envelope_bytes = 0;
  uint32_t prefix_bytes = 0;
  uint32_t content_bytes = 0;
  int64_t arrival_spool = 0;
  int64_t arrival_wall = 0;
  uint32_t reported_segment = 0;  // of a report: the home of the message it is about; else 0
  uint32_t reported_block = 0;
  uint32_t home_segment = 0;  // of a moved message: where it was stored first; else 0
  uint32_t home_block = 0;
  uint16_t flags = 0;
  uint16_t origin = 0;  // MessageOrigin
  uint32_t domains = 0;
  uint32_t recipients = 0;
  uint32_t parts = 0;
};
static_assert(sizeof(MessageFixed) == 64);

enum class MessageOrigin : uint16_t { kTaken = 0, kOurs = 1 };

// What is known of each recipient of a moved message when its record is written again.
enum class RecipientState : uint8_t { kLive = 0, kPending = 1, kSettled = 2 };

// Where a part of a large message lies, and what it must contain. Also of the record itself, when
// the message was moved.
struct PartEntry {
  uint32_t segment = 0;
  uint32_t block = 0;
  uint32_t bytes = 0;
  uint32_t crc = 0;
};
static_assert(sizeof(PartEntry) == 16);

enum class OutcomeCode : uint8_t {
  kDelivered = 1,
  kFailed = 2,
  kDiscarded = 3,
  kQuarantined = 4,
  kDeferred = 5,
  kRule = 6,    // of whole domains; the place is its cut, the detail the rule
  kMark = 7,    // a rule for this one message, with all its recipients
  kOwnRule = 8  // of one domain on this shard alone; the place is its cut, the detail the rule
};

struct OutcomeEntry {
  uint32_t segment = 0;
  uint32_t block = 0;
  uint32_t recipient = 0;
  uint8_t code = 0;
  uint8_t zero[3] = {};
  uint32_t detail_bytes = 0;
};
static_assert(sizeof(OutcomeEntry) == 20);

// A rule, before the names of its domains.
struct RuleFixed {
  uint8_t verb = 0;
  uint8_t flags = 0;
  uint16_t zero = 0;
  uint32_t domains = 0;  // none: all
  uint64_t epoch = 0;
  int64_t at = 0;  // spool clock
};
static_assert(sizeof(RuleFixed) == 24);
constexpr uint8_t kRuleKeepsAge = 1;
constexpr uint8_t kRuleAcceptsRefusals = 2;

enum class RuleScope : uint8_t { kDomain = 0, kAll = 1, kMessage = 2 };

// Where one rule of one kind stands, in a checkpoint: before the name of its domain.
struct RuleMarkFixed {
  uint64_t epoch = 0;
  int64_t at = 0;
  uint32_t segment = 0;  // cut; of a mark the message
  uint32_t block = 0;
  uint8_t kind = 0;
  uint8_t scope = 0;  // RuleScope
  uint16_t zero = 0;
  uint32_t serial = 0;
};
static_assert(sizeof(RuleMarkFixed) == 32);

// What a footer tells of its segment, before the tables.
struct FooterFixed {
  uint32_t messages = 0;
  uint32_t bits = 0;  // recipients
  uint32_t domains = 0;
  uint32_t groups = 0;
  uint32_t stream_bytes = 0;
  uint32_t messages_with_parts = 0;
  uint32_t arrival_first = 0;  // seconds of the spool clock
  uint32_t arrival_last = 0;
  uint32_t last_commit_crc = 0;  // the chain goes on from it
  uint32_t moved = 0;            // messages that were moved to here
};
static_assert(sizeof(FooterFixed) == 40);

// A message that was moved to here, at the end of a footer: before the names of its domains.
struct FooterMoved {
  uint32_t home_segment = 0;
  uint32_t home_block = 0;
  uint32_t block = 0;
  uint32_t payload_bytes = 0;
  uint32_t payload_crc = 0;
  uint32_t arrival_seconds = 0;
  uint32_t domains = 0;
  uint32_t recipients = 0;
  uint32_t parts = 0;
};
static_assert(sizeof(FooterMoved) == 36);

// In the block before the second header: where the footer is.
struct FooterPlace {
  uint32_t block = 0;  // offset / 64
  uint32_t payload_bytes = 0;
};
static_assert(sizeof(FooterPlace) == 8);

constexpr uint64_t kCheckpointMagic = 0x3150434b54534b42;  // "BKSTKCP1"

struct CheckpointHeader {
  uint64_t magic = kCheckpointMagic;
  uint32_t version = kFormatVersion;
  uint16_t node = 0;
  uint16_t shard = 0;
  uint32_t covers = 0;
  uint32_t segments = 0;
  uint32_t notes = 0;
  uint32_t body_crc = 0;
  uint64_t bytes = 0;  // of the body: segments, moved messages, notes, rules, accounts
  uint32_t rule_bytes = 0;
  uint32_t moved = 0;
  uint32_t account_bytes = 0;  // at its end; 0 before version 7
  uint32_t crc = 0;            // of what stands before it
};
static_assert(sizeof(CheckpointHeader) == 56);

struct CheckpointSegment {  // then the words of the live bits and of the pending ones
  uint32_t segment = 0;
  uint32_t generation = 0;
  uint32_t bits = 0;
  uint32_t live_words = 0;
  uint32_t pending_words = 0;
};
static_assert(sizeof(CheckpointSegment) == 20);

struct CheckpointMoved {  // then the state of each recipient, a byte each
  uint32_t segment = 0;   // home
  uint32_t block = 0;
  uint32_t recipients = 0;
};
static_assert(sizeof(CheckpointMoved) == 12);

struct CheckpointNote {  // then the note
  uint32_t segment = 0;
  uint32_t block = 0;
  uint32_t recipient = 0;
  uint32_t bytes = 0;
};
static_assert(sizeof(CheckpointNote) == 16);

struct CheckpointAccounts {  // then the accounts
  int64_t since = 0;         // wall clock
  uint64_t domains = 0;
};
static_assert(sizeof(CheckpointAccounts) == 16);

struct CheckpointAccount {  // then the name of the domain
  uint64_t accepted = 0;
  uint64_t generated = 0;
  uint64_t delivered = 0;
  uint64_t bounced = 0;
  uint64_t discarded = 0;
  uint64_t quarantined = 0;
};
static_assert(sizeof(CheckpointAccount) == 48);

constexpr uint64_t AlignUp(uint64_t value, uint64_t alignment) {
  return (value + alignment - 1) / alignment * alignment;
}
// Bytes that a record with this payload takes in the file.
constexpr uint64_t FrameBytes(uint64_t payload_bytes) {
  return AlignUp(sizeof(RecordHeader) + payload_bytes, kRecordAlignment);
}
constexpr uint64_t kCommitFrameBytes = FrameBytes(sizeof(CommitPayload));
constexpr uint64_t kStartFrameBytes = FrameBytes(sizeof(StartPayload));

}  // namespace backstay
