// spool/footer.cc -- tables to bytes and back.
#include "spool/footer.h"

#include <algorithm>

#include "spool/items.h"

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

}  // namespace

std::vector<uint8_t> EncodeFooter(const SegmentIndex& index, uint32_t last_commit_crc,
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
  if (out.size() > kPayloadBytesMax) {
    out.clear();
  }
  return out;
}

std::optional<DecodedFooter> DecodeFooter(Bytes payload,
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
  if (!left.empty()) {
    return std::nullopt;
  }
  return DecodedFooter{SegmentIndex(*std::move(table), std::move(lists), *bytes),
                       head.last_commit_crc};
}

}  // namespace backstay
