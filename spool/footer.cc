// spool/footer.cc -- tables to bytes and back.
#include "spool/footer.h"

#include <algorithm>

#include "spool/items.h"
#include "spool/message_record.h"

namespace backstay {
namespace {

struct PartsHead {
  uint32_t message = 0;
  uint32_t parts = 0;
};

std::optional<std::vector<DomainId>> TakeDomains(
    Bytes& left, uint32_t count, absl::FunctionRef<DomainId(std::string_view)> intern) {
  std::vector<DomainId> domains;
  for (uint32_t i = 0; i < count; ++i) {
    const auto name = TakeText(left);
    if (!name.has_value()) {
      return std::nullopt;
    }
    domains.push_back(intern(*name));
  }
  return domains;
}

void PutMoved(std::vector<uint8_t>& out, const MovedMessage& message,
              absl::FunctionRef<std::string_view(DomainId)> name) {
  std::vector<DomainId> domains;
  std::vector<uint16_t> recipients;
  for (const DomainId domain : message.recipients) {
    const auto at = std::find(domains.begin(), domains.end(), domain);
    recipients.push_back(static_cast<uint16_t>(at - domains.begin()));
    if (at == domains.end()) {
      domains.push_back(domain);
    }
  }
  FooterMoved fixed;
  fixed.home_segment = message.home.segment;
  fixed.home_block = message.home.block;
  fixed.block = message.record.block;
  fixed.payload_bytes = message.record.bytes;
  fixed.payload_crc = message.record.crc;
  fixed.arrival_seconds = message.arrival_seconds;
  fixed.domains = static_cast<uint32_t>(domains.size());
  fixed.recipients = static_cast<uint32_t>(recipients.size());
  fixed.parts = static_cast<uint32_t>(message.parts.size());
  PutItem(out, fixed);
  for (const DomainId domain : domains) {
    PutText(out, name(domain));
  }
  PutItems(out, std::span<const uint16_t>(recipients));
  PutItems(out, std::span<const PartEntry>(message.parts));
}

std::optional<MovedMessage> TakeMoved(Bytes& left, uint32_t segment,
                                      absl::FunctionRef<DomainId(std::string_view)> intern) {
  const auto fixed = TakeItem<FooterMoved>(left);
  if (!fixed.has_value()) {
    return std::nullopt;
  }
  const auto domains = TakeDomains(left, fixed->domains, intern);
  const auto recipients = TakeItems<uint16_t>(left, fixed->recipients);
  auto parts = TakeItems<PartEntry>(left, fixed->parts);
  if (!domains.has_value() || !recipients.has_value() || !parts.has_value() ||
      recipients->empty()) {
    return std::nullopt;
  }
  MovedMessage message;
  message.home = {fixed->home_segment, fixed->home_block};
  message.record = {segment, fixed->block, fixed->payload_bytes, fixed->payload_crc};
  message.arrival_seconds = fixed->arrival_seconds;
  for (const uint16_t domain : *recipients) {
    if (domain >= domains->size()) {
      return std::nullopt;
    }
    message.recipients.push_back((*domains)[domain]);
  }
  message.parts = *std::move(parts);
  message.bytes = BytesWithParts(fixed->payload_bytes, message.parts);
  return message;
}

}  // namespace

std::vector<uint8_t> EncodeFooter(const SegmentIndex& index, const std::vector<MovedMessage>& moved,
                                  uint32_t last_commit_crc,
                                  absl::FunctionRef<std::string_view(DomainId)> name) {
  const MessageTable& table = index.table();
  FooterFixed fixed;
  fixed.last_commit_crc = last_commit_crc;
  fixed.messages = table.messages();
  fixed.bits = table.bits();
  fixed.domains = table.domains();
  fixed.groups = table.groups();
  fixed.stream_bytes = static_cast<uint32_t>(table.stream().size());
  fixed.messages_with_parts = static_cast<uint32_t>(index.parts().size());
  fixed.moved = static_cast<uint32_t>(moved.size());
  for (const MessageTable::Group& group : table.group_heads()) {
    const bool is_first = fixed.arrival_first == 0 || group.arrival_seconds < fixed.arrival_first;
    fixed.arrival_first = is_first ? group.arrival_seconds : fixed.arrival_first;
    fixed.arrival_last = std::max(fixed.arrival_last, group.arrival_seconds);
  }
  std::vector<uint8_t> out;
  PutItem(out, fixed);
  for (uint32_t local = 0; local < table.domains(); ++local) {
    PutText(out, name(table.DomainAt(local)));
  }
  for (uint32_t local = 0; local < table.domains(); ++local) {
    PutItem(out, index.BytesOf(local));
  }
  PutItems(out, table.group_heads());
  PutItems(out, table.stream());
  for (const auto& [message, parts] : index.parts()) {
    const PartsHead head{message, static_cast<uint32_t>(parts.size())};
    PutItem(out, head);
    PutItems(out, std::span<const PartEntry>(parts));
  }
  for (const MovedMessage& message : moved) {
    PutMoved(out, message, name);
  }
  if (out.size() > kPayloadBytesMax) {
    out.clear();
  }
  return out;
}

std::optional<DecodedFooter> DecodeFooter(Bytes payload, uint32_t segment,
                                          absl::FunctionRef<DomainId(std::string_view)> intern) {
  Bytes left = payload;
  const auto fixed = TakeItem<FooterFixed>(left);
  if (!fixed.has_value()) {
    return std::nullopt;
  }
  const FooterFixed& head = *fixed;
  auto domains = TakeDomains(left, head.domains, intern);
  if (!domains.has_value()) {
    return std::nullopt;
  }
  const auto bytes = TakeItems<uint64_t>(left, head.domains);
  auto groups = TakeItems<MessageTable::Group>(left, head.groups);
  auto stream = TakeItems<uint8_t>(left, head.stream_bytes);
  if (!bytes.has_value() || !groups.has_value() || !stream.has_value()) {
    return std::nullopt;
  }
  auto table = MessageTable::Load(head.messages, *std::move(groups), *std::move(stream), *domains);
  if (!table.has_value() || table->bits() != head.bits) {
    return std::nullopt;
  }
  SegmentIndex::PartLists lists;
  for (uint32_t i = 0; i < head.messages_with_parts; ++i) {
    const auto parts_head = TakeItem<PartsHead>(left);
    if (!parts_head.has_value() || parts_head->message >= head.messages) {
      return std::nullopt;
    }
    auto parts = TakeItems<PartEntry>(left, parts_head->parts);
    if (!parts.has_value()) {
      return std::nullopt;
    }
    lists[parts_head->message] = *std::move(parts);
  }
  std::vector<MovedMessage> moved;
  for (uint32_t i = 0; i < head.moved; ++i) {
    auto message = TakeMoved(left, segment, intern);
    if (!message.has_value()) {
      return std::nullopt;
    }
    moved.push_back(*std::move(message));
  }
  if (!left.empty()) {
    return std::nullopt;
  }
  return DecodedFooter{SegmentIndex(*std::move(table), std::move(lists), *bytes), std::move(moved),
                       head.last_commit_crc};
}

}  // namespace backstay
