// core/shard/stranger_table.h -- the domains that reports go to: where each is, whether it can be
// reached, and which messages wait for it. Bounded; pure.
//
// A domain is in the table while something is done for it, and for as long after that as the room
// is not wanted by another one: whoever has been idle longest goes first. So thousands of different
// domains an hour leave nothing behind, and what was learned of one spares the next message for it
// a search, or a connection to a host that does not answer.
//
// Life:   Enter() on the first message; its state follows the search and the visits; Settle() when
//         something of it has ended.
// Owns:   the entries, and positions of messages: kWaitingMax in all, kWaitingOfOneMax for one.
// Units:  Instant, SpoolTime. A full table has a reply: full(), or false from Add().
// See:    core/shard/report_lane.h
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "core/base/list.h"
#include "core/base/units.h"
#include "core/dns/primary_host.h"
#include "spool/spool.h"

namespace backstay {

struct Stranger : public ListNode {  // in the list of those that are idle
  enum class State : uint8_t {
    kUnknown,  // is to be searched for
    kSearching,
    kFound,  // hosts: not empty, in the order of trying
    kAway,   // could not be found or reached: what comes meanwhile is deferred unseen
    kNobody  // takes no mail, for good: what comes is discarded
  };
  uint64_t number = 0;  // of this entry, never of another one
  std::string name;
  State state = State::kUnknown;
  Instant until;        // kFound, kAway, kNobody; then it is as good as unknown
  SpoolTime failed_at;  // kAway: since then
  std::string reason;   // kAway, kNobody
  std::vector<PrimaryHost> hosts;
  size_t host = 0;       // the next connection goes there
  size_t refused = 0;    // hosts in a row that did not get through EHLO
  size_t broken = 0;     // connections in a row without a word to a message
  bool visited = false;  // there is a connection to it
  bool in_line = false;  // for one
  std::deque<MessageRef> waiting;

  bool idle() const { return !visited && waiting.empty() && state != State::kSearching; }
};

class StrangerTable {
 public:
  static constexpr size_t kStrangersMax = 4'096;
  static constexpr size_t kWaitingMax = 16'384;
  // One domain with many reports does not take the room of the others.
  static constexpr size_t kWaitingOfOneMax = 256;
  static_assert(kWaitingOfOneMax * 8 <= kWaitingMax);

  // Nothing more is to be taken on; it ends by itself, as nothing stays for ever. What was taken
  // on before may be entered, added and returned all the same.
  bool full() const;
  // The one of that name, or a new one.
  Stranger& Enter(std::string_view name, Instant now);
  // Null: it was forgotten.
  Stranger* Find(uint64_t number) const;
  // False: too many wait for it already.
  bool Add(Stranger& stranger, MessageRef message);
  // Goes back to where Take() took it from.
  void Return(Stranger& stranger, MessageRef message);
  std::optional<MessageRef> Take(Stranger& stranger);
  // It may be idle now.
  void Settle(Stranger& stranger);
  // What is known of those that are idle, so that it is looked for anew.
  void ForgetIdle();

  size_t size() const { return by_name_.size(); }
  size_t waiting() const { return waiting_; }

 private:
  void Forget(Stranger& stranger);

  uint64_t last_number_ = 0;
  size_t waiting_ = 0;
  size_t idle_count_ = 0;
  absl::flat_hash_map<std::string, std::unique_ptr<Stranger>> by_name_;
  absl::flat_hash_map<uint64_t, Stranger*> by_number_;
  List<Stranger> idle_;  // the longest first
};

}  // namespace backstay
