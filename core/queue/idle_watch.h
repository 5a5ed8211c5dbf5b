// core/queue/idle_watch.h -- clients that have been silent for too long: no timer for each of them.
//
// Whoever is watched stands in the line of its patience, in the order of its last progress, so the
// one whose time is over first is in front. Pure: `now` is an argument and never goes back.
//
// Owns:     nothing; who dies leaves.
// Turn:     Advance() calls OnSilence of those whose time is over, so many of each line; the others
//           in the next turn, for which NextDue() does not wait.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/time/time.h"
#include "core/base/list.h"
#include "core/base/units.h"

namespace backstay {

// What a client is waited for.
enum class Patience : uint8_t {
  kIdle,        // its next command, or content at a pace
  kGoodbye,     // to hang up
  kHandshake,   // the end of its TLS handshake
  kCommit,      // nothing: it waits for our disk
  kProxyHeader  // a proxy, to say whom it speaks for; the last
};
inline constexpr size_t kPatiences = static_cast<size_t>(Patience::kProxyHeader) + 1;

// Linked: it is watched, or its owner has it in a list of its own behind IdleWatch::Leave.
class Watched : public ListNode {
 public:
  // Its time is over. It stands in its line again, as if it had just made progress.
  virtual void OnSilence() = 0;
  Patience patience() const { return patience_; }

 protected:
  Watched() = default;
  ~Watched() = default;

 private:
  friend class IdleWatch;
  Instant progress_;
  Patience patience_ = Patience::kIdle;
};

class IdleWatch {
 public:
  using Limits = std::array<absl::Duration, kPatiences>;
  // Lower limits end the time of all who wait longer at once, and each costs a reply and a send.
  static constexpr size_t kPerAdvance = 256;

  explicit IdleWatch(const Limits& limits) : limits_(limits) {}
  IdleWatch(const IdleWatch&) = delete;
  IdleWatch& operator=(const IdleWatch&) = delete;

  // Also for those who wait already. No walk: the first of each line is the one that is due first,
  // whatever the limit.
  void SetLimits(const Limits& limits) { limits_ = limits; }
  // From now on it has the time of this line.
  void Watch(Watched& watched, Patience patience, Instant now);
  // Its time begins again.
  void Progress(Watched& watched, Instant now) { Watch(watched, watched.patience_, now); }
  void Leave(Watched& watched) { watched.Unlink(); }
  void Advance(Instant now);
  Instant NextDue() const;  // Max(): nobody is watched

  bool empty() const;
  // Line by line.
  std::vector<Watched*> All();

 private:
  Instant DueOf(size_t line) const;

  Limits limits_;
  mutable std::array<List<Watched>, kPatiences> lines_;  // List::front is not const
};

}  // namespace backstay
