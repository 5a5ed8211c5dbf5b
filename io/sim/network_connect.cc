// io/sim/network_connect.cc -- listening, connecting, accepting.
#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "core/base/check.h"
#include "io/sim/network.h"

namespace backstay {
namespace {

// Linux repeats a SYN six times: after 1, 3, 7, 15, 31 and 63 s, and gives up after 127 s.
constexpr int kConnectAttemptsMax = 7;

bool IsAny(const SocketAddress& address) {
  return std::all_of(address.bytes().begin(), address.bytes().end(),
                     [](uint8_t byte) { return byte == 0; });
}

bool SameAddress(const SocketAddress& left, const SocketAddress& right) {
  return left.WithPort(0) == right.WithPort(0);
}

}  // namespace

absl::StatusOr<uint64_t> SimNetwork::Listen(Host& host, const SocketAddress& address, int backlog) {
  if (!IsAny(address) && !address.is_loopback() && !SameAddress(address, host.address())) {
    return absl::InvalidArgumentError(
        fmt::format("cannot listen on {}: the address is not of this host", address.ToString()));
  }
  SimListener listener;
  listener.id = next_id_++;
  listener.host = host.id();
  listener.address = address.port() == 0 ? address.WithPort(host.TakePort()) : address;
  listener.backlog_max = static_cast<size_t>(std::max(backlog, 1));
  const uint64_t id = listener.id;
  listeners_[id] = std::move(listener);
  return id;
}

bool SimNetwork::HasListener(const Host& host, const SocketAddress& address) const {
  return std::any_of(listeners_.begin(), listeners_.end(), [&](const auto& entry) {
    const SocketAddress& taken = entry.second.address;
    return entry.second.host == host.id() && taken.port() == address.port() &&
           taken.is_v6() == address.is_v6() &&
           (IsAny(taken) || IsAny(address) || SameAddress(taken, address));
  });
}

SocketAddress SimNetwork::ListenerAddress(uint64_t listener) const {
  return listeners_.at(listener).address;
}

void SimNetwork::CloseListener(uint64_t listener, bool host_died) {
  const auto found = listeners_.find(listener);
  ASSERT(found != listeners_.end());
  const std::deque<uint64_t> backlog = std::move(found->second.backlog);
  listeners_.erase(found);
  for (const uint64_t connection : backlog) {
    Abandon(connection, 1, host_died);
  }
}

// ---- connecting ----

void SimNetwork::Connect(const OpToken& token) {
  world_.scheduler().After(Latency(), [this, token] { Synchronize(token, 0); });
}

void SimNetwork::Synchronize(const OpToken& token, int attempt) {
  Io::Backend* backend = nullptr;
  const PendingOp* op = Live(token, &backend);
  if (op == nullptr) {
    return;
  }
  if (attempt == 0 && world_.Draw(world_.plan().connect_fails)) {
    FailConnectAtRandom(token);
    return;
  }
  if (op->source != SocketAddress() && !op->source.is_loopback() &&
      !SameAddress(op->source, backend->host().address())) {
    Fail(token, IoError::kUnreachable);
    return;
  }
  Host* target = op->to.is_loopback() ? &backend->host() : world_.FindHost(op->to);
  if (target == nullptr || !world_.Reachable(backend->host(), *target)) {
    if (attempt == 0 && !world_.Draw(world_.plan().silent_when_down)) {
      world_.scheduler().After(world_.DrawDuration(absl::Milliseconds(1), absl::Seconds(3)),
                               [this, token] { Fail(token, IoError::kUnreachable); });
      return;
    }
    RetryConnect(token, attempt);
    return;
  }
  bool any = false;
  SimListener* listener = ChooseListener(*target, op->to, &any);
  if (!any) {
    world_.scheduler().After(Latency(), [this, token] { Fail(token, IoError::kRefused); });
  } else if (listener == nullptr) {
    RetryConnect(token, attempt);  // every backlog is full: the SYN is dropped
  } else {
    Establish(token, *target, *listener);
  }
}

void SimNetwork::RetryConnect(const OpToken& token, int attempt) {
  const absl::Duration wait = absl::Seconds(int64_t{1} << attempt);
  if (attempt + 1 == kConnectAttemptsMax) {
    world_.scheduler().After(wait, [this, token] { Fail(token, IoError::kTimedOut); });
    return;
  }
  world_.scheduler().After(wait, [this, token, attempt] { Synchronize(token, attempt + 1); });
}

void SimNetwork::FailConnectAtRandom(const OpToken& token) {
  switch (world_.random().Below(3)) {
    case 0:
      Fail(token, IoError::kRefused);
      break;
    case 1:
      Fail(token, IoError::kUnreachable);
      break;
    default:
      world_.scheduler().After(world_.DrawDuration(absl::Seconds(1), absl::Seconds(127)),
                               [this, token] { Fail(token, IoError::kTimedOut); });
  }
}

SimListener* SimNetwork::ChooseListener(const Host& target, const SocketAddress& to, bool* any) {
  std::vector<SimListener*> free;
  for (auto& [id, listener] : listeners_) {
    if (listener.host != target.id() || listener.address.port() != to.port() ||
        (!IsAny(listener.address) && !SameAddress(listener.address, to))) {
      continue;
    }
    *any = true;
    if (listener.backlog.size() < listener.backlog_max) {
      free.push_back(&listener);
    }
  }
  return free.empty() ? nullptr : free[static_cast<size_t>(world_.random().Below(free.size()))];
}

void SimNetwork::Establish(const OpToken& token, Host& target, SimListener& listener) {
  Io::Backend* backend = nullptr;
  const PendingOp* op = Live(token, &backend);
  Host& source = backend->host();
  Connection connection;
  connection.id = next_id_++;
  connection.ends[0].host = source.id();
  const SocketAddress chosen = op->to.is_loopback() ? op->to : source.address();
  connection.ends[0].local =
      (op->source == SocketAddress() ? chosen : op->source).WithPort(source.TakePort());
  connection.ends[1].host = target.id();
  connection.ends[1].local = op->to;
  world_.Trace(TraceKind::kConnect, backend->id(), connection.id);
  const uint64_t id = connection.id;
  connections_[id] = std::move(connection);
  world_.scheduler().After(Latency(), [this, token, id] { FinishConnect(token, id); });
  listener.backlog.push_back(id);
  world_.scheduler().After(Latency(),
                           [this, listener_id = listener.id] { PumpAccept(listener_id); });
}

void SimNetwork::FinishConnect(const OpToken& token, uint64_t connection) {
  const auto found = connections_.find(connection);
  if (found == connections_.end()) {
    Fail(token, IoError::kReset);
    return;
  }
  Io::Backend* backend = nullptr;
  if (Live(token, &backend) == nullptr) {
    Abandon(connection, 0, /*host_died=*/false);  // canceled, or its program is gone
  } else if (world_.Draw(world_.plan().connect_no_descriptors)) {
    Abandon(connection, 0, /*host_died=*/false);
    Fail(token, IoError::kNoDescriptors);
  } else {
    Descriptor descriptor;
    descriptor.kind = DescriptorKind::kSocket;
    descriptor.object = connection;
    descriptor.end = 0;
    backend->Complete(token, IoResult::Descriptor(backend->Add(descriptor)));
  }
}

// ---- accepting ----

void SimNetwork::Accept(const OpToken& token, uint64_t listener) {
  SimListener& at = listeners_.at(listener);
  Io::Backend* backend = nullptr;
  ASSERT(!at.accept.has_value() || Live(*at.accept, &backend) == nullptr);  // one at a time
  at.accept = token;
  world_.scheduler().After(absl::Microseconds(2), [this, listener] { PumpAccept(listener); });
}

void SimNetwork::PumpAccept(uint64_t listener) {
  const auto found = listeners_.find(listener);
  if (found == listeners_.end()) {
    return;
  }
  SimListener& at = found->second;
  while (at.accept.has_value() && !at.backlog.empty()) {
    const OpToken token = *at.accept;
    Io::Backend* backend = nullptr;
    if (Live(token, &backend) == nullptr) {
      at.accept.reset();
      return;
    }
    if (world_.Draw(world_.plan().accept_no_descriptors)) {
      at.accept.reset();
      backend->Complete(token, IoResult::Failure(IoError::kNoDescriptors));
      return;
    }
    Descriptor descriptor;
    descriptor.kind = DescriptorKind::kSocket;
    descriptor.object = at.backlog.front();
    descriptor.end = 1;
    at.backlog.pop_front();
    const bool more = !world_.Draw(world_.plan().accept_ends_early);
    if (!more) {
      at.accept.reset();
    }
    backend->Complete(token, IoResult::Descriptor(backend->Add(descriptor), more));
  }
}

}  // namespace backstay
