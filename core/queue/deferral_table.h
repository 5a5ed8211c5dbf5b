// core/queue/deferral_table.h -- recipients with a 4xx of their own, and when each is due again.
// Bounded.
//
// Owns:   the entries. Where there is no room it takes no more (Insert is false); the caller has
//         another way (limbo).
// Units:  SpoolTime.
// See:    DESIGN 5 "Draining", 6 "Retry accounting".
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "absl/container/btree_map.h"
#include "absl/container/btree_set.h"
#include "absl/functional/function_ref.h"
#include "core/base/bytes.h"
#include "core/base/units.h"
#include "core/queue/deferral_room.h"

namespace backstay {

struct Deferral {
  SpoolTime next_try;
  SpoolTime last_try;   // a reset after it makes the entry void
  SpoolTime first_own;  // of its first own 4xx
  // Of its first refusal, if the last word was one: not final yet (Breaker, bounce_after). Else 0.
  SpoolTime refused_since;
  uint32_t attempts = 0;
  uint16_t code = 0;   // of the last reply
  std::string text;    // of the last reply, enhanced code included; cleaned
  std::string remote;  // the primary that gave it: a host name, or "[192.0.2.10]"; empty: unknown
  // It was taken by that primary, which sends no reports: what is owed is that its sender is told.
  bool is_relayed = false;
};

// The note that the spool keeps for a deferral or for a report that is owed (opaque to it).
std::string EncodeDeferralNote(const Deferral& deferral);
std::optional<Deferral> DecodeDeferralNote(Bytes note);

class DeferralTable {
 public:
  struct Key {
    uint32_t segment = 0;
    uint32_t block = 0;
    uint32_t recipient = 0;
    friend auto operator<=>(const Key&, const Key&) = default;
  };

  explicit DeferralTable(DeferralRoom& room) : room_(room) {}
  DeferralTable(const DeferralTable&) = delete;
  DeferralTable& operator=(const DeferralTable&) = delete;
  ~DeferralTable() { room_.GiveBack(entries_.size()); }

  // Adds or replaces. False: no room, nothing changed.
  bool Insert(const Key& key, Deferral deferral);
  const Deferral* Find(const Key& key) const;
  void Erase(const Key& key);
  void EraseIf(absl::FunctionRef<bool(const Key&)> is_over);
  // The due one that was due first, once: it stays in the table, but is not due any more until it
  // is inserted again.
  std::optional<Key> PopDue(SpoolTime now);
  SpoolTime NextDue() const;  // Max(): nothing waits
  size_t size() const { return entries_.size(); }
  bool is_full() const { return room_.is_full(); }

 private:
  DeferralRoom& room_;
  absl::btree_map<Key, Deferral> entries_;
  absl::btree_set<std::pair<int64_t, Key>> waiting_;  // by time; keys of entries_ not yet popped
};

}  // namespace backstay
