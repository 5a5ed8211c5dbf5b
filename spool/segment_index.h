// spool/segment_index.h -- one segment's messages and which recipients are still owed.
//
// A MessageTable and one bit a recipient; another while DSNs are owed. Per domain a count and where
// to begin to look. A message never comes back to life.
//
// A message can be moved: it lies in another segment then and is known by its home, its place here.
//
// Turn:  NextLive skips dead messages by words and groups that do not have the domain, and never
//        looks again before the first live one. Among thousands of domains the groups do not tell
//        them apart: then wants_lists() turns true, and with lists it reads two groups at most.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "spool/bits.h"
#include "spool/domain_bits.h"
#include "spool/format.h"
#include "spool/message_table.h"

namespace backstay {

// What a domain has waiting.
struct DomainLoad {
  uint64_t recipients = 0;
  uint64_t messages = 0;
  uint64_t bytes = 0;  // a message counts as the average of its domain in its segment

  DomainLoad& operator+=(const DomainLoad& more) {
    recipients += more.recipients;
    messages += more.messages;
    bytes += more.bytes;
    return *this;
  }
  DomainLoad& operator-=(const DomainLoad& less) {
    recipients -= less.recipients;
    messages -= less.messages;
    bytes -= less.bytes;
    return *this;
  }
};

class SegmentIndex {
 public:
  using PartLists = absl::flat_hash_map<uint32_t, std::vector<PartEntry>>;  // by message

  SegmentIndex() = default;
  // Every recipient is live. `bytes`: of each domain, by local number.
  SegmentIndex(MessageTable table, PartLists parts, std::span<const uint64_t> bytes);

  // Places must ascend. Returns the number of the message. `recipients`: the domain of each.
  // `bytes`: with its parts.
  uint32_t Add(uint32_t block, uint32_t arrival_seconds, std::span<const DomainId> recipients,
               std::span<const PartEntry> parts, uint64_t bytes);
  // As Add, before messages that are there already.
  void Insert(uint32_t block, uint32_t arrival_seconds, std::span<const DomainId> recipients,
              std::span<const PartEntry> parts, uint64_t bytes);
  // No message comes any more, or few.
  void ShrinkToFit();
  // Forgets the messages of whom nothing is owed.
  void KeepOwed();

  std::optional<uint32_t> Find(uint32_t block) const;
  uint32_t FirstBehind(uint32_t block) const;  // number of the first message behind this place
  uint32_t messages() const { return table_.messages(); }
  uint32_t Block(uint32_t message) const { return At(message).block; }
  uint32_t ArrivalSeconds(uint32_t message) const { return At(message).arrival_seconds; }
  uint32_t Recipients(uint32_t message) const { return At(message).recipients; }
  DomainId Domain(uint32_t message, uint32_t recipient) const;
  std::span<const PartEntry> Parts(uint32_t message) const;

  bool IsLive(uint32_t message, uint32_t recipient) const;
  bool IsPending(uint32_t message, uint32_t recipient) const;
  // A recipient is live or pending.
  bool IsOwed(uint32_t message) const;
  // Must be owed. `holds`: its parts, and last its record; none of them need lie here.
  void Move(uint32_t message, std::vector<PartEntry> holds);
  bool IsMoved(uint32_t message) const { return moved_.contains(message); }
  const absl::flat_hash_set<uint32_t>& moved() const { return moved_; }
  RecipientState StateOf(uint32_t message, uint32_t recipient) const;
  // Live becomes settled, or pending when a DSN is owed.
  void Settle(uint32_t message, uint32_t recipient, bool dsn_owed);
  void SettlePending(uint32_t message, uint32_t recipient);
  // Calls `take(domain)` for each live recipient; a domain may come more than once.
  template <typename Take>
  void ForEachLive(uint32_t message, Take take) const {
    const MessageTable::Entry entry = At(message);
    table_.ForEachRecipient(entry, [&](uint32_t recipient, uint32_t local) {
      if (live_.Get(entry.first_bit + recipient)) {
        take(table_.DomainAt(local));
      }
    });
  }

  DomainLoad LoadOf(DomainId domain) const;
  // Of all its messages here, live or not.
  uint64_t BytesOf(uint32_t local) const { return domains_[local].bytes_ever; }
  // Calls `take(domain, live recipients)` for each domain of the segment.
  template <typename Take>
  void ForEachDomain(Take take) const {
    for (uint32_t local = 0; local < domains_.size(); ++local) {
      take(table_.DomainAt(local), domains_[local].live);
    }
  }
  // Between its place and that of the next message: its record is not larger. Of the last one as
  // much as messages have here on average.
  uint64_t BytesUpToNext(uint32_t message) const;
  uint32_t messages_owed() const { return messages_owed_; }
  // The first message numbered `from` or higher with a live or pending recipient, but for groups
  // that have none of the domains in `filter` (FilterOf).
  std::optional<uint32_t> NextOwed(uint32_t from, uint64_t filter = ~uint64_t{0}) const;
  uint64_t FilterOf(std::span<const DomainId> domains) const;

  // The first message numbered `from` or higher with a live recipient of `domain`.
  std::optional<uint32_t> NextLive(DomainId domain, uint32_t from) const;
  uint32_t LiveRecipients(DomainId domain) const;
  uint32_t PendingRecipients(DomainId domain) const;
  // Of messages before this place; walks them where there is anything of the domain behind it.
  uint32_t LiveRecipientsBefore(DomainId domain, uint32_t block) const;
  // What was read in vain is as much as lists of the domains would cost. They take 4 bytes a
  // recipient, and nothing that is said here depends on them.
  bool wants_lists() const;
  void MakeLists() const;
  void DropLists() const { lists_.reset(); }
  bool has_lists() const { return lists_ != nullptr; }
  uint64_t live_recipients() const { return live_recipients_; }
  uint64_t pending_recipients() const { return pending_recipients_; }
  bool dead() const { return live_recipients_ == 0 && pending_recipients_ == 0; }
  // No record here is needed for itself (parts may be).
  bool lies_elsewhere() const { return live_recipients_ + pending_recipients_ == moved_owed_; }
  // Recipients owed of messages that lie here.
  uint64_t owed_here() const { return live_recipients_ + pending_recipients_ - moved_owed_; }
  const MessageTable& table() const { return table_; }
  const PartLists& parts() const { return parts_; }
  const Bits& live() const { return live_; }
  const Bits& pending() const { return pending_; }
  // Which recipients are owed, as live() and pending() gave it for the same table.
  void SetOwed(Bits live, Bits pending);

 private:
  struct LocalDomain {
    uint32_t live = 0;                   // recipients
    uint32_t pending = 0;                // recipients
    uint32_t messages = 0;               // with a live recipient
    uint32_t messages_ever = 0;          // in this segment
    mutable uint32_t first_group = 0;    // no live recipient in groups before it
    uint32_t last_message = UINT32_MAX;  // counted last in messages_ever
    uint64_t bytes_ever = 0;             // of messages_ever
  };

  // Decodes; the last one is remembered, because questions come in rows about the same message.
  const MessageTable::Entry& At(uint32_t message) const;
  void Count();
  void CopyTo(SegmentIndex& to, uint32_t message) const;
  bool HasLive(const MessageTable::Entry& entry, uint32_t local) const;
  bool HasLive(uint32_t group) const;
  std::optional<uint32_t> NextInLists(uint32_t local, uint32_t from) const;
  std::optional<uint32_t> NextInGroups(uint32_t local, uint32_t from) const;

  MessageTable table_;
  Bits live_;
  Bits pending_;
  std::vector<LocalDomain> domains_;  // by local number
  PartLists parts_;
  uint32_t messages_owed_ = 0;
  uint64_t live_recipients_ = 0;
  uint64_t pending_recipients_ = 0;
  absl::flat_hash_set<uint32_t> moved_;  // messages
  uint64_t moved_owed_ = 0;              // recipients of theirs, live or pending
  mutable std::optional<MessageTable::Entry> last_;
  mutable std::unique_ptr<const DomainBits> lists_;  // null: there are none
  mutable uint64_t read_in_vain_ = 0;                // messages, since lists were made
};

}  // namespace backstay
