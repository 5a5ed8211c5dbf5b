// io/sim/network.cc -- bytes on the way: sending, arriving, receiving, breaking.
#include "io/sim/network.h"

#include <algorithm>
#include <utility>

#include "core/base/check.h"
#include "core/base/crc32c.h"
#include "core/base/mark.h"

namespace backstay {

absl::Duration SimNetwork::Latency() {
  return world_.DrawDuration(world_.plan().latency_min, world_.plan().latency_max);
}

PendingOp* SimNetwork::Live(const OpToken& token, Io::Backend** backend) {
  *backend = world_.FindBackend(token.backend);
  return *backend == nullptr ? nullptr : (*backend)->Find(token);
}

void SimNetwork::Fail(const OpToken& token, IoError error) {
  Io::Backend* backend = nullptr;
  if (Live(token, &backend) != nullptr) {
    backend->Complete(token, IoResult::Failure(error));
  }
}

void SimNetwork::Soon(const Connection& connection, int end, absl::Duration delay, Step step) {
  world_.scheduler().After(delay, [this, id = connection.id, end, step] {
    const auto found = connections_.find(id);
    if (found != connections_.end()) {
      (this->*step)(found->second, end);
      DropIfDead(id);
    }
  });
}

void SimNetwork::DropIfDead(uint64_t connection) {
  const auto found = connections_.find(connection);
  if (found == connections_.end()) {
    return;
  }
  for (const End& end : found->second.ends) {
    if (end.open || !end.in_flight.empty()) {
      return;
    }
  }
  connections_.erase(found);
}

SocketAddress SimNetwork::LocalAddress(uint64_t connection, int end) const {
  return connections_.at(connection).ends[static_cast<size_t>(end)].local;
}

SocketAddress SimNetwork::PeerAddress(uint64_t connection, int end) const {
  const Connection& at = connections_.at(connection);
  return at.ends[static_cast<size_t>(end)].broken ? SocketAddress()
                                                  : at.ends[static_cast<size_t>(1 - end)].local;
}

// ---- sending ----

void SimNetwork::Send(const OpToken& token, uint64_t connection, int end) {
  Connection& at = connections_.at(connection);
  at.ends[static_cast<size_t>(end)].sends.push_back(token);
  Soon(at, end, absl::Nanoseconds(static_cast<int64_t>(world_.random().Below(10'000))),
       &SimNetwork::PumpSend);
}

// Bytes are taken from the caller when its send completes and no earlier; of several sends in
// flight on one socket any may go first.
void SimNetwork::PumpSend(Connection& connection, int index) {
  End& end = connection.ends[static_cast<size_t>(index)];
  const End& peer = connection.ends[static_cast<size_t>(1 - index)];
  while (!end.sends.empty()) {
    const size_t pick = static_cast<size_t>(world_.random().Below(end.sends.size()));
    const OpToken token = end.sends[pick];
    Io::Backend* backend = nullptr;
    const PendingOp* op = Live(token, &backend);
    if (op != nullptr) {
      if (end.broken || end.end_sent) {
        const IoError error = TakeError(end);
        backend->Complete(token,
                          IoResult::Failure(error == IoError::kNone ? IoError::kReset : error));
      } else {
        const uint64_t used = end.in_flight_bytes + peer.received.size();
        const uint64_t limit = world_.plan().socket_buffer_bytes;
        if (used >= limit && !op->from.empty()) {
          return;  // goes on when the peer takes bytes
        }
        size_t count = static_cast<size_t>(std::min<uint64_t>(op->from.size(), limit - used));
        if (count > 1 && world_.Draw(world_.plan().short_send)) {
          count = static_cast<size_t>(world_.random().Between(1, count));
        }
        world_.Trace(TraceKind::kContent, token.backend, Crc32c(0, op->from.first(count)));
        Transmit(connection, index, op->from.first(count));
        backend->Complete(token, IoResult::Count(count));
      }
    }
    end.sends.erase(end.sends.begin() + static_cast<std::ptrdiff_t>(pick));
  }
}

void SimNetwork::Transmit(Connection& connection, int end, Bytes bytes) {
  const FaultPlan& plan = world_.plan();
  while (!bytes.empty()) {
    size_t count = static_cast<size_t>(std::min<uint64_t>(bytes.size(), plan.segment_bytes_max));
    if (count > 1 && world_.Draw(plan.split)) {
      count = static_cast<size_t>(world_.random().Between(1, count - 1));
    }
    SimSegment segment;
    segment.bytes = std::string(AsText(bytes.first(count)));
    Enqueue(connection, end, std::move(segment));
    bytes = bytes.subspan(count);
  }
}

void SimNetwork::Enqueue(Connection& connection, int index, SimSegment segment) {
  End& end = connection.ends[static_cast<size_t>(index)];
  absl::Duration latency = Latency();
  if (world_.Draw(world_.plan().stall)) {
    latency += world_.DrawDuration(absl::ZeroDuration(), world_.plan().stall_max);
  }
  end.last_arrival = std::max(end.last_arrival, world_.Now() + latency);
  end.in_flight_bytes += segment.bytes.size();
  end.in_flight.push_back(std::move(segment));
  Soon(connection, index, end.last_arrival - world_.Now(), &SimNetwork::Arrive);
}

// ---- arriving ----

// Each segment has one Arrive event; which segment it carries is decided here, so order is kept.
void SimNetwork::Arrive(Connection& connection, int from) {
  End& sender = connection.ends[static_cast<size_t>(from)];
  const End& receiver = connection.ends[static_cast<size_t>(1 - from)];
  if (sender.in_flight.empty() || sender.parked) {
    return;
  }
  if (!world_.Reachable(world_.host(sender.host), world_.host(receiver.host))) {
    Park(connection, from);
    return;
  }
  SimSegment segment = std::move(sender.in_flight.front());
  sender.in_flight.pop_front();
  sender.in_flight_bytes -= segment.bytes.size();
  if (!segment.bytes.empty() && world_.Draw(world_.plan().reset)) {
    Break(connection, 0, IoError::kReset);  // by something in the middle
    Break(connection, 1, IoError::kReset);
    return;
  }
  Take(connection, 1 - from, segment);
}

// TCP repeats for a quarter of an hour or so; here segments wait until the hosts reach each other.
void SimNetwork::Park(Connection& connection, int from) {
  End& sender = connection.ends[static_cast<size_t>(from)];
  sender.parked = true;
  sender.parked_serial = world_.NextSerial();
  const absl::Duration give_up = world_.DrawDuration(absl::Seconds(100), absl::Seconds(1000));
  world_.scheduler().After(give_up,
                           [this, id = connection.id, from, serial = sender.parked_serial] {
                             const auto found = connections_.find(id);
                             if (found == connections_.end()) {
                               return;
                             }
                             End& end = found->second.ends[static_cast<size_t>(from)];
                             if (end.parked && end.parked_serial == serial) {
                               Break(found->second, from, IoError::kTimedOut);
                               DropIfDead(id);
                             }
                           });
}

void SimNetwork::Unpark() {
  for (auto& [id, connection] : connections_) {
    for (int index = 0; index < 2; ++index) {
      End& end = connection.ends[static_cast<size_t>(index)];
      if (end.parked) {
        end.parked = false;
        for (size_t segment = 0; segment < end.in_flight.size(); ++segment) {
          Soon(connection, index, Latency(), &SimNetwork::Arrive);
        }
      }
    }
  }
}

void SimNetwork::Take(Connection& connection, int to, const SimSegment& segment) {
  End& end = connection.ends[static_cast<size_t>(to)];
  world_.Trace(TraceKind::kSegment, end.host, connection.id, segment.bytes.size());
  if (segment.reset) {
    if (!end.broken) {
      Break(connection, to, IoError::kReset);
    }
    return;
  }
  if (!end.open || end.receive_shut || end.broken) {
    // RFC 9293 s3.10.7.1 and RFC 1122 s4.2.2.13: bytes for nobody are answered by a reset.
    if (!segment.bytes.empty()) {
      MARK("sim: bytes for a closed socket");
      // What this end has sent is on the wire and arrives before the reset; the rest is lost.
      if (world_.Draw(world_.plan().reset_drops_unread)) {
        LoseUnsent(end);
      }
      MarkBroken(connection, to, IoError::kReset);
      SimSegment reset;
      reset.reset = true;
      Enqueue(connection, to, std::move(reset));
    } else if (segment.end) {
      end.end_received = true;
    }
    return;
  }
  end.received += segment.bytes;
  end.end_received = end.end_received || segment.end;
  // A short wait lets the next segment join this one.
  Soon(connection, to, absl::Nanoseconds(static_cast<int64_t>(world_.random().Below(50'000))),
       &SimNetwork::PumpReceive);
}

// ---- receiving ----

void SimNetwork::Receive(const OpToken& token, uint64_t connection, int end) {
  Connection& at = connections_.at(connection);
  std::optional<OpToken>& receive = at.ends[static_cast<size_t>(end)].receive;
  Io::Backend* backend = nullptr;
  ASSERT(!receive.has_value() || Live(*receive, &backend) == nullptr);  // one at a time
  receive = token;
  Soon(at, end, absl::Nanoseconds(static_cast<int64_t>(world_.random().Below(10'000))),
       &SimNetwork::PumpReceive);
}

void SimNetwork::PumpReceive(Connection& connection, int index) {
  End& end = connection.ends[static_cast<size_t>(index)];
  if (!end.receive.has_value()) {
    return;
  }
  const OpToken token = *end.receive;
  Io::Backend* backend = nullptr;
  if (Live(token, &backend) == nullptr) {
    end.receive.reset();
  } else if (!end.received.empty()) {
    end.receive.reset();
    DeliverBytes(connection, index, token, *backend);
  } else if (end.error != IoError::kNone) {
    end.receive.reset();
    backend->Complete(token, IoResult::Failure(TakeError(end)));
  } else if (end.end_received || end.receive_shut || end.broken) {
    end.receive.reset();
    backend->CompleteLent(token, std::string());
  }
}

// One lent piece.
void SimNetwork::DeliverBytes(Connection& connection, int index, const OpToken& token,
                              Io::Backend& backend) {
  End& end = connection.ends[static_cast<size_t>(index)];
  const FaultPlan& plan = world_.plan();
  if (backend.lent_waiting() >= plan.receive_buffers || world_.Draw(plan.receive_no_buffers)) {
    backend.Complete(token, IoResult::Failure(IoError::kNoBuffers));
    return;
  }
  size_t count =
      static_cast<size_t>(std::min<uint64_t>(end.received.size(), plan.receive_buffer_bytes));
  if (count > 1 && world_.Draw(plan.split)) {
    count = static_cast<size_t>(world_.random().Between(1, count - 1));
  }
  backend.CompleteLent(token, end.received.substr(0, count));
  end.received.erase(0, count);
  Soon(connection, 1 - index, Latency(), &SimNetwork::PumpSend);
}

// ---- ending ----

void SimNetwork::ShutdownSend(uint64_t connection, int index) {
  Connection& at = connections_.at(connection);
  End& end = at.ends[static_cast<size_t>(index)];
  if (!end.end_sent && !end.broken) {
    SimSegment last;
    last.end = true;
    Enqueue(at, index, std::move(last));
  }
  end.end_sent = true;
  Soon(at, index, absl::Microseconds(1), &SimNetwork::PumpSend);
}

void SimNetwork::Shutdown(uint64_t connection, int index) {
  ShutdownSend(connection, index);
  Connection& at = connections_.at(connection);
  at.ends[static_cast<size_t>(index)].receive_shut = true;
  Soon(at, index, absl::Microseconds(1), &SimNetwork::PumpReceive);
}

void SimNetwork::Dismiss(uint64_t connection, int index, Bytes text) {
  Connection& at = connections_.at(connection);
  End& end = at.ends[static_cast<size_t>(index)];
  const uint64_t used =
      end.in_flight_bytes + at.ends[static_cast<size_t>(1 - index)].received.size();
  const uint64_t limit = world_.plan().socket_buffer_bytes;
  if (!end.broken && !end.end_sent && used < limit) {
    const size_t count = static_cast<size_t>(std::min<uint64_t>(text.size(), limit - used));
    world_.Trace(TraceKind::kContent, end.host, Crc32c(0, text.first(count)));
    Transmit(at, index, text.first(count));
  }
  ShutdownSend(connection, index);
  end.received.clear();
}

void SimNetwork::Close(uint64_t connection, int index) {
  Connection& at = connections_.at(connection);
  End& end = at.ends[static_cast<size_t>(index)];
  ASSERT(end.open);
  world_.Trace(TraceKind::kEnd, end.host, connection, end.received.size());
  if (!end.broken) {
    SimSegment last;
    // RFC 2525 s2.17: closing with bytes unread resets, or the peer would believe they were taken.
    last.reset = !end.received.empty();
    last.end = !last.reset;
    if (last.reset || !end.end_sent) {
      Enqueue(at, index, std::move(last));
    }
  }
  end.open = false;
  end.end_sent = true;
  end.received.clear();
  Soon(at, 1 - index, Latency(), &SimNetwork::PumpSend);
  DropIfDead(connection);
}

void SimNetwork::Abandon(uint64_t connection, int index, bool host_died) {
  Connection& at = connections_.at(connection);
  End& end = at.ends[static_cast<size_t>(index)];
  const bool silent = host_died && world_.Draw(world_.plan().silent_crash);
  LoseUnsent(end);
  if (!silent && !end.broken) {
    SimSegment reset;
    reset.reset = true;
    Enqueue(at, index, std::move(reset));
  }
  end.open = false;
  end.end_sent = true;
  end.received.clear();
  end.receive.reset();
  end.sends.clear();
  DropIfDead(connection);
}

// What was with the kernel and not yet on the wire is gone; the rest may arrive.
void SimNetwork::LoseUnsent(End& end) {
  const size_t kept = static_cast<size_t>(world_.random().Between(0, end.in_flight.size()));
  while (end.in_flight.size() > kept) {
    end.in_flight_bytes -= end.in_flight.back().bytes.size();
    end.in_flight.pop_back();
  }
}

// The other end takes nothing more.
void SimNetwork::Break(Connection& connection, int index, IoError error) {
  End& end = connection.ends[static_cast<size_t>(index)];
  end.in_flight.clear();
  end.in_flight_bytes = 0;
  end.parked = false;
  MarkBroken(connection, index, error);
}

void SimNetwork::MarkBroken(Connection& connection, int index, IoError error) {
  End& end = connection.ends[static_cast<size_t>(index)];
  world_.Trace(TraceKind::kReset, end.host, connection.id, static_cast<uint64_t>(error));
  if (!end.open || end.broken) {
    return;
  }
  end.broken = true;
  end.error = error;
  if (world_.Draw(world_.plan().reset_drops_unread)) {
    end.received.clear();
  }
  // Who is told of the error is decided by who comes first.
  Soon(connection, index, absl::Nanoseconds(static_cast<int64_t>(world_.random().Below(5'000))),
       &SimNetwork::PumpReceive);
  Soon(connection, index, absl::Nanoseconds(static_cast<int64_t>(world_.random().Below(5'000))),
       &SimNetwork::PumpSend);
}

IoError SimNetwork::TakeError(End& end) {
  return std::exchange(end.error, IoError::kNone);
}

}  // namespace backstay
