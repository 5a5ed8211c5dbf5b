// spool/segment_index.cc -- what is owed in one segment.
#include "spool/segment_index.h"

#include <algorithm>

#include "core/base/check.h"

namespace backstay {

SegmentIndex::SegmentIndex(MessageTable table, PartLists parts, std::span<const uint64_t> bytes)
    : table_(std::move(table)), parts_(std::move(parts)) {
  domains_.resize(table_.domains());
  for (uint32_t local = 0; local < table_.domains(); ++local) {
    domains_[local].bytes_ever = bytes[local];
  }
  live_.Grow(table_.bits());
  for (uint32_t bit = 0; bit < table_.bits(); ++bit) {
    live_.Set(bit);
  }
  Count();
}

void SegmentIndex::SetOwed(Bits live, Bits pending) {
  live_ = std::move(live);
  pending_ = std::move(pending);
  live_.Grow(table_.bits());
  Count();
}

// The counts, from the bits.
void SegmentIndex::Count() {
  for (LocalDomain& domain : domains_) {
    const uint64_t bytes = domain.bytes_ever;
    domain = LocalDomain();
    domain.bytes_ever = bytes;
  }
  std::vector<uint32_t> last_live(domains_.size(), UINT32_MAX);  // message counted last, by domain
  live_recipients_ = 0;
  pending_recipients_ = pending_.Count();
  MessageTable::Entry entry;
  for (uint32_t message = 0; message < table_.messages(); ++message) {
    entry = message == 0 ? table_.Get(0) : table_.Next(entry);
    table_.ForEachRecipient(entry, [&](uint32_t recipient, uint32_t local) {
      LocalDomain& domain = domains_[local];
      domain.messages_ever += domain.last_message != message ? 1 : 0;
      domain.last_message = message;
      if (live_.Get(entry.first_bit + recipient)) {
        ++live_recipients_;
        ++domain.live;
        domain.messages += last_live[local] != message ? 1 : 0;
        last_live[local] = message;
      }
    });
  }
}

uint32_t SegmentIndex::Add(uint32_t block, uint32_t arrival_seconds,
                           std::span<const DomainId> recipients, std::span<const PartEntry> parts,
                           uint64_t bytes) {
  const uint32_t message = table_.messages();
  uint32_t bit = table_.bits();
  table_.Add(block, arrival_seconds, recipients);
  domains_.resize(table_.domains());
  live_.Grow(table_.bits());
  for (const DomainId domain : recipients) {
    live_.Set(bit++);
    LocalDomain& local = domains_[table_.LocalOf(domain)];
    // Where it has nothing live looking begins with this message.
    local.first_group = local.live == 0 ? message / MessageTable::kGroup : local.first_group;
    ++local.live;
    if (local.last_message != message) {  // once, however many recipients
      local.last_message = message;
      ++local.messages;
      ++local.messages_ever;
      local.bytes_ever += bytes;
    }
  }
  live_recipients_ += recipients.size();
  if (!parts.empty()) {
    parts_[message].assign(parts.begin(), parts.end());
  }
  return message;
}

void SegmentIndex::ShrinkToFit() {
  table_.ShrinkToFit();
  live_.ShrinkToFit();
  std::vector(domains_).swap(domains_);
}

// ---- moved ----

RecipientState SegmentIndex::StateOf(uint32_t message, uint32_t recipient) const {
  return IsLive(message, recipient)      ? RecipientState::kLive
         : IsPending(message, recipient) ? RecipientState::kPending
                                         : RecipientState::kSettled;
}

void SegmentIndex::Move(uint32_t message, std::vector<PartEntry> holds) {
  ASSERT(IsOwed(message));
  parts_[message] = std::move(holds);
  if (!moved_.insert(message).second) {
    return;
  }
  for (uint32_t recipient = 0; recipient < Recipients(message); ++recipient) {
    moved_owed_ += StateOf(message, recipient) != RecipientState::kSettled ? 1 : 0;
  }
}

void SegmentIndex::CopyTo(SegmentIndex& to, uint32_t message) const {
  const MessageTable::Entry entry = At(message);
  std::vector<DomainId> recipients;
  table_.ForEachRecipient(
      entry, [&](uint32_t, uint32_t local) { recipients.push_back(table_.DomainAt(local)); });
  const LocalDomain& domain = domains_[table_.DomainOf(entry, 0)];
  const uint32_t copy = to.Add(entry.block, entry.arrival_seconds, recipients, Parts(message),
                               domain.bytes_ever / domain.messages_ever);
  for (uint32_t recipient = 0; recipient < entry.recipients; ++recipient) {
    const RecipientState state = StateOf(message, recipient);
    if (state != RecipientState::kLive) {
      to.Settle(copy, recipient, state == RecipientState::kPending);
    }
  }
  if (IsMoved(message) && IsOwed(message)) {
    const std::span<const PartEntry> parts = Parts(message);
    to.Move(copy, {parts.begin(), parts.end()});
  }
}

void SegmentIndex::KeepOwed() {
  SegmentIndex kept;
  for (auto message = NextOwed(0); message.has_value(); message = NextOwed(*message + 1)) {
    CopyTo(kept, *message);
  }
  kept.ShrinkToFit();
  *this = std::move(kept);
}

void SegmentIndex::Insert(uint32_t block, uint32_t arrival_seconds,
                          std::span<const DomainId> recipients, std::span<const PartEntry> parts,
                          uint64_t bytes) {
  const uint32_t at = FirstBehind(block);
  if (at == messages()) {
    Add(block, arrival_seconds, recipients, parts, bytes);
    return;
  }
  SegmentIndex all;
  for (uint32_t message = 0; message < messages(); ++message) {
    if (message == at) {
      all.Add(block, arrival_seconds, recipients, parts, bytes);
    }
    CopyTo(all, message);
  }
  *this = std::move(all);
}

const MessageTable::Entry& SegmentIndex::At(uint32_t message) const {
  if (!last_.has_value() || last_->message != message) {
    last_ = table_.Get(message);
  }
  return *last_;
}

std::optional<uint32_t> SegmentIndex::Find(uint32_t block) const {
  const uint32_t message = table_.FirstAt(block);
  return message < table_.messages() && At(message).block == block ? std::optional(message)
                                                                   : std::nullopt;
}

uint32_t SegmentIndex::FirstBehind(uint32_t block) const {
  return table_.FirstAt(block + 1);
}

DomainId SegmentIndex::Domain(uint32_t message, uint32_t recipient) const {
  return table_.DomainAt(table_.DomainOf(At(message), recipient));
}

std::span<const PartEntry> SegmentIndex::Parts(uint32_t message) const {
  const auto at = parts_.find(message);
  return at == parts_.end() ? std::span<const PartEntry>() : at->second;
}

bool SegmentIndex::IsLive(uint32_t message, uint32_t recipient) const {
  const MessageTable::Entry& entry = At(message);
  return recipient < entry.recipients && live_.Get(entry.first_bit + recipient);
}

bool SegmentIndex::IsPending(uint32_t message, uint32_t recipient) const {
  const MessageTable::Entry& entry = At(message);
  return recipient < entry.recipients && pending_.Get(entry.first_bit + recipient);
}

bool SegmentIndex::IsOwed(uint32_t message) const {
  const MessageTable::Entry& entry = At(message);
  const uint32_t end = entry.first_bit + entry.recipients;
  return live_.FirstIn(entry.first_bit, end) < end || pending_.FirstIn(entry.first_bit, end) < end;
}

std::optional<uint32_t> SegmentIndex::NextOwed(uint32_t from) const {
  for (uint32_t group = from / MessageTable::kGroup; group < table_.groups(); ++group) {
    const uint32_t end_bit = table_.FirstBitOf(group + 1);
    if (live_.FirstIn(table_.FirstBitOf(group), end_bit) == end_bit &&
        pending_.FirstIn(table_.FirstBitOf(group), end_bit) == end_bit) {
      continue;
    }
    const uint32_t begin = std::max(from, group * MessageTable::kGroup);
    const uint32_t end = std::min(table_.messages(), (group + 1) * MessageTable::kGroup);
    for (uint32_t message = begin; message < end; ++message) {
      const bool follows = last_.has_value() && last_->message + 1 == message;
      last_ = follows ? table_.Next(*last_) : table_.Get(message);
      if (IsOwed(message)) {
        return message;
      }
    }
  }
  return std::nullopt;
}

uint32_t SegmentIndex::CountOwed() const {
  uint32_t owed = 0;
  for (auto message = NextOwed(0); message.has_value(); message = NextOwed(*message + 1)) {
    ++owed;
  }
  return owed;
}

bool SegmentIndex::HasLive(const MessageTable::Entry& entry, uint32_t local) const {
  const uint32_t end = entry.first_bit + entry.recipients;
  if (live_.FirstIn(entry.first_bit, end) == end) {
    return false;
  }
  if (entry.list_at == 0) {
    return entry.domain == local;
  }
  bool has_live = false;
  table_.ForEachRecipient(entry, [&](uint32_t recipient, uint32_t domain) {
    has_live = has_live || (domain == local && live_.Get(entry.first_bit + recipient));
  });
  return has_live;
}

void SegmentIndex::Settle(uint32_t message, uint32_t recipient, bool dsn_owed) {
  ASSERT(IsLive(message, recipient));
  const MessageTable::Entry& entry = At(message);
  const uint32_t bit = entry.first_bit + recipient;
  live_.Clear(bit);
  --live_recipients_;
  moved_owed_ -= !dsn_owed && IsMoved(message) ? 1 : 0;
  const uint32_t local = table_.DomainOf(entry, recipient);
  --domains_[local].live;
  domains_[local].messages -= HasLive(entry, local) ? 0 : 1;
  if (dsn_owed) {
    pending_.Grow(table_.bits());
    pending_.Set(bit);
    ++pending_recipients_;
  }
}

DomainLoad SegmentIndex::LoadOf(DomainId domain) const {
  const uint32_t local = table_.LocalOf(domain);
  if (local == MessageTable::kNoDomain || domains_[local].messages == 0) {
    return {};
  }
  const LocalDomain& of = domains_[local];
  return {of.live, of.messages, of.bytes_ever / of.messages_ever * of.messages};
}

uint64_t SegmentIndex::BytesUpToNext(uint32_t message) const {
  if (message + 1 < messages()) {
    return uint64_t{Block(message + 1) - Block(message)} * kRecordAlignment;
  }
  uint64_t bytes = 0;
  uint64_t messages = 0;
  for (const LocalDomain& domain : domains_) {
    bytes += domain.bytes_ever;
    messages += domain.messages_ever;
  }
  return messages > 0 ? bytes / messages : 0;
}

void SegmentIndex::SettlePending(uint32_t message, uint32_t recipient) {
  ASSERT(IsPending(message, recipient));
  pending_.Clear(At(message).first_bit + recipient);
  --pending_recipients_;
  moved_owed_ -= IsMoved(message) ? 1 : 0;
}

std::optional<uint32_t> SegmentIndex::NextLive(DomainId domain, uint32_t from) const {
  const uint32_t local = table_.LocalOf(domain);
  const bool has_none = local == MessageTable::kNoDomain || domains_[local].live == 0;
  if (has_none || from >= table_.messages()) {
    return std::nullopt;
  }
  const LocalDomain& state = domains_[local];
  const bool is_from_first = from <= state.first_group * MessageTable::kGroup;
  uint32_t group = is_from_first ? state.first_group : from / MessageTable::kGroup;
  for (; group < table_.groups(); ++group) {
    const uint32_t end_bit = table_.FirstBitOf(group + 1);
    if (!table_.MayHave(group, local) ||
        live_.FirstIn(table_.FirstBitOf(group), end_bit) == end_bit) {
      continue;
    }
    const uint32_t end = std::min(table_.messages(), (group + 1) * MessageTable::kGroup);
    MessageTable::Entry entry = table_.Get(std::max(from, group * MessageTable::kGroup));
    while (!HasLive(entry, local) && entry.message + 1 < end) {
      entry = table_.Next(entry);
    }
    if (HasLive(entry, local)) {
      state.first_group = is_from_first ? group : state.first_group;
      last_ = entry;
      return entry.message;
    }
  }
  return std::nullopt;
}

uint32_t SegmentIndex::LiveRecipients(DomainId domain) const {
  const uint32_t local = table_.LocalOf(domain);
  return local == MessageTable::kNoDomain ? 0 : domains_[local].live;
}

uint32_t SegmentIndex::LiveRecipientsBefore(DomainId domain, uint32_t block) const {
  const uint32_t local = table_.LocalOf(domain);
  uint32_t live = 0;
  for (auto message = NextLive(domain, 0); message.has_value();
       message = NextLive(domain, *message + 1)) {
    const MessageTable::Entry& entry = At(*message);
    if (entry.block >= block) {
      break;
    }
    table_.ForEachRecipient(entry, [&](uint32_t recipient, uint32_t of) {
      live += of == local && live_.Get(entry.first_bit + recipient) ? 1 : 0;
    });
  }
  return live;
}

}  // namespace backstay
