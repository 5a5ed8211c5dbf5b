// core/shard/listener.h -- a listening socket: accepted sockets go to the shard.
//
// Life:     Start() begins to accept; until then whoever connects waits in the kernel's backlog.
// Owns:     the listening socket.
// Turn:     OnAccepted comes from Io::Turn.
// Errors:   out of descriptors: accepting pauses for a moment and goes on by itself (row 176). It
//           is said once a minute.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "core/queue/timer_wheel.h"
#include "io/io.h"

namespace backstay {

// The sockets of one shard, in the order of `addresses`. The first shard claims each address: no
// other program may listen there, not even another backstayd, which SO_REUSEPORT alone would let
// take half of the connections. The shards behind it join. Waits a few seconds for an address that
// is taken, with nothing else in flight on `io`.
absl::StatusOr<std::vector<Fd>> OpenListeners(Io& io, const std::vector<SocketAddress>& addresses,
                                              size_t shard);

class ListenerEvents {
 public:
  // `listener` is the number that the listener was made with.
  virtual void OnAccepted(Fd socket, uint32_t listener) = 0;

 protected:
  ~ListenerEvents() = default;
};

class Listener {
 public:
  // `number`: its place in smtp.listen, the same in every shard.
  Listener(Io& io, TimerWheel& wheel, ListenerEvents& events, Fd socket, uint32_t number);

  void Start();
  // Accepts nothing for a while; some may still come. The backlog fills meanwhile.
  void Hold();
  void GoOn();
  // No more connections; closed() turns true now or in a later turn.
  void Stop();
  bool closed() const { return !socket_.valid(); }

 private:
  void Arm();
  void OnAccept(const IoResult& result);

  Io& io_;
  TimerWheel& wheel_;
  ListenerEvents& events_;
  Fd socket_;
  const uint32_t number_;
  bool held_ = false;
  bool stopping_ = false;
  std::optional<Instant> said_;  // that it fails
  Alarm<&Listener::Arm> pause_{this};
  Completion<&Listener::OnAccept> accept_{this};
};

}  // namespace backstay
