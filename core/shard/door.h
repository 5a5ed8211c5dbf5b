// core/shard/door.h -- who comes in: what the listeners accept is let in or told 421, some a turn.
//
// Whoever is refused costs no connection, no timer and no op: the reply and the end leave in one
// call, and the descriptor is gone. Strangers wait for the end of the turn, behind what was said by
// those who are in, and only so many are looked at in each; when too many wait, accepting pauses
// and the kernel's backlog holds the others.
//
// It has the counts and asks for the disk's delay, so it also says when those who are in have to be
// quick (Stress).
//
// Life:     Open() begins to accept; Close() ends it: who waits is refused, then closed().
// Owns:     the listeners, sockets that nobody has looked at (kWaitingMax and what the backlog held
//           when that was reached), the counts of connections.
// Turn:     Step() in each.
// See:      DESIGN 7; reliability rows 97-100, 176.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/queue/admission.h"
#include "core/queue/conduct.h"
#include "core/queue/stress.h"
#include "core/queue/timer_wheel.h"
#include "core/shard/arrival.h"
#include "core/shard/event_log.h"
#include "core/shard/listener.h"
#include "io/io.h"

namespace backstay {

class DoorHome {
 public:
  // How long a message waits for the disk now.
  virtual absl::Duration CommitDelay() const = 0;
  // It begins with a PROXY header.
  virtual bool IsProxy(const SocketAddress& peer) const = 0;
  virtual void OnArrival(const Arrival& arrival) = 0;
  virtual void OnTurnedAway() = 0;
  // It has begun, or it is over.
  virtual void OnStress(const Stress& stress) = 0;

 protected:
  ~DoorHome() = default;
};

class Door : private ListenerEvents {
 public:
  // A stranger costs a hundred microseconds at most; those who are in wait for this many of them.
  static constexpr size_t kPerStep = 32;
  static constexpr size_t kWaitingMax = 1024;
  static_assert(kWaitingMax > kPerStep);

  Door(Io& io, TimerWheel& wheel, EventLog& log, const std::vector<Fd>& listeners,
       const AdmissionLimits& limits, ClientCensus& census, DoorHome& home);
  ~Door();

  void SetLimits(const AdmissionLimits& limits);
  void Open();
  void Close();
  bool closed() const;
  void Step();
  // Step() has something to do.
  bool busy() const { return !waiting_.empty(); }
  // When Step() may have something to say though nothing happens until then.
  Instant NextDue() const { return stress_.NextDue(); }
  bool under_stress() const { return stress_.on(); }

  // One more connection of this client: positive, and Forget is owed, or why not.
  Reply Identify(const SocketAddress& client);
  void Forget(const SocketAddress& client);
  // A connection is over.
  void Leave() { admission_.Leave(); }
  Conduct& conduct() { return conduct_; }

 private:
  struct Stranger {
    Fd socket;
    uint32_t listener = 0;
  };
  void OnAccepted(Fd socket, uint32_t listener) override;
  void Receive(const Stranger& stranger);
  Reply Judge(const SocketAddress& peer, bool proxied);
  void TurnAway(Fd socket, const SocketAddress& peer, const Reply& reply);

  Io& io_;
  EventLog& log_;
  DoorHome& home_;
  Admission admission_;
  Stress stress_;
  Conduct conduct_;
  std::vector<std::unique_ptr<Listener>> listeners_;
  std::vector<Stranger> waiting_;  // in order
  std::string last_words_;         // of the last reply to a stranger; keeps its memory
  bool closing_ = false;
};

}  // namespace backstay
