// spool/message_replay.cc -- at home, known by the checkpoint, or as its record says.
#include "spool/message_replay.h"

#include <algorithm>
#include <utility>

#include "core/base/mark.h"

namespace backstay {

MessageRef MessageReplay::Add(Segment& segment, uint32_t block, const RecordHeader& header,
                              const DecodedMessage& message) {
  const MessageRef place{segment.number(), block};
  moved_.recipients.clear();
  for (const uint16_t domain : message.recipient_domains) {
    moved_.recipients.push_back(index_.Intern(message.domains[domain]));
  }
  const uint64_t bytes = BytesWithParts(header.payload_bytes, message.parts);
  if (!message.is_moved()) {
    // What a checkpoint covers is pinned when it has said who is owed.
    for (size_t i = 0; i < message.parts.size() && !cover_.Covers(place.segment); ++i) {
      index_.Pin(message.parts[i]);
    }
    index_.Add(segment, block, message.ArrivalSeconds(), moved_.recipients, message.parts, bytes);
    if (!cover_.Covers(place.segment)) {
      index_.accounts().Take(place.segment, moved_.recipients, message.is_ours());
    }
    return place;
  }
  moved_.home = message.home();
  moved_.record = {place.segment, block, header.payload_bytes, header.payload_crc};
  moved_.arrival_seconds = message.ArrivalSeconds();
  moved_.parts = message.parts;
  moved_.bytes = bytes;
  AddMoved(moved_, message.states);
  return moved_.home;
}

// It was owed a report, and this is the report. What is settled gathers beside the records of the
// batch and may stand behind the report, or in a later batch that the disk never saw: a recipient
// that is still live has failed all the same.
void MessageReplay::EndDebts(MessageRef place, const ReportOf& report) {
  if (cover_.Covers(place.segment)) {
    return;  // the checkpoint knows
  }
  for (const Debt& debt : report.debts) {
    const uint32_t recipient = debt.recipient();
    cover_.NoteEnded(report.message, recipient, EndingOf(debt));
    if (index_.IsPending(report.message, recipient) || index_.IsLive(report.message, recipient)) {
      index_.Settle(report.message, recipient, EndingOf(debt), 0);
    }
  }
}

void MessageReplay::AddMoved(const MovedMessage& moved, const std::vector<RecipientState>& states) {
  if (moved.home >= MessageRef{moved.record.segment, moved.record.block}) {
    return;  // not ours
  }
  const bool is_covered = cover_.Covers(moved.record.segment);
  if (index_.Recipients(moved.home) > 0) {
    if (IsBetter(moved)) {
      index_.Repoint(moved);
    }
    return;
  }
  const std::vector<RecipientState>* then = cover_.MovedStates(moved.home);
  if (then == nullptr && (is_covered || cover_.KnewOnlyMoved(moved.home.segment))) {
    return;  // settled before the checkpoint
  }
  std::vector<RecipientState> known = is_covered ? *then : states;
  if (known.size() != moved.recipients.size()) {
    return;
  }
  if (then != nullptr && !is_covered) {
    JoinStates(moved, *then, known);
  }
  MARK("moved message known by its new record");
  cover_.NoteMoved(moved.home, known);
  Segment* home = segments_.Find(moved.home.segment);
  index_.AddMoved(home != nullptr ? *home : GoneSegment(moved.home.segment), moved, known);
}

// Of the checkpoint and the record the one that knows more: either may be the younger. What ended
// between the two did so by outcomes that were met before the message was known, or by a deletion
// that was not carried out to its end.
void MessageReplay::JoinStates(const MovedMessage& moved, const std::vector<RecipientState>& then,
                               std::vector<RecipientState>& now) {
  static_assert(RecipientState::kLive < RecipientState::kPending &&
                RecipientState::kPending < RecipientState::kSettled);
  for (uint32_t i = 0; i < now.size() && i < then.size(); ++i) {
    const bool has_ended =
        then[i] != RecipientState::kSettled && now[i] == RecipientState::kSettled;
    now[i] = std::max(then[i], now[i]);
    if (has_ended) {
      index_.accounts().End(moved.home.segment, moved.recipients[i],
                            cover_.EndingOf(moved.home, i).value_or(Ending::kDiscarded));
    }
  }
}

// What is not covered may not have reached the disk: the record that is known is as good, and its
// file goes only when the message has been moved once more. If something of that went already, this
// record was on the disk before.
//
// A start that did so held nothing for this record: its parts may have gone since, or be torn with
// the batch. The next checkpoint covers it all the same, so only the list in it tells; and of a
// message that was moved twice the list does not tell which of the two was used.
//
// A torn record was no start's choice while another was there. When that went the message had been
// moved once more, and the record behind the torn one is whole.
bool MessageReplay::IsBetter(const MovedMessage& moved) const {
  if (!HasFiles(index_.Parts(moved.home))) {
    return true;
  }
  const MessageRef record{moved.record.segment, moved.record.block};
  if (IsTorn(record) || !HasFiles(moved.parts)) {
    return false;
  }
  const MessageRef used = index_.PlaceOf(moved.home);
  if (used != moved.home && IsTorn(used)) {
    MARK("torn copy gave way");
    return true;
  }
  return cover_.Covers(record.segment) && cover_.MovedStates(moved.home) != nullptr;
}

bool MessageReplay::IsTorn(MessageRef record) const {
  return catalog_.IsTorn(record.segment, uint64_t{record.block} * kRecordAlignment);
}

bool MessageReplay::HasFiles(std::span<const PartEntry> parts) const {
  return std::all_of(parts.begin(), parts.end(), [this](const PartEntry& part) {
    const Segment* segment = segments_.Find(part.segment);
    return segment != nullptr && !segment->is_gone();
  });
}

Segment& MessageReplay::GoneSegment(uint32_t number) {
  SegmentHeader header;
  header.segment = number;
  header.segment_bytes = kSegmentBytesMax;
  Segment* segment = segments_.Add(std::make_unique<Segment>(header, Fd()));
  segment->phase = SegmentPhase::kGone;
  segment->is_published = false;
  return *segment;
}

}  // namespace backstay
