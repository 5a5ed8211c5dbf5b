// io/uring/sockets.h -- TCP sockets by plain calls: addresses, listeners, sockets to connect with.
#pragma once

#include <sys/socket.h>

#include <vector>

#include "absl/status/statusor.h"
#include "core/base/bytes.h"
#include "io/fd.h"
#include "io/socket_address.h"

namespace backstay {

// Fills `into` and returns how many bytes of it count.
socklen_t ToKernelAddress(const SocketAddress& address, sockaddr_storage* into);
// 0.0.0.0:0 for a family that is not ours.
SocketAddress FromKernelAddress(const sockaddr_storage& address);

absl::StatusOr<Fd> MakeListener(const SocketAddress& address, int backlog);
absl::StatusOr<Fd> MakeFirstListener(const SocketAddress& address, int backlog);
// A descriptor, or -errno. A default `from` leaves the choice to the kernel.
int MakeConnectingSocket(const SocketAddress& from, const SocketAddress& to);
// Before anything is sent. That a connection lacks an option is no reason to give it up.
void SetConnectedOptions(Fd socket);

// Of every interface, port 0.
std::vector<SocketAddress> AddressesOfThisHost();

// Sends `text` as far as there is room and the end, and drops what has come.
void SayTheLast(Fd socket, Bytes text);

// 0.0.0.0:0 when the socket has none (any more).
SocketAddress LocalAddressOf(Fd socket);
SocketAddress PeerAddressOf(Fd socket);

}  // namespace backstay
