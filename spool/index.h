// spool/index.h -- the shard's queue: domains, live messages in order of age, settling.
//
// Owns:  names of domains. What is known of messages lies in the segments; a few of them, where
//        thousands of domains are looked for, have lists of them (DomainBits).
// Turn:  nothing waits.
#pragma once

#include <array>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "spool/account_book.h"
#include "spool/moved_message.h"
#include "spool/segment_set.h"

namespace backstay {

class Index {
 public:
  static constexpr size_t kListedMax = 4;  // segments

  explicit Index(SegmentSet& segments) : segments_(segments) {}
  Index(const Index&) = delete;
  Index& operator=(const Index&) = delete;

  DomainId Intern(std::string_view domain);
  std::vector<DomainId> Intern(const std::vector<std::string>& domains);
  std::string_view Name(DomainId domain) const;

  // A durable message. Its parts are pinned already; the index gives the pins back when the last
  // recipient is settled.
  void Add(Segment& segment, uint32_t block, uint32_t arrival_seconds,
           std::span<const DomainId> recipients, std::span<const PartEntry> parts, uint64_t bytes);
  // Nothing: it has failed, and a DSN is owed.
  void Settle(MessageRef message, uint32_t recipient, std::optional<Ending> ending,
              uint64_t outcomes_queued);
  // Recovery knows all of it: from now on it is part of the queue.
  void Publish(Segment& segment);

  std::optional<MessageRef> NextLive(DomainId domain, std::optional<MessageRef> after) const;
  uint64_t LiveRecipients(DomainId domain) const { return Load(domain).recipients; }
  const DomainLoad& Load(DomainId domain) const;
  uint64_t PendingRecipients(DomainId domain) const { return At(domain).pending; }
  // Of messages before `cut`. Counted by segments, and walked in the one that the cut divides.
  uint64_t LiveRecipientsBefore(DomainId domain, MessageRef cut) const;
  // Of messages that arrived before `end`.
  uint64_t LiveRecipientsUntil(DomainId domain, SpoolTime end) const;
  bool IsLive(MessageRef message, uint32_t recipient) const;
  bool IsPending(MessageRef message, uint32_t recipient) const;
  bool IsOwed(MessageRef message) const;  // a recipient is live or pending
  SpoolTime Arrival(MessageRef message) const;
  uint32_t Recipients(MessageRef message) const;  // 0 for a message that is not there
  DomainId DomainOf(MessageRef message, uint32_t recipient) const;
  // Calls `take(domain)` for each live recipient; a domain may come more than once.
  void ForEachLive(MessageRef message, absl::FunctionRef<void(DomainId)> take) const;
  // The live domains of a message, each once, in the order in which they were interned.
  std::span<const DomainId> LiveDomains(const Segment& segment, uint32_t message);

  // It was written again elsewhere, durably; its new parts are pinned already.
  void Move(const MovedMessage& moved, uint64_t outcomes_queued);
  // The same, found by recovery: nothing of it is pinned.
  void Repoint(const MovedMessage& moved);
  // Its record at home is not there any more. Nothing happens when all recipients are settled.
  void AddMoved(Segment& home, const MovedMessage& moved,
                const std::vector<RecipientState>& states);
  // Where the record lies now.
  MessageRef PlaceOf(MessageRef message) const;
  // What was moved and is still owed; nothing for any other message.
  std::optional<MovedMessage> Moved(MessageRef message) const;
  std::span<const PartEntry> Parts(MessageRef message) const;
  std::vector<RecipientState> StatesOf(MessageRef message) const;
  // The file of the segment is gone: what it has moved is all that is kept of it.
  void KeepMoved(Segment& segment);

  void Pin(const PartEntry& part);
  void Unpin(const PartEntry& part, uint64_t outcomes_queued);

  AccountBook& accounts() { return accounts_; }
  const AccountBook& accounts() const { return accounts_; }

  uint32_t domains() const { return static_cast<uint32_t>(domains_.size()); }
  uint64_t messages_owed() const { return messages_owed_; }
  uint64_t recipients_live() const { return recipients_live_; }
  uint64_t recipients_pending() const { return recipients_pending_; }
  uint64_t recipients_quarantined() const { return recipients_quarantined_; }
  // Of messages, in all segments that are there: what all questions have cost.
  uint64_t entries_read() const;

 private:
  struct Domain {
    std::string name;
    DomainLoad load;
    uint64_t pending = 0;            // recipients
    std::vector<uint32_t> segments;  // ascending: those with live messages of the domain
  };
  struct NameHash {
    using is_transparent = void;
    size_t operator()(std::string_view name) const;
  };
  struct Place {
    Segment* segment = nullptr;
    uint32_t message = 0;
  };

  std::optional<Place> Find(MessageRef message) const;
  Segment* Pinned(const PartEntry& part);
  // Behind each question for one domain in this segment.
  void ListIfItPays(const Segment& segment) const;
  // What the segment's load of the domain was before it changed.
  void UpdateDomain(const Segment& segment, DomainId domain, const DomainLoad& before);
  Domain& At(DomainId domain) { return domains_[static_cast<uint32_t>(domain)]; }
  const Domain& At(DomainId domain) const { return domains_[static_cast<uint32_t>(domain)]; }

  SegmentSet& segments_;
  AccountBook accounts_;
  std::vector<Domain> domains_;
  absl::flat_hash_map<std::string, DomainId, NameHash, std::equal_to<>> ids_;
  std::vector<DomainId> scratch_;
  std::vector<DomainLoad> before_;
  mutable std::array<uint32_t, kListedMax> listed_{};  // segments; 0: none
  mutable size_t next_listed_ = 0;                     // the one that was listed first
  uint64_t messages_owed_ = 0;
  uint64_t recipients_live_ = 0;
  uint64_t recipients_pending_ = 0;
  uint64_t recipients_quarantined_ = 0;
};

}  // namespace backstay
