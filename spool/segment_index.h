// spool/segment_index.h -- one segment's messages: places, ages, and which recipients are still
// owed.
//
// 16 bytes a message, one bit a recipient, and per domain a list of message numbers with one bit
// each. Messages are numbered in the order of their places. A message never comes back to life.
//
// Turn:  NextLive skips dead messages 64 at a time and never looks again before the first live one.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "core/base/units.h"
#include "spool/format.h"
#include "spool/spool.h"

namespace backstay {

class SegmentIndex {
 public:
  // Places must ascend. Returns the number of the message. `recipients`: the domain of each.
  uint32_t Add(uint32_t block, uint32_t arrival_seconds, std::span<const DomainId> recipients,
               std::span<const PartEntry> parts);

  std::optional<uint32_t> Find(uint32_t block) const;
  uint32_t FirstBehind(uint32_t block) const;  // number of the first message behind this place
  uint32_t messages() const { return static_cast<uint32_t>(messages_.size()); }
  uint32_t Block(uint32_t message) const { return messages_[message].block; }
  uint32_t ArrivalSeconds(uint32_t message) const { return messages_[message].arrival_seconds; }
  uint32_t Recipients(uint32_t message) const;
  DomainId Domain(uint32_t message, uint32_t recipient) const;
  std::span<const PartEntry> Parts(uint32_t message) const;

  bool IsLive(uint32_t message, uint32_t recipient) const;
  bool IsPending(uint32_t message, uint32_t recipient) const;
  // A recipient is live or pending.
  bool IsOwed(uint32_t message) const;
  // Live becomes settled, or pending when a DSN is owed. Returns true if the message has no live
  // recipient left in that recipient's domain.
  bool Settle(uint32_t message, uint32_t recipient, bool dsn_owed);
  void SettlePending(uint32_t message, uint32_t recipient);

  // The first message numbered `from` or higher with a live recipient of `domain`.
  std::optional<uint32_t> NextLive(DomainId domain, uint32_t from) const;
  uint32_t LiveMessages(DomainId domain) const;
  uint64_t live_recipients() const { return live_recipients_; }
  uint64_t pending_recipients() const { return pending_recipients_; }
  bool dead() const { return live_recipients_ == 0 && pending_recipients_ == 0; }

 private:
  struct Message {
    uint32_t block;
    uint32_t first_bit;
    uint32_t arrival_seconds;
    uint32_t domain;  // kMixed set: place in mixed_ of one domain per recipient
  };
  static constexpr uint32_t kMixed = 1u << 31;

  class Bits {
   public:
    void Grow(uint32_t bits) { words_.resize((bits + 63) / 64); }
    bool Get(uint32_t bit) const {
      return bit / 64 < words_.size() && (words_[bit / 64] >> (bit % 64) & 1) != 0;
    }
    void Set(uint32_t bit) { words_[bit / 64] |= uint64_t{1} << (bit % 64); }
    void Clear(uint32_t bit) { words_[bit / 64] &= ~(uint64_t{1} << (bit % 64)); }
    // The first one in [bit, end); `end` if there is none.
    uint32_t FirstIn(uint32_t bit, uint32_t end) const;

   private:
    std::vector<uint64_t> words_;
  };

  struct DomainList {
    std::vector<uint32_t> messages;  // ascending
    Bits live;                       // per element of `messages`
    uint32_t live_count = 0;
    uint32_t first = 0;  // no live element before it
  };

  DomainList& ListOf(DomainId domain);
  void AddToLists(uint32_t message, std::span<const DomainId> recipients);
  bool HasLive(uint32_t message, DomainId domain) const;

  std::vector<Message> messages_;
  uint32_t bits_ = 0;
  Bits live_;
  Bits pending_;
  std::vector<DomainId> mixed_;
  absl::flat_hash_map<uint32_t, uint32_t> list_of_;  // domain -> place in lists_
  std::vector<DomainList> lists_;
  absl::flat_hash_map<uint32_t, std::vector<PartEntry>> parts_;  // by message
  uint64_t live_recipients_ = 0;
  uint64_t pending_recipients_ = 0;
};

}  // namespace backstay
