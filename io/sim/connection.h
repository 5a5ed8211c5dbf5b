// io/sim/connection.h -- one simulated TCP connection: two ends, each sending to the other.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "core/base/units.h"
#include "io/sim/backend.h"

namespace backstay {

struct SimSegment {
  std::string bytes;
  bool end = false;    // no more bytes follow
  bool reset = false;  // the sender knows of no connection
};

struct End {
  uint32_t host = 0;
  SocketAddress local;
  bool open = true;  // a program holds it, or a listener's backlog does

  // Sending: what is on its way to the other end, in order.
  std::deque<SimSegment> in_flight;
  uint64_t in_flight_bytes = 0;
  Instant last_arrival;  // segments never overtake each other
  bool end_sent = false;
  bool parked = false;  // the other end cannot be reached; nothing arrives until it can
  uint64_t parked_serial = 0;

  // Receiving.
  std::string received;  // arrived and not yet taken
  bool end_received = false;
  bool receive_shut = false;  // Shutdown() was called here: more bytes are answered by a reset

  bool broken = false;             // reset or timed out
  IoError error = IoError::kNone;  // of the break; told to one op only, as the kernel does

  std::optional<OpToken> receive;
  std::vector<OpToken> sends;
};

struct Connection {
  uint64_t id = 0;
  std::array<End, 2> ends;  // 0 connected, 1 was accepted
};

struct SimListener {
  uint64_t id = 0;
  uint32_t host = 0;
  SocketAddress address;
  size_t backlog_max = 0;
  std::deque<uint64_t> backlog;  // connections that nobody has accepted yet
  std::optional<OpToken> accept;
};

}  // namespace backstay
