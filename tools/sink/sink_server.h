// tools/sink/sink_server.h -- the listener, its connections, outages; joins them with the script.
//
// Life:     Start(), Turn() until finished(), which follows Stop().
// Owns:     everything that is open.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "core/base/list.h"
#include "core/queue/timer_wheel.h"
#include "io/io.h"
#include "io/stream.h"
#include "io/tls/context.h"
#include "io/tls/session.h"
#include "io/tls/ticket_keys.h"
#include "tools/sink/script.h"
#include "tools/sink/sink_session.h"
#include "tools/sink/tally.h"

namespace backstay {

struct SinkPlan {
  std::vector<SocketAddress> listen;
  SinkManners manners;
  SinkScript script;
  uint64_t seed = 1;
  size_t connections_max = 0;  // beyond it 421; 0: no limit
  std::string ledger;
  std::optional<TlsFiles> certificate;
};

class SinkServer {
 public:
  SinkServer(Io& io, SinkPlan plan);
  SinkServer(const SinkServer&) = delete;
  SinkServer& operator=(const SinkServer&) = delete;
  ~SinkServer();

  absl::Status Start();
  void Turn();
  void Stop();  // cuts what is open
  bool finished() const;
  // `extra` as Tally::Json has it.
  std::string Json(const std::string& extra = "") const { return tally_.Json(io_.Now(), extra); }
  void FlushLedger() { tally_.FlushLedger(); }
  const Tally& tally() const { return tally_; }
  // Of the first listener; its port may have been chosen.
  SocketAddress address() const { return address_; }

 private:
  class Connection;
  class Door;
  absl::Status OpenDoors();
  void CloseDoors();
  void OnAccepted(Fd socket);
  void OnClosed(Connection& connection);
  absl::Duration elapsed() const { return io_.Now() - begin_; }

  Io& io_;
  SinkPlan plan_;
  TimerWheel wheel_;
  Random random_;
  Tally tally_;
  Instant begin_;
  SocketAddress address_;
  std::unique_ptr<const TlsContext> tls_;
  std::optional<TicketKeys> ticket_keys_;
  bool stopping_ = false;
  Outbox outbox_;
  List<PendingHandshake> handshakes_;
  size_t open_ = 0;
  std::vector<std::unique_ptr<Door>> doors_;
  std::vector<std::unique_ptr<Door>> old_doors_;  // closing
  List<Connection> connections_;
  std::vector<std::unique_ptr<Connection>> gone_;  // destroyed at the next turn
};

}  // namespace backstay
