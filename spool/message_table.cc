// spool/message_table.cc -- writing and reading the stream of a segment's messages.
#include "spool/message_table.h"

#include <algorithm>

#include "core/base/check.h"

namespace backstay {
namespace {

// The first number of an entry: its distance from the entry before in blocks, and these.
constexpr uint32_t kHasArrival = 1;  // seconds since the entry before, zigzag
constexpr uint32_t kHasDomain = 2;   // else the domain of the entry before
constexpr uint32_t kHasMany = 4;     // count of recipients, then ...
constexpr uint32_t kHasList = 8;     // ... the domain of each
constexpr uint32_t kFlagBits = 4;
constexpr uint32_t kRecipientsMax = 1u << 20;  // of one message; sessions allow far fewer

uint32_t ZigZag(uint32_t from, uint32_t to) {
  const auto difference = static_cast<int32_t>(to - from);
  return (static_cast<uint32_t>(difference) << 1) ^ static_cast<uint32_t>(difference >> 31);
}

uint32_t UnZigZag(uint32_t from, uint32_t number) {
  return from + ((number >> 1) ^ (0U - (number & 1)));
}

}  // namespace

void MessageTable::WriteNumber(uint32_t number) {
  while (number >= 0x80) {
    stream_.push_back(static_cast<uint8_t>(number | 0x80));
    number >>= 7;
  }
  stream_.push_back(static_cast<uint8_t>(number));
}

uint32_t MessageTable::ReadNumber(size_t& at) const {
  uint32_t number = 0;
  for (uint32_t shift = 0; shift < 35 && at < stream_.size(); shift += 7) {
    const uint8_t byte = stream_[at++];
    number |= static_cast<uint32_t>(byte & 0x7f) << shift;
    if ((byte & 0x80) == 0) {
      return number;
    }
  }
  at = stream_.size() + 1;  // beyond the end: Load() sees it
  return number;
}

uint32_t MessageTable::Intern(DomainId domain) {
  const auto next = static_cast<uint32_t>(domains_.size());
  const auto [at, is_new] = local_of_.try_emplace(static_cast<uint32_t>(domain), next);
  if (is_new) {
    domains_.push_back(domain);
  }
  return at->second;
}

uint32_t MessageTable::LocalOf(DomainId domain) const {
  const auto found = local_of_.find(static_cast<uint32_t>(domain));
  return found == local_of_.end() ? kNoDomain : found->second;
}

void MessageTable::Add(uint32_t block, uint32_t arrival_seconds,
                       std::span<const DomainId> recipients) {
  ASSERT(messages_ == 0 || last_.block < block);
  ASSERT(!recipients.empty());
  const uint32_t domain = Intern(recipients.front());
  const auto count = static_cast<uint32_t>(recipients.size());
  if (messages_ % kGroup == 0) {
    if (stream_.empty()) {
      stream_.push_back(0);  // so that no list stands at 0
    }
    groups_.push_back({0, block, arrival_seconds, bits_, static_cast<uint32_t>(stream_.size())});
    last_ = Before(messages_ / kGroup);
  }
  const bool is_mixed = std::any_of(recipients.begin(), recipients.end(),
                                    [&](DomainId other) { return other != recipients.front(); });
  const uint32_t flags = (arrival_seconds != last_.arrival_seconds ? kHasArrival : 0) |
                         (domain != last_.domain ? kHasDomain : 0) | (count > 1 ? kHasMany : 0) |
                         (is_mixed ? kHasList : 0);
  WriteNumber((block - last_.block) << kFlagBits | flags);
  if ((flags & kHasArrival) != 0) {
    WriteNumber(ZigZag(last_.arrival_seconds, arrival_seconds));
  }
  if ((flags & kHasDomain) != 0) {
    WriteNumber(domain);
  }
  if (count > 1) {
    WriteNumber(count);
  }
  uint64_t& domains = groups_.back().domains;
  domains |= FilterOf(domain);
  for (size_t i = 0; is_mixed && i < recipients.size(); ++i) {
    const uint32_t local = Intern(recipients[i]);
    WriteNumber(local);
    domains |= FilterOf(local);
  }
  last_.block = block;
  last_.arrival_seconds = arrival_seconds;
  last_.domain = domain;
  bits_ += count;
  ++messages_;
}

void MessageTable::ShrinkToFit() {
  std::vector(groups_).swap(groups_);  // libstdc++'s shrink_to_fit does nothing without exceptions
  std::vector(stream_).swap(stream_);
  std::vector(domains_).swap(domains_);
}

// What the first entry of a group is told from.
MessageTable::Entry MessageTable::Before(uint32_t group) const {
  const Group& head = groups_[group];
  Entry entry;
  entry.message = group * kGroup - 1;
  entry.block = head.block;
  entry.arrival_seconds = head.arrival_seconds;
  entry.first_bit = head.first_bit;
  entry.domain = kNoDomain;
  entry.next_at = head.at;
  return entry;
}

MessageTable::Entry MessageTable::Read(const Entry& before) const {
  ++entries_read_;
  size_t at = before.next_at;
  const uint32_t first = ReadNumber(at);
  Entry entry;
  entry.message = before.message + 1;
  entry.block = before.block + (first >> kFlagBits);
  entry.first_bit = before.first_bit + before.recipients;
  entry.arrival_seconds = before.arrival_seconds;
  if ((first & kHasArrival) != 0) {
    entry.arrival_seconds = UnZigZag(before.arrival_seconds, ReadNumber(at));
  }
  entry.domain = (first & kHasDomain) != 0 ? ReadNumber(at) : before.domain;
  entry.recipients = (first & kHasMany) != 0 ? ReadNumber(at) : 1;
  if ((first & kHasList) != 0) {
    entry.list_at = static_cast<uint32_t>(at);
    entry.recipients = std::min<uint32_t>(entry.recipients, static_cast<uint32_t>(stream_.size()));
    for (uint32_t recipient = 0; recipient < entry.recipients; ++recipient) {
      ReadNumber(at);
    }
  }
  entry.next_at = static_cast<uint32_t>(at);
  return entry;
}

MessageTable::Entry MessageTable::Get(uint32_t message) const {
  ASSERT(message < messages_);
  Entry entry = Read(Before(message / kGroup));
  while (entry.message < message) {
    entry = Read(entry);
  }
  return entry;
}

MessageTable::Entry MessageTable::Next(const Entry& entry) const {
  const uint32_t next = entry.message + 1;
  ASSERT(next < messages_);
  return Read(next % kGroup == 0 ? Before(next / kGroup) : entry);
}

uint32_t MessageTable::FirstAt(uint32_t block) const {
  const auto behind =
      std::upper_bound(groups_.begin(), groups_.end(), block,
                       [](uint32_t wanted, const Group& group) { return wanted < group.block; });
  if (behind == groups_.begin()) {
    return 0;
  }
  return FirstIn(static_cast<uint32_t>(behind - groups_.begin()) - 1, &Entry::block, block);
}

// Of several in one second the first may be in the group before.
uint32_t MessageTable::FirstArrived(uint32_t arrival_seconds) const {
  const auto behind = std::lower_bound(
      groups_.begin(), groups_.end(), arrival_seconds,
      [](const Group& group, uint32_t wanted) { return group.arrival_seconds < wanted; });
  if (behind == groups_.begin()) {
    return 0;
  }
  return FirstIn(static_cast<uint32_t>(behind - groups_.begin()) - 1, &Entry::arrival_seconds,
                 arrival_seconds);
}

uint32_t MessageTable::FirstIn(uint32_t group, uint32_t Entry::*field, uint32_t wanted) const {
  const uint32_t end = std::min(messages_, (group + 1) * kGroup);
  Entry entry = Read(Before(group));
  while (entry.*field < wanted) {
    if (entry.message + 1 == end) {
      return end;
    }
    entry = Read(entry);
  }
  return entry.message;
}

MessageTable::Entry MessageTable::OfBit(uint32_t bit) const {
  ASSERT(bit < bits_);
  const auto behind = std::upper_bound(
      groups_.begin(), groups_.end(), bit,
      [](uint32_t wanted, const Group& group) { return wanted < group.first_bit; });
  Entry entry = Read(Before(static_cast<uint32_t>(behind - groups_.begin()) - 1));
  while (entry.first_bit + entry.recipients <= bit) {
    entry = Read(entry);
  }
  return entry;
}

uint32_t MessageTable::DomainOf(const Entry& entry, uint32_t recipient) const {
  ASSERT(recipient < entry.recipients);
  size_t at = entry.list_at;
  if (at == 0) {
    return entry.domain;
  }
  for (uint32_t before = 0; before < recipient; ++before) {
    ReadNumber(at);
  }
  return ReadNumber(at);
}

std::optional<MessageTable> MessageTable::Load(uint32_t messages, std::vector<Group> groups,
                                               std::vector<uint8_t> stream,
                                               std::span<const DomainId> domains) {
  MessageTable table;
  table.messages_ = messages;
  table.groups_ = std::move(groups);
  table.stream_ = std::move(stream);
  for (const DomainId domain : domains) {
    if (table.Intern(domain) + 1 != table.domains()) {
      return std::nullopt;  // twice
    }
  }
  if (!table.IsSound()) {
    return std::nullopt;
  }
  if (messages > 0) {
    table.last_ = table.Get(messages - 1);
    table.bits_ = table.last_.first_bit + table.last_.recipients;
  }
  return table;
}

// Every entry ascends and names recipients and domains that there are, and the heads of the groups
// say what the entries before them say.
bool MessageTable::IsSound() const {
  if (groups_.size() != (uint64_t{messages_} + kGroup - 1) / kGroup) {
    return false;
  }
  Entry entry;
  for (uint32_t message = 0; message < messages_; ++message) {
    const Entry before = message % kGroup == 0 ? Before(message / kGroup) : entry;
    // The zero byte at the front comes before the first.
    const bool follows =
        message == 0 ? before.first_bit == 0 && before.next_at == 1
                     : before.first_bit + before.recipients == entry.first_bit + entry.recipients &&
                           before.next_at == entry.next_at;
    const uint32_t block_before = entry.block;
    entry = Read(before);
    if (entry.recipients == 0 || entry.recipients > kRecipientsMax) {
      return false;
    }
    bool is_known = true;
    ForEachRecipient(entry, [&](uint32_t, uint32_t local) {
      is_known = is_known && local < domains() && MayHave(message / kGroup, local);
    });
    if (!follows || !is_known || entry.next_at > stream_.size() ||
        (message > 0 && entry.block <= block_before)) {
      return false;
    }
  }
  return messages_ == 0 || entry.next_at == stream_.size();
}

size_t MessageTable::memory_bytes() const {
  return groups_.capacity() * sizeof(Group) + stream_.capacity() +
         domains_.capacity() * sizeof(DomainId) + local_of_.capacity() * (2 * sizeof(uint32_t) + 1);
}

}  // namespace backstay
