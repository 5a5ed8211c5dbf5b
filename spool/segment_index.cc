// spool/segment_index.cc -- bits and lists of one segment.
#include "spool/segment_index.h"

#include <algorithm>
#include <bit>

#include "core/base/check.h"

namespace backstay {

uint32_t SegmentIndex::Bits::FirstIn(uint32_t bit, uint32_t end) const {
  for (size_t word = bit / 64; bit < end && word < words_.size(); ++word) {
    const uint64_t here = words_[word] & (~uint64_t{0} << (bit % 64));
    if (here != 0) {
      const auto found =
          static_cast<uint32_t>(word * 64 + static_cast<size_t>(std::countr_zero(here)));
      return std::min(found, end);
    }
    bit = static_cast<uint32_t>((word + 1) * 64);
  }
  return end;
}

uint32_t SegmentIndex::Add(uint32_t block, uint32_t arrival_seconds,
                           std::span<const DomainId> recipients, std::span<const PartEntry> parts) {
  ASSERT(messages_.empty() || messages_.back().block < block);
  ASSERT(!recipients.empty());
  const auto message = static_cast<uint32_t>(messages_.size());
  Message entry{block, bits_, arrival_seconds, static_cast<uint32_t>(recipients.front())};
  const bool is_mixed = std::any_of(recipients.begin(), recipients.end(),
                                    [&](DomainId domain) { return domain != recipients.front(); });
  if (is_mixed) {
    entry.domain = kMixed | static_cast<uint32_t>(mixed_.size());
    mixed_.insert(mixed_.end(), recipients.begin(), recipients.end());
  }
  messages_.push_back(entry);
  live_.Grow(bits_ + static_cast<uint32_t>(recipients.size()));
  for (size_t i = 0; i < recipients.size(); ++i) {
    live_.Set(bits_++);
  }
  live_recipients_ += recipients.size();
  if (!parts.empty()) {
    parts_[message].assign(parts.begin(), parts.end());
  }
  AddToLists(message, recipients);
  return message;
}

SegmentIndex::DomainList& SegmentIndex::ListOf(DomainId domain) {
  const auto next = static_cast<uint32_t>(lists_.size());
  const auto [at, is_new] = list_of_.try_emplace(static_cast<uint32_t>(domain), next);
  if (is_new) {
    lists_.emplace_back();
  }
  return lists_[at->second];
}

void SegmentIndex::AddToLists(uint32_t message, std::span<const DomainId> recipients) {
  for (size_t i = 0; i < recipients.size(); ++i) {
    if (i > 0 && recipients[i] == recipients[i - 1]) {
      continue;
    }
    DomainList& list = ListOf(recipients[i]);
    if (!list.messages.empty() && list.messages.back() == message) {
      continue;
    }
    const auto place = static_cast<uint32_t>(list.messages.size());
    list.messages.push_back(message);
    list.live.Grow(place + 1);
    list.live.Set(place);
    ++list.live_count;
  }
}

std::optional<uint32_t> SegmentIndex::Find(uint32_t block) const {
  const auto at = std::lower_bound(
      messages_.begin(), messages_.end(), block,
      [](const Message& message, uint32_t wanted) { return message.block < wanted; });
  if (at == messages_.end() || at->block != block) {
    return std::nullopt;
  }
  return static_cast<uint32_t>(at - messages_.begin());
}

uint32_t SegmentIndex::FirstBehind(uint32_t block) const {
  const auto at = std::upper_bound(
      messages_.begin(), messages_.end(), block,
      [](uint32_t wanted, const Message& message) { return wanted < message.block; });
  return static_cast<uint32_t>(at - messages_.begin());
}

uint32_t SegmentIndex::Recipients(uint32_t message) const {
  const uint32_t end = message + 1 < messages_.size() ? messages_[message + 1].first_bit : bits_;
  return end - messages_[message].first_bit;
}

DomainId SegmentIndex::Domain(uint32_t message, uint32_t recipient) const {
  const uint32_t domain = messages_[message].domain;
  return (domain & kMixed) == 0 ? DomainId{domain} : mixed_[(domain & ~kMixed) + recipient];
}

std::span<const PartEntry> SegmentIndex::Parts(uint32_t message) const {
  const auto at = parts_.find(message);
  return at == parts_.end() ? std::span<const PartEntry>() : at->second;
}

bool SegmentIndex::IsLive(uint32_t message, uint32_t recipient) const {
  return recipient < Recipients(message) && live_.Get(messages_[message].first_bit + recipient);
}

bool SegmentIndex::IsPending(uint32_t message, uint32_t recipient) const {
  return recipient < Recipients(message) && pending_.Get(messages_[message].first_bit + recipient);
}

bool SegmentIndex::IsOwed(uint32_t message) const {
  const uint32_t first = messages_[message].first_bit;
  const uint32_t end = first + Recipients(message);
  return live_.FirstIn(first, end) < end || pending_.FirstIn(first, end) < end;
}

bool SegmentIndex::HasLive(uint32_t message, DomainId domain) const {
  const uint32_t first = messages_[message].first_bit;
  const uint32_t end = first + Recipients(message);
  for (uint32_t bit = live_.FirstIn(first, end); bit < end; bit = live_.FirstIn(bit + 1, end)) {
    if (Domain(message, bit - first) == domain) {
      return true;
    }
  }
  return false;
}

bool SegmentIndex::Settle(uint32_t message, uint32_t recipient, bool dsn_owed) {
  ASSERT(IsLive(message, recipient));
  const uint32_t bit = messages_[message].first_bit + recipient;
  live_.Clear(bit);
  --live_recipients_;
  if (dsn_owed) {
    pending_.Grow(bits_);
    pending_.Set(bit);
    ++pending_recipients_;
  }
  const DomainId domain = Domain(message, recipient);
  if (HasLive(message, domain)) {
    return false;
  }
  DomainList& list = ListOf(domain);
  const auto at = std::lower_bound(list.messages.begin(), list.messages.end(), message);
  ASSERT(at != list.messages.end());
  list.live.Clear(static_cast<uint32_t>(at - list.messages.begin()));
  --list.live_count;
  list.first = list.live.FirstIn(list.first, static_cast<uint32_t>(list.messages.size()));
  return true;
}

void SegmentIndex::SettlePending(uint32_t message, uint32_t recipient) {
  ASSERT(IsPending(message, recipient));
  pending_.Clear(messages_[message].first_bit + recipient);
  --pending_recipients_;
}

std::optional<uint32_t> SegmentIndex::NextLive(DomainId domain, uint32_t from) const {
  const auto found = list_of_.find(static_cast<uint32_t>(domain));
  if (found == list_of_.end()) {
    return std::nullopt;
  }
  const DomainList& list = lists_[found->second];
  uint32_t place = list.first;
  if (place < list.messages.size() && list.messages[place] < from) {
    const auto at = std::lower_bound(list.messages.begin() + place, list.messages.end(), from);
    place = static_cast<uint32_t>(at - list.messages.begin());
  }
  const auto end = static_cast<uint32_t>(list.messages.size());
  const uint32_t live = list.live.FirstIn(place, end);
  return live < end ? std::optional(list.messages[live]) : std::nullopt;
}

uint32_t SegmentIndex::LiveMessages(DomainId domain) const {
  const auto found = list_of_.find(static_cast<uint32_t>(domain));
  return found == list_of_.end() ? 0 : lists_[found->second].live_count;
}

}  // namespace backstay
