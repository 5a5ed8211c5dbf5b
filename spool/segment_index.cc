// spool/segment_index.cc -- what is owed in one segment.
#include "spool/segment_index.h"

#include <algorithm>

#include "core/base/check.h"

namespace backstay {
namespace {

// A walk of fewer is cheap enough.
constexpr uint32_t kListedGroupsMin = 4;
// Making lists walks twice.
constexpr uint32_t kWalksOfLists = 2;

}  // namespace

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
  messages_owed_ = 0;
  live_recipients_ = 0;
  pending_recipients_ = pending_.Count();
  MessageTable::Entry entry;
  for (uint32_t message = 0; message < table_.messages(); ++message) {
    entry = message == 0 ? table_.Get(0) : table_.Next(entry);
    bool is_owed = false;
    table_.ForEachRecipient(entry, [&](uint32_t recipient, uint32_t local) {
      LocalDomain& domain = domains_[local];
      const bool is_pending = pending_.Get(entry.first_bit + recipient);
      domain.pending += is_pending ? 1 : 0;
      is_owed = is_owed || is_pending || live_.Get(entry.first_bit + recipient);
      domain.messages_ever += domain.last_message != message ? 1 : 0;
      domain.last_message = message;
      if (live_.Get(entry.first_bit + recipient)) {
        ++live_recipients_;
        ++domain.live;
        domain.messages += last_live[local] != message ? 1 : 0;
        last_live[local] = message;
      }
    });
    messages_owed_ += is_owed ? 1 : 0;
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
  ++messages_owed_;
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
  if (last_.has_value() && last_->block == block) {
    return last_->message;
  }
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

std::optional<uint32_t> SegmentIndex::NextOwed(uint32_t from, uint64_t filter) const {
  for (uint32_t group = from / MessageTable::kGroup; group < table_.groups(); ++group) {
    const uint32_t begin_bit = table_.FirstBitOf(group);
    const uint32_t end_bit = table_.FirstBitOf(group + 1);
    if (!table_.MayHaveAny(group, filter) ||
        (!HasLive(group) && pending_.FirstIn(begin_bit, end_bit) == end_bit)) {
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

uint64_t SegmentIndex::FilterOf(std::span<const DomainId> domains) const {
  uint64_t filter = 0;
  for (const DomainId domain : domains) {
    const uint32_t local = table_.LocalOf(domain);
    filter |= local == MessageTable::kNoDomain ? 0 : MessageTable::FilterOf(local);
  }
  return filter;
}

bool SegmentIndex::HasLive(uint32_t group) const {
  const uint32_t end_bit = table_.FirstBitOf(group + 1);
  return live_.FirstIn(table_.FirstBitOf(group), end_bit) < end_bit;
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
    ++domains_[local].pending;
  }
  messages_owed_ -= IsOwed(message) ? 0 : 1;
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
  const MessageTable::Entry& entry = At(message);
  pending_.Clear(entry.first_bit + recipient);
  --pending_recipients_;
  --domains_[table_.DomainOf(entry, recipient)].pending;
  moved_owed_ -= IsMoved(message) ? 1 : 0;
  messages_owed_ -= IsOwed(message) ? 0 : 1;
}

// ---- of one domain ----

bool SegmentIndex::wants_lists() const {
  const uint32_t groups = table_.messages() / MessageTable::kGroup;
  const uint32_t listed = lists_ != nullptr ? lists_->end_group() : kListedGroupsMin - 1;
  return groups > listed && read_in_vain_ >= uint64_t{kWalksOfLists} * table_.messages();
}

void SegmentIndex::MakeLists() const {
  lists_ = std::make_unique<const DomainBits>(table_);
  read_in_vain_ = 0;
}

std::optional<uint32_t> SegmentIndex::NextLive(DomainId domain, uint32_t from) const {
  const uint32_t local = table_.LocalOf(domain);
  const bool has_none = local == MessageTable::kNoDomain || domains_[local].live == 0;
  if (has_none || from >= table_.messages()) {
    return std::nullopt;
  }
  const LocalDomain& state = domains_[local];
  const uint32_t first = state.first_group * MessageTable::kGroup;
  const bool is_from_first = from <= first;
  from = std::max(from, first);
  std::optional<uint32_t> found;
  // One that has more messages than there are groups is in most of them.
  if (lists_ != nullptr && state.messages_ever < table_.groups()) {
    found = NextInLists(local, from);
    from = std::max(from, lists_->end_group() * MessageTable::kGroup);
  }
  if (!found.has_value()) {
    found = NextInGroups(local, from);
  }
  if (found.has_value() && is_from_first) {
    state.first_group = *found / MessageTable::kGroup;
  }
  return found;
}

std::optional<uint32_t> SegmentIndex::NextInLists(uint32_t local, uint32_t from) const {
  const bool is_behind = from / MessageTable::kGroup >= lists_->end_group();
  const std::span<const uint32_t> bits = lists_->Of(local);
  if (is_behind || bits.empty()) {
    return std::nullopt;
  }
  const bool is_first = from % MessageTable::kGroup == 0;
  const uint32_t first_bit =
      is_first ? table_.FirstBitOf(from / MessageTable::kGroup) : table_.Get(from).first_bit;
  const auto at = std::find_if(std::lower_bound(bits.begin(), bits.end(), first_bit), bits.end(),
                               [this](uint32_t bit) { return live_.Get(bit); });
  if (at == bits.end()) {
    return std::nullopt;
  }
  last_ = table_.OfBit(*at);
  return last_->message;
}

std::optional<uint32_t> SegmentIndex::NextInGroups(uint32_t local, uint32_t from) const {
  for (uint32_t group = from / MessageTable::kGroup; group < table_.groups(); ++group) {
    if (!table_.MayHave(group, local) || !HasLive(group)) {
      continue;
    }
    const uint32_t begin = std::max(from, group * MessageTable::kGroup);
    const uint32_t end = std::min(table_.messages(), (group + 1) * MessageTable::kGroup);
    MessageTable::Entry entry = table_.Get(begin);
    while (!HasLive(entry, local) && entry.message + 1 < end) {
      entry = table_.Next(entry);
    }
    if (HasLive(entry, local)) {
      last_ = entry;
      return entry.message;
    }
    read_in_vain_ += domains_[local].messages_ever < table_.groups() ? end - begin : 0;
  }
  return std::nullopt;
}

uint32_t SegmentIndex::LiveRecipients(DomainId domain) const {
  const uint32_t local = table_.LocalOf(domain);
  return local == MessageTable::kNoDomain ? 0 : domains_[local].live;
}

uint32_t SegmentIndex::PendingRecipients(DomainId domain) const {
  const uint32_t local = table_.LocalOf(domain);
  return local == MessageTable::kNoDomain ? 0 : domains_[local].pending;
}

uint32_t SegmentIndex::LiveRecipientsBefore(DomainId domain, uint32_t block) const {
  const uint32_t local = table_.LocalOf(domain);
  if (local == MessageTable::kNoDomain || domains_[local].live == 0) {
    return 0;
  }
  if (table_.last_block() < block) {
    return domains_[local].live;
  }
  const uint32_t end = table_.FirstAt(block);
  uint32_t live = 0;
  uint32_t group = domains_[local].first_group;
  if (lists_ != nullptr) {
    const uint32_t end_bit = table_.Get(end).first_bit;
    const std::span<const uint32_t> bits = lists_->Of(local);
    const auto behind = std::lower_bound(bits.begin(), bits.end(), end_bit);
    live += static_cast<uint32_t>(
        std::count_if(bits.begin(), behind, [this](uint32_t bit) { return live_.Get(bit); }));
    group = std::max(group, lists_->end_group());
  }
  for (; group * MessageTable::kGroup < end; ++group) {
    if (!table_.MayHave(group, local) || !HasLive(group)) {
      continue;
    }
    MessageTable::Entry entry = table_.Get(group * MessageTable::kGroup);
    const uint32_t behind = std::min(end, (group + 1) * MessageTable::kGroup);
    for (bool is_last = false; !is_last; entry = is_last ? entry : table_.Next(entry)) {
      const uint32_t before = live;
      table_.ForEachRecipient(entry, [&](uint32_t recipient, uint32_t of) {
        live += of == local && live_.Get(entry.first_bit + recipient) ? 1 : 0;
      });
      read_in_vain_ += live == before ? 1 : 0;
      is_last = entry.message + 1 == behind;
    }
  }
  return live;
}

}  // namespace backstay
