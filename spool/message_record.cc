// spool/message_record.cc -- the message payload, written and read.
#include "spool/message_record.h"

#include <algorithm>
#include <numeric>

#include "core/base/check.h"
#include "spool/record.h"

namespace backstay {
namespace {

// Takes pieces off the front of a payload and remembers when there was not enough.
class Cursor {
 public:
  explicit Cursor(Bytes bytes) : left_(bytes) {}
  Bytes Take(uint64_t bytes) {
    if (bytes > left_.size()) {
      ok_ = false;
      return {};
    }
    const Bytes taken = left_.first(static_cast<size_t>(bytes));
    left_ = left_.subspan(static_cast<size_t>(bytes));
    return taken;
  }
  size_t left() const { return left_.size(); }
  bool ok() const { return ok_; }

 private:
  Bytes left_;
  bool ok_ = true;
};

bool DecodeStates(Cursor& cursor, DecodedMessage& message) {
  for (const uint8_t state : cursor.Take(message.fixed.recipients)) {
    if (state > static_cast<uint8_t>(RecipientState::kSettled)) {
      return false;
    }
    message.states.push_back(static_cast<RecipientState>(state));
  }
  return cursor.ok();
}

bool DecodeDebts(Cursor& cursor, DecodedMessage& message) {
  const Bytes count = cursor.Take(sizeof(uint32_t));
  if (!cursor.ok()) {
    return false;
  }
  const auto debts = LoadLittle<uint32_t>(count.data());
  const Bytes table = cursor.Take(sizeof(Debt) * uint64_t{debts});
  if (!cursor.ok()) {
    return false;
  }
  message.debts.resize(debts);
  if (!table.empty()) {
    std::memcpy(static_cast<void*>(message.debts.data()), table.data(), table.size());
  }
  return true;
}

bool DecodeTables(Cursor& cursor, DecodedMessage& message) {
  const MessageFixed& fixed = message.fixed;
  for (uint32_t i = 0; i < fixed.domains && cursor.ok(); ++i) {
    const Bytes size = cursor.Take(2);
    if (cursor.ok()) {
      message.domains.push_back(AsText(cursor.Take(LoadLittle<uint16_t>(size.data()))));
    }
  }
  const Bytes recipients = cursor.Take(uint64_t{2} * fixed.recipients);
  const Bytes parts = cursor.Take(sizeof(PartEntry) * uint64_t{fixed.parts});
  if (!cursor.ok()) {
    return false;
  }
  message.recipient_domains.resize(fixed.recipients);
  if (!recipients.empty()) {
    std::memcpy(message.recipient_domains.data(), recipients.data(), recipients.size());
  }
  message.parts.resize(fixed.parts);
  if (!parts.empty()) {
    std::memcpy(message.parts.data(), parts.data(), parts.size());
  }
  for (const uint16_t domain : message.recipient_domains) {
    if (domain >= fixed.domains) {
      return false;
    }
  }
  return (!message.is_moved() || DecodeStates(cursor, message)) &&
         (!message.is_report() || DecodeDebts(cursor, message));
}

}  // namespace

uint64_t MetaBytes(const MessageMeta& meta) {
  uint64_t bytes = sizeof(MessageFixed);
  for (const std::string_view domain : meta.domains) {
    bytes += 2 + domain.size();
  }
  return bytes + 2 * meta.recipient_domains.size() + sizeof(PartEntry) * meta.parts.size() +
         meta.states.size() +
         (meta.report_of.has_value() ? sizeof(uint32_t) + meta.report_of->debts.size_bytes() : 0);
}

uint64_t MessagePayloadBytes(const MessageMeta& meta) {
  return MetaBytes(meta) + meta.envelope_bytes + meta.prefix_bytes + meta.content_bytes;
}

void EncodeMessageMeta(const MessageMeta& meta, MutableBytes payload) {
  const uint64_t meta_bytes = MetaBytes(meta);
  ASSERT(payload.size() >= meta_bytes);
  ASSERT(meta.parts.empty() || meta.content_bytes == 0);
  ASSERT(meta.states.size() == (meta.home.segment != 0 ? meta.recipient_domains.size() : 0));
  MessageFixed fixed;
  fixed.meta_bytes = static_cast<uint32_t>(meta_bytes);
  fixed.envelope_bytes = static_cast<uint32_t>(meta.envelope_bytes);
  fixed.prefix_bytes = static_cast<uint32_t>(meta.prefix_bytes);
  fixed.content_bytes = static_cast<uint32_t>(meta.content_bytes);
  fixed.arrival_spool = meta.arrival.nanoseconds();
  fixed.arrival_wall = meta.arrival_wall.nanoseconds();
  fixed.home_segment = meta.home.segment;
  fixed.home_block = meta.home.block;
  const MessageRef reported = meta.report_of.has_value() ? meta.report_of->message : MessageRef();
  fixed.reported_segment = reported.segment;
  fixed.reported_block = reported.block;
  fixed.flags = meta.flags;
  fixed.origin = static_cast<uint16_t>(meta.is_ours ? MessageOrigin::kOurs : MessageOrigin::kTaken);
  fixed.domains = static_cast<uint32_t>(meta.domains.size());
  fixed.recipients = static_cast<uint32_t>(meta.recipient_domains.size());
  fixed.parts = static_cast<uint32_t>(meta.parts.size());
  StoreStruct(payload, fixed);
  uint8_t* at = payload.data() + sizeof(fixed);
  for (const std::string_view domain : meta.domains) {
    ASSERT(domain.size() <= UINT16_MAX);
    StoreLittle(at, static_cast<uint16_t>(domain.size()));
    if (!domain.empty()) {
      std::memcpy(at + 2, domain.data(), domain.size());
    }
    at += 2 + domain.size();
  }
  for (const uint16_t domain : meta.recipient_domains) {
    ASSERT(domain < meta.domains.size());
    StoreLittle(at, domain);
    at += 2;
  }
  for (const PartEntry& part : meta.parts) {
    std::memcpy(at, &part, sizeof(part));
    at += sizeof(part);
  }
  for (const RecipientState state : meta.states) {
    *at++ = static_cast<uint8_t>(state);
  }
  if (meta.report_of.has_value()) {
    StoreLittle(at, static_cast<uint32_t>(meta.report_of->debts.size()));
    at += sizeof(uint32_t);
    for (const Debt& debt : meta.report_of->debts) {
      std::memcpy(at, &debt, sizeof(debt));
      at += sizeof(debt);
    }
  }
  ASSERT(at == payload.data() + meta_bytes);
}

uint64_t DecodedMessage::AllContentBytes() const {
  return prefix.size() + content.size() + BytesOf(parts);
}

uint32_t DecodedMessage::ArrivalSeconds() const {
  const int64_t seconds = fixed.arrival_spool / 1'000'000'000;
  return static_cast<uint32_t>(std::clamp<int64_t>(seconds, 0, UINT32_MAX));
}

bool DecodeMessage(Bytes payload, DecodedMessage& message) {
  message.domains.clear();
  message.recipient_domains.clear();
  message.parts.clear();
  message.states.clear();
  message.debts.clear();
  Cursor cursor(payload);
  const Bytes fixed = cursor.Take(sizeof(MessageFixed));
  if (!cursor.ok()) {
    return false;
  }
  message.fixed = LoadStruct<MessageFixed>(fixed);
  if (!DecodeTables(cursor, message)) {
    return false;
  }
  if (payload.size() - cursor.left() != message.fixed.meta_bytes) {
    return false;
  }
  message.envelope = cursor.Take(message.fixed.envelope_bytes);
  message.prefix = cursor.Take(message.fixed.prefix_bytes);
  message.content = cursor.Take(message.fixed.content_bytes);
  const bool is_split_well = message.parts.empty() || message.content.empty();
  return cursor.ok() && cursor.left() == 0 && is_split_well;
}

uint64_t BytesOf(std::span<const PartEntry> parts) {
  return std::accumulate(parts.begin(), parts.end(), uint64_t{0},
                         [](uint64_t sum, const PartEntry& part) { return sum + part.bytes; });
}

uint64_t BytesWithParts(uint64_t payload_bytes, std::span<const PartEntry> parts) {
  return payload_bytes + BytesOf(parts);
}

}  // namespace backstay
