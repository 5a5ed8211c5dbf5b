// spool/message_table.h -- the messages of one segment in about three bytes each: place, arrival,
// recipients, domains.
//
// What never changes once a message is stored; which recipients are still owed is SegmentIndex's.
// Messages are numbered in the order of their places, recipients by one running bit number,
// domains by the order in which they appeared. Groups of 64 messages have a fixed head; the rest is
// a stream of varints, read from the start of the group.
//
// Units: places are blocks (offset / 64), arrivals seconds of the spool clock.
// Turn:  nothing waits. Get() costs at most one group of decoding; to walk on from an entry costs
//        nothing.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "spool/spool.h"

namespace backstay {

class MessageTable {
 public:
  static constexpr uint32_t kGroup = 64;
  static constexpr uint32_t kNoDomain = UINT32_MAX;

  struct Entry {
    uint32_t message = 0;
    uint32_t block = 0;
    uint32_t arrival_seconds = 0;
    uint32_t first_bit = 0;
    uint32_t recipients = 0;
    uint32_t domain = 0;   // of the first recipient; of all unless list_at is set
    uint32_t list_at = 0;  // where the domain of each recipient stands in the stream; 0: no list
    uint32_t next_at = 0;  // where the next entry of the group begins
  };

  // Places must ascend. `recipients`: the domain of each.
  void Add(uint32_t block, uint32_t arrival_seconds, std::span<const DomainId> recipients);
  // Gives back what growing had taken ahead of need.
  void ShrinkToFit();

  uint32_t messages() const { return messages_; }
  uint32_t bits() const { return bits_; }
  Entry Get(uint32_t message) const;
  // The entry behind this one; there must be one.
  Entry Next(const Entry& entry) const;
  // Number of the first message at this place or behind it; messages() if there is none.
  uint32_t FirstAt(uint32_t block) const;
  // The same for one that arrived in this second or later: the order of places is that of arrival.
  uint32_t FirstArrived(uint32_t arrival_seconds) const;
  // The message that has this recipient; there must be one.
  Entry OfBit(uint32_t bit) const;
  // Of the newest message; there must be one.
  uint32_t last_block() const { return last_.block; }
  uint32_t last_arrival_seconds() const { return last_.arrival_seconds; }

  uint32_t domains() const { return static_cast<uint32_t>(domains_.size()); }
  DomainId DomainAt(uint32_t local) const { return domains_[local]; }
  uint32_t LocalOf(DomainId domain) const;  // kNoDomain: no message here has it
  // Calls `take(recipient, local)` for each recipient in order.
  template <typename Take>
  void ForEachRecipient(const Entry& entry, Take take) const {
    size_t at = entry.list_at;
    for (uint32_t recipient = 0; recipient < entry.recipients; ++recipient) {
      take(recipient, entry.list_at == 0 ? entry.domain : ReadNumber(at));
    }
  }
  uint32_t DomainOf(const Entry& entry, uint32_t recipient) const;  // local
  // False: no message of the group has a recipient of this domain. True: perhaps.
  bool MayHave(uint32_t group, uint32_t local) const { return MayHaveAny(group, FilterOf(local)); }
  // The same for any of several domains: the sum of their FilterOf().
  static uint64_t FilterOf(uint32_t local) { return uint64_t{1} << (local % 64); }
  bool MayHaveAny(uint32_t group, uint64_t filter) const {
    return (groups_[group].domains & filter) != 0;
  }
  uint32_t groups() const { return static_cast<uint32_t>(groups_.size()); }
  uint32_t FirstBitOf(uint32_t group) const {
    return group < groups_.size() ? groups_[group].first_bit : bits_;
  }
  size_t memory_bytes() const;
  // Decoded so far: what all questions have cost.
  uint64_t entries_read() const { return entries_read_; }

  // The head of 64 messages, in memory as in a footer.
  struct Group {
    uint64_t domains;  // bit (local % 64) for each domain in it
    uint32_t block;    // of its first message
    uint32_t arrival_seconds;
    uint32_t first_bit;
    uint32_t at;  // in the stream
  };
  static_assert(sizeof(Group) == 24);
  std::span<const Group> group_heads() const { return groups_; }
  std::span<const uint8_t> stream() const { return stream_; }
  // What group_heads() and stream() gave; `domains`: by local number. Nothing: no table has these
  // bytes. Walks all of it.
  static std::optional<MessageTable> Load(uint32_t messages, std::vector<Group> groups,
                                          std::vector<uint8_t> stream,
                                          std::span<const DomainId> domains);

 private:
  uint32_t ReadNumber(size_t& at) const;
  void WriteNumber(uint32_t number);
  uint32_t Intern(DomainId domain);
  bool IsSound() const;
  // Reads the entry at `before.next_at` that follows `before`.
  Entry Read(const Entry& before) const;
  Entry Before(uint32_t group) const;
  // Of this group the first with `field` at `wanted` or behind it; else the first behind the group.
  uint32_t FirstIn(uint32_t group, uint32_t Entry::*field, uint32_t wanted) const;

  uint32_t messages_ = 0;
  uint32_t bits_ = 0;
  std::vector<Group> groups_;
  std::vector<uint8_t> stream_;
  std::vector<DomainId> domains_;                     // by local number
  absl::flat_hash_map<uint32_t, uint32_t> local_of_;  // DomainId -> local number
  Entry last_;                                        // the newest entry, to write the next
  mutable uint64_t entries_read_ = 0;
};

}  // namespace backstay
