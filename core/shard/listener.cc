// core/shard/listener.cc -- keeps one multishot accept armed.
#include "core/shard/listener.h"

#include "core/base/log.h"
#include "core/base/mark.h"

namespace backstay {
namespace {

// Long enough not to spin, short against any client's patience.
constexpr absl::Duration kPauseAfterFailure = absl::Milliseconds(100);
constexpr absl::Duration kSayAgain = absl::Minutes(1);
constexpr int kBacklog = 4096;

// A daemon that was killed holds its sockets a moment longer than its process lives, until the
// kernel has taken its ring apart. Who starts it again must not be turned away for that.
constexpr absl::Duration kTakenMax = absl::Seconds(5);
constexpr absl::Duration kTakenRetry = absl::Milliseconds(20);

absl::StatusOr<Fd> ListenFirst(Io& io, const SocketAddress& address) {
  const Instant end = io.Now() + kTakenMax;
  absl::StatusOr<Fd> socket = io.ListenFirst(address, kBacklog);
  if (absl::IsFailedPrecondition(socket.status())) {
    LogInfo("{} is taken; trying again for {}", address.ToString(),
            absl::FormatDuration(kTakenMax));
  }
  while (absl::IsFailedPrecondition(socket.status()) && io.Now() < end) {
    io.Turn(io.Now() + kTakenRetry);
    socket = io.ListenFirst(address, kBacklog);
  }
  return socket;
}

}  // namespace

absl::StatusOr<std::vector<Fd>> OpenListeners(Io& io, const std::vector<SocketAddress>& addresses,
                                              size_t shard) {
  std::vector<Fd> sockets;
  for (const SocketAddress& address : addresses) {
    const absl::StatusOr<Fd> socket =
        shard == 0 ? ListenFirst(io, address) : io.Listen(address, kBacklog);
    if (!socket.ok()) {
      for (const Fd opened : sockets) {
        io.Close(opened);
      }
      return socket.status();
    }
    sockets.push_back(*socket);
  }
  return sockets;
}

Listener::Listener(Io& io, TimerWheel& wheel, ListenerEvents& events, Fd socket, uint32_t number)
    : io_(io), wheel_(wheel), events_(events), socket_(socket), number_(number) {
  ASSERT(socket_.valid());
}

void Listener::Start() {
  ASSERT(!accept_.in_flight);
  Arm();
}

void Listener::Arm() {
  if (held_) {
    return;
  }
  io_.Accept(&accept_, socket_);
}

void Listener::Hold() {
  if (!held_) {
    held_ = true;
    io_.Cancel(&accept_);
  }
}

void Listener::GoOn() {
  if (!held_) {
    return;
  }
  held_ = false;
  if (!accept_.in_flight && !pause_.armed() && socket_.valid()) {
    Arm();
  }
}

void Listener::Stop() {
  if (stopping_ || !socket_.valid()) {
    return;
  }
  stopping_ = true;
  wheel_.Cancel(&pause_);
  if (accept_.in_flight) {
    io_.Cancel(&accept_);
    return;
  }
  io_.Close(socket_);
  socket_ = Fd();
}

void Listener::OnAccept(const IoResult& result) {
  if (result.ok()) {
    events_.OnAccepted(result.fd(), number_);
  }
  if (result.more()) {
    return;
  }
  if (stopping_) {
    io_.Close(socket_);
    socket_ = Fd();
    return;
  }
  if (held_) {
    return;  // GoOn() arms it
  }
  if (result.ok() || result.error() == IoError::kCanceled) {
    Arm();  // a multishot may end at any time without a reason, and a hold may be over already
    return;
  }
  MARK("accept_failed");
  if (!said_.has_value() || io_.Now() - *said_ >= kSayAgain) {
    said_ = io_.Now();
    LogWarning("accept failed: {}; tried again every {}", Describe(result.error()),
               absl::FormatDuration(kPauseAfterFailure));
  }
  wheel_.Insert(&pause_, io_.Now() + kPauseAfterFailure);
}

}  // namespace backstay
