// spool/message_record.h -- payload of a message record: tables of domains, recipients and parts.
//
// Errors: Decode gives nothing for bytes that Encode cannot have made; it bounds every count by the
//         bytes that are there.
// See:    FORMAT.md 2 "message".
#pragma once

#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "core/base/bytes.h"
#include "spool/format.h"
#include "spool/spool.h"

namespace backstay {

// What Encode needs beside the bytes of envelope, prefix and content.
struct MessageMeta {
  SpoolTime arrival;
  WallTime arrival_wall;
  uint16_t flags = 0;
  std::span<const std::string_view> domains;
  std::span<const uint16_t> recipient_domains;
  std::span<const PartEntry> parts;
  size_t envelope_bytes = 0;
  size_t prefix_bytes = 0;
  size_t content_bytes = 0;  // in this record
  // Of a message that is written again elsewhere; segment 0: it is new.
  MessageRef home;
  std::span<const RecipientState> states;
  std::optional<ReportOf> report_of;
  bool is_ours = false;
};

uint64_t MetaBytes(const MessageMeta& meta);
uint64_t MessagePayloadBytes(const MessageMeta& meta);
// Writes the first MetaBytes() of the payload.
void EncodeMessageMeta(const MessageMeta& meta, MutableBytes payload);

// Views into the payload that was decoded.
struct DecodedMessage {
  MessageFixed fixed;
  std::vector<std::string_view> domains;
  std::vector<uint16_t> recipient_domains;
  std::vector<PartEntry> parts;
  std::vector<RecipientState> states;  // of each recipient, when the message was moved
  std::vector<Debt> debts;             // of reported_message(), that end with it
  Bytes envelope;
  Bytes prefix;
  Bytes content;

  uint64_t AllContentBytes() const;  // prefix and parts included
  bool is_moved() const { return fixed.home_segment != 0; }
  MessageRef home() const { return {fixed.home_segment, fixed.home_block}; }
  // Reports of versions before 7 are not marked as ours.
  bool is_ours() const {
    return fixed.origin == static_cast<uint16_t>(MessageOrigin::kOurs) || is_report();
  }
  ReportOf report_of() const { return {reported_message(), debts}; }
  bool is_report() const { return fixed.reported_segment != 0; }
  MessageRef reported_message() const { return {fixed.reported_segment, fixed.reported_block}; }
  uint32_t ArrivalSeconds() const;
};

// Fills `message`, keeping the capacity of its vectors. False: not a message payload.
bool DecodeMessage(Bytes payload, DecodedMessage& message);

uint64_t BytesOf(std::span<const PartEntry> parts);
// What a message takes on disk, frames aside.
uint64_t BytesWithParts(uint64_t payload_bytes, std::span<const PartEntry> parts);

}  // namespace backstay
