// core/shard/listener.h -- a listening socket: accepted sockets go to the shard.
//
// Owns:     the listening socket, after Start.
// Turn:     OnAccepted comes from Io::Turn.
// Errors:   out of descriptors: accepting pauses for a moment and goes on by itself (row 176).
#pragma once

#include "core/queue/timer_wheel.h"
#include "io/io.h"

namespace backstay {

class ListenerEvents {
 public:
  virtual void OnAccepted(Fd socket) = 0;

 protected:
  ~ListenerEvents() = default;
};

class Listener {
 public:
  Listener(Io& io, TimerWheel& wheel, ListenerEvents& events);

  void Start(Fd socket);
  // No more connections; closed() turns true in a later turn.
  void Stop();
  bool closed() const { return !socket_.valid(); }

 private:
  class Pause : public Timer {
   public:
    explicit Pause(Listener* owner) : owner_(owner) {}
    void OnTimer() override { owner_->Arm(); }

   private:
    Listener* const owner_;
  };
  void Arm();
  void OnAccept(const IoResult& result);

  Io& io_;
  TimerWheel& wheel_;
  ListenerEvents& events_;
  Fd socket_;
  bool stopping_ = false;
  Pause pause_{this};
  Completion<&Listener::OnAccept> accept_{this};
};

}  // namespace backstay
