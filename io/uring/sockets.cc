// io/uring/sockets.cc -- the plain calls, and what is set on every socket.
//
// Options are set on the listener: Linux copies them to what it accepts, so that accepting needs no
// further system call. What connects has them once it is connected: a probe of a primary that is
// down, which is all that an idle daemon does, needs none.
#include "io/uring/sockets.h"

#include <fmt/format.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "core/base/check.h"
#include "core/base/status_macros.h"
#include "core/base/units.h"

namespace backstay {
namespace {

// A peer that vanished without a word (power, firewall, cable) is found after 60 + 4 * 15 s of
// silence; sessions that are merely slow are the owner's timers' business.
constexpr int kKeepaliveIdleSeconds = 60;
constexpr int kKeepaliveIntervalSeconds = 15;
constexpr int kKeepaliveProbes = 4;
// RFC 5321 s4.5.3.2.5 lets a block of data take 3 minutes; what is unacknowledged longer is lost.
constexpr unsigned kUserTimeoutMilliseconds = 3 * 60 * 1000;
static_assert(1000u * (kKeepaliveIdleSeconds + kKeepaliveIntervalSeconds * kKeepaliveProbes) <=
              kUserTimeoutMilliseconds);

// More than any receive buffer holds.
constexpr size_t kDroppedBytesMax = 1_GiB;

bool SetOption(int socket, int level, int name, int value) {
  return setsockopt(socket, level, name, &value, sizeof(value)) == 0;
}

// Replies and commands are complete when they are sent; waiting for more would only delay them.
bool SetTcpOptions(int socket) {
  return SetOption(socket, IPPROTO_TCP, TCP_NODELAY, 1) &&
         SetOption(socket, SOL_SOCKET, SO_KEEPALIVE, 1) &&
         SetOption(socket, IPPROTO_TCP, TCP_KEEPIDLE, kKeepaliveIdleSeconds) &&
         SetOption(socket, IPPROTO_TCP, TCP_KEEPINTVL, kKeepaliveIntervalSeconds) &&
         SetOption(socket, IPPROTO_TCP, TCP_KEEPCNT, kKeepaliveProbes) &&
         SetOption(socket, IPPROTO_TCP, TCP_USER_TIMEOUT,
                   static_cast<int>(kUserTimeoutMilliseconds));
}

bool SetListenerOptions(int socket, const SocketAddress& address) {
  // V6ONLY: "[::]:25" and "0.0.0.0:25" stand side by side in a configuration.
  const bool family = !address.is_v6() || SetOption(socket, IPPROTO_IPV6, IPV6_V6ONLY, 1);
  return family && SetOption(socket, SOL_SOCKET, SO_REUSEADDR, 1) && SetTcpOptions(socket);
}

// The port is chosen when the other end is known: a bind would take one for all destinations.
bool BindConnecting(int socket, const SocketAddress& from) {
  if (from == SocketAddress()) {
    return true;
  }
  sockaddr_storage storage{};
  const socklen_t bytes = ToKernelAddress(from, &storage);
  return SetOption(socket, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1) &&
         bind(socket, reinterpret_cast<sockaddr*>(&storage), bytes) == 0;
}

bool SharePort(int socket) {
  return SetOption(socket, SOL_SOCKET, SO_REUSEPORT, 1);
}

bool StartListening(int socket, const SocketAddress& address, int backlog) {
  sockaddr_storage storage{};
  const socklen_t bytes = ToKernelAddress(address, &storage);
  return bind(socket, reinterpret_cast<sockaddr*>(&storage), bytes) == 0 &&
         listen(socket, backlog) == 0;
}

std::string AdviceFor(int error, const SocketAddress& address) {
  switch (error) {
    case EADDRINUSE:
      return "; another program has it (`ss -ltnp` names it): stop it, or change smtp.listen";
    case EACCES:
      return fmt::format("; port {} needs CAP_NET_BIND_SERVICE or root", address.port());
    case EADDRNOTAVAIL:
      return "; this machine does not have that address";
    case EAFNOSUPPORT:
      return "; this machine has no IPv6: remove that address from the configuration";
    default:
      return "";
  }
}

absl::Status CannotListen(const SocketAddress& address, int error) {
  const std::string text = fmt::format("cannot listen on {}: {}{}", address.ToString(),
                                       strerrordesc_np(error), AdviceFor(error, address));
  return absl::Status(absl::ErrnoToStatusCode(error), text);
}

int FamilyOf(const SocketAddress& address) {
  return address.is_v6() ? AF_INET6 : AF_INET;
}

// A socket with what every listener has.
absl::StatusOr<int> MakeListeningSocket(const SocketAddress& address) {
  const int made = socket(FamilyOf(address), SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (made < 0) {
    return CannotListen(address, errno);
  }
  if (!SetListenerOptions(made, address)) {
    const int error = errno;
    close(made);
    return CannotListen(address, error);
  }
  return made;
}

// `done`: everything went well; otherwise errno says why not.
absl::StatusOr<Fd> ListeningOrClosed(int socket, const SocketAddress& address, bool done) {
  if (!done) {
    const int error = errno;
    close(socket);
    return CannotListen(address, error);
  }
  return Fd(socket);
}

}  // namespace

socklen_t ToKernelAddress(const SocketAddress& address, sockaddr_storage* into) {
  std::memset(into, 0, sizeof(*into));
  if (address.is_v6()) {
    auto* v6 = reinterpret_cast<sockaddr_in6*>(into);
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(address.port());
    std::memcpy(&v6->sin6_addr, address.bytes().data(), sizeof(v6->sin6_addr));
    return sizeof(*v6);
  }
  auto* v4 = reinterpret_cast<sockaddr_in*>(into);
  v4->sin_family = AF_INET;
  v4->sin_port = htons(address.port());
  std::memcpy(&v4->sin_addr, address.bytes().data(), sizeof(v4->sin_addr));
  return sizeof(*v4);
}

SocketAddress FromKernelAddress(const sockaddr_storage& address) {
  if (address.ss_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
    std::array<uint8_t, 16> bytes{};
    std::memcpy(bytes.data(), &v6.sin6_addr, bytes.size());
    return SocketAddress::V6(bytes, ntohs(v6.sin6_port));
  }
  if (address.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
    std::array<uint8_t, 4> bytes{};
    std::memcpy(bytes.data(), &v4.sin_addr, bytes.size());
    return SocketAddress::V4(bytes, ntohs(v4.sin_port));
  }
  return SocketAddress();
}

absl::StatusOr<Fd> MakeListener(const SocketAddress& address, int backlog) {
  ASSIGN_OR_RETURN(const int made, MakeListeningSocket(address));
  return ListeningOrClosed(made, address,
                           SharePort(made) && StartListening(made, address, backlog));
}

// The port is shared only once we listen: a bind without SO_REUSEPORT meets whoever listens there,
// and two programs that both got past their bind meet in listen(), which lets at most one through.
absl::StatusOr<Fd> MakeFirstListener(const SocketAddress& address, int backlog) {
  ASSIGN_OR_RETURN(const int made, MakeListeningSocket(address));
  return ListeningOrClosed(made, address,
                           StartListening(made, address, backlog) && SharePort(made));
}

int MakeConnectingSocket(const SocketAddress& from, const SocketAddress& to) {
  const int made = socket(FamilyOf(to), SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (made < 0) {
    return -errno;
  }
  if (!BindConnecting(made, from)) {
    const int error = errno;
    close(made);
    return -error;
  }
  return made;
}

void SetConnectedOptions(Fd socket) {
  static_cast<void>(SetTcpOptions(socket.number()));
}

// MSG_MORE: the text waits for the end and leaves with it, in one segment instead of two, each of
// which costs as much as all the rest. What has come is dropped (MSG_TRUNC copies nothing), because
// close() with unread bytes sends a reset, which may destroy the text before the peer has read it.
// An error of any call means that the peer is gone.
void SayTheLast(Fd socket, Bytes text) {
  static_cast<void>(
      send(socket.number(), text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT | MSG_MORE));
  static_cast<void>(shutdown(socket.number(), SHUT_WR));
  static_cast<void>(recv(socket.number(), nullptr, kDroppedBytesMax, MSG_DONTWAIT | MSG_TRUNC));
}

std::vector<SocketAddress> AddressesOfThisHost() {
  std::vector<SocketAddress> addresses;
  ifaddrs* first = nullptr;
  if (getifaddrs(&first) != 0) {
    return addresses;
  }
  for (const ifaddrs* entry = first; entry != nullptr; entry = entry->ifa_next) {
    if (entry->ifa_addr == nullptr ||
        (entry->ifa_addr->sa_family != AF_INET && entry->ifa_addr->sa_family != AF_INET6)) {
      continue;
    }
    sockaddr_storage address{};
    std::memcpy(&address, entry->ifa_addr,
                entry->ifa_addr->sa_family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6));
    addresses.push_back(FromKernelAddress(address));
  }
  freeifaddrs(first);
  return addresses;
}

SocketAddress LocalAddressOf(Fd socket) {
  sockaddr_storage storage{};
  socklen_t bytes = sizeof(storage);
  const int outcome = getsockname(socket.number(), reinterpret_cast<sockaddr*>(&storage), &bytes);
  return outcome == 0 ? FromKernelAddress(storage) : SocketAddress();
}

SocketAddress PeerAddressOf(Fd socket) {
  sockaddr_storage storage{};
  socklen_t bytes = sizeof(storage);
  const int outcome = getpeername(socket.number(), reinterpret_cast<sockaddr*>(&storage), &bytes);
  return outcome == 0 ? FromKernelAddress(storage) : SocketAddress();
}

}  // namespace backstay
