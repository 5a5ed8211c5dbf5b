// tests/sim/peer_socket.h -- a connected socket of a simulated peer: text in, text out, cut at
// will.
//
// Independent of io/stream, which the daemon uses on the other side.
// Life:     Start, then OnPeerGone last; only then may it be started again.
// Outlives: its host may be crashed at any time; then it may be destroyed at once.
#pragma once

#include <string>
#include <string_view>

#include "io/io.h"

namespace backstay {

class PeerEvents {
 public:
  virtual void OnPeerBytes(std::string_view bytes) = 0;
  // The other side ended or the connection broke. The owner answers with Finish() or Abort().
  virtual void OnPeerEnd(IoError error) = 0;
  // Nothing is in flight and the socket is closed.
  virtual void OnPeerGone() = 0;

 protected:
  ~PeerEvents() = default;
};

class PeerSocket {
 public:
  PeerSocket(Io& io, PeerEvents& events) : io_(io), events_(events) {}
  PeerSocket(const PeerSocket&) = delete;
  PeerSocket& operator=(const PeerSocket&) = delete;

  void Start(Fd socket);
  void Send(std::string_view text);
  void Finish();  // what was sent goes out, then the socket is closed
  void Abort();   // now
  bool started() const { return socket_.valid(); }
  // When the kernel last took bytes; after a start: then.
  Instant progressed_at() const { return progressed_at_; }
  bool sending() const { return send_.in_flight || !queue_.empty(); }

 private:
  void OnReceived(const IoResult& result);
  void OnSent(const IoResult& result);
  void Continue();

  Io& io_;
  PeerEvents& events_;
  Fd socket_;
  bool finishing_ = false;
  bool aborting_ = false;
  bool ended_ = false;  // OnPeerEnd was told
  Instant progressed_at_;
  std::string sending_;
  size_t sent_ = 0;
  std::string queue_;
  Completion<&PeerSocket::OnReceived> receive_{this};
  Completion<&PeerSocket::OnSent> send_{this};
};

}  // namespace backstay
