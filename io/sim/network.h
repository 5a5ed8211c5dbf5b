// io/sim/network.h -- byte streams between hosts: latency, cuts, bounded buffers, resets.
//
// What TCP promises is kept: bytes of one direction arrive in order and once. All else is drawn.
//
// Owns:   connections and listeners. Ops are named by token; a token whose op is gone is skipped.
// Errors: IoResult of the op. An error of a broken connection is told once; after it a receive sees
//         the end and a send kReset, as Linux has it.
#pragma once

#include <cstdint>
#include <map>

#include "absl/status/statusor.h"
#include "io/sim/connection.h"
#include "io/sim/world.h"

namespace backstay {

class SimNetwork {
 public:
  explicit SimNetwork(World& world) : world_(world) {}
  SimNetwork(const SimNetwork&) = delete;
  SimNetwork& operator=(const SimNetwork&) = delete;

  absl::StatusOr<uint64_t> Listen(Host& host, const SocketAddress& address, int backlog);
  // What its backlog holds is reset; `host_died`: or vanishes without a word, as the plan says.
  void CloseListener(uint64_t listener, bool host_died);
  SocketAddress ListenerAddress(uint64_t listener) const;
  // Whether somebody listens where a listener on `address` would take connections too.
  bool HasListener(const Host& host, const SocketAddress& address) const;

  void Accept(const OpToken& token, uint64_t listener);
  void Connect(const OpToken& token);
  void Receive(const OpToken& token, uint64_t connection, int end);
  void Send(const OpToken& token, uint64_t connection, int end);
  void Shutdown(uint64_t connection, int end);
  void ShutdownSend(uint64_t connection, int end);
  // Sends what has room and the end, and drops what has come; the end stays open.
  void Dismiss(uint64_t connection, int end, Bytes text);
  void Close(uint64_t connection, int end);
  // The end vanishes with its program: a reset, or with its host silence until somebody sends to
  // it.
  void Abandon(uint64_t connection, int end, bool host_died);
  SocketAddress LocalAddress(uint64_t connection, int end) const;
  // As getpeername: none once the connection was reset.
  SocketAddress PeerAddress(uint64_t connection, int end) const;

  // Hosts reach each other again: what waited for that goes on.
  void Unpark();

 private:
  using Step = void (SimNetwork::*)(Connection&, int);
  PendingOp* Live(const OpToken& token, Io::Backend** backend);
  void Fail(const OpToken& token, IoError error);
  absl::Duration Latency();
  void Soon(const Connection& connection, int end, absl::Duration delay, Step step);
  void DropIfDead(uint64_t connection);

  // -- network_connect.cc --
  void Synchronize(const OpToken& token, int attempt);
  void RetryConnect(const OpToken& token, int attempt);
  void FailConnectAtRandom(const OpToken& token);
  SimListener* ChooseListener(const Host& target, const SocketAddress& to, bool* any);
  void Establish(const OpToken& token, Host& target, SimListener& listener);
  void FinishConnect(const OpToken& token, uint64_t connection);
  void PumpAccept(uint64_t listener);

  // -- network.cc --
  void Transmit(Connection& connection, int end, Bytes bytes);
  void Enqueue(Connection& connection, int end, SimSegment segment);
  void Arrive(Connection& connection, int from);
  void Park(Connection& connection, int from);
  void Take(Connection& connection, int to, const SimSegment& segment);
  void PumpSend(Connection& connection, int end);
  void PumpReceive(Connection& connection, int end);
  void DeliverBytes(Connection& connection, int end, const OpToken& token, Io::Backend& backend);
  void Break(Connection& connection, int end, IoError error);
  void MarkBroken(Connection& connection, int end, IoError error);
  void LoseUnsent(End& end);
  IoError TakeError(End& end);

  World& world_;
  std::map<uint64_t, Connection> connections_;
  std::map<uint64_t, SimListener> listeners_;
  uint64_t next_id_ = 1;
};

}  // namespace backstay
