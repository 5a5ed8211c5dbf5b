// spool/message_replay.h -- message records, new and moved, applied to an index in the order of the
// log.
//
// Moving changes nothing of who is owed, so each record of a message is as good as the one before
// it: what matters is that the one that is used is whole and on the disk.
//
// Pure. What recovery and the offline tools know of messages.
// Turn: nothing waits.
// See:  FORMAT.md 2 "message".
#pragma once

#include <span>
#include <vector>

#include "spool/catalog.h"
#include "spool/checkpoint_cover.h"
#include "spool/index.h"
#include "spool/message_record.h"

namespace backstay {

class MessageReplay {
 public:
  MessageReplay(const Catalog& catalog, SegmentSet& segments, Index& index, CheckpointCover& cover)
      : catalog_(catalog), segments_(segments), index_(index), cover_(cover) {}
  MessageReplay(const MessageReplay&) = delete;
  MessageReplay& operator=(const MessageReplay&) = delete;

  // A record that was read. Returns the home of the message. The debts that end with a report are
  // not touched: a report of a torn batch may lack a part, and then it does not count.
  MessageRef Add(Segment& segment, uint32_t block, const RecordHeader& header,
                 const DecodedMessage& message);
  // The report at this place counts.
  void EndDebts(MessageRef place, const ReportOf& report);
  // A moved message that a footer names; the checkpoint covers the segment where it lies.
  void AddNamed(const MovedMessage& moved) { AddMoved(moved, {}); }

 private:
  // `states`: what its record says of each recipient.
  void AddMoved(const MovedMessage& moved, const std::vector<RecipientState>& states);
  void JoinStates(const MovedMessage& moved, const std::vector<RecipientState>& then,
                  std::vector<RecipientState>& now);
  // The message is known by another record. Is this one to be used?
  bool IsBetter(const MovedMessage& moved) const;
  bool IsTorn(MessageRef record) const;
  bool HasFiles(std::span<const PartEntry> parts) const;
  Segment& GoneSegment(uint32_t number);

  const Catalog& catalog_;
  SegmentSet& segments_;
  Index& index_;
  CheckpointCover& cover_;
  MovedMessage moved_;
};

}  // namespace backstay
