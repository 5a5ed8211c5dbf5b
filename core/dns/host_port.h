// core/dns/host_port.h -- a host and port as the configuration writes it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "io/socket_address.h"

namespace backstay {

// An address, or a name that is resolved later (then `address` is empty).
struct HostPort {
  std::string host;  // name in lower case, or the address as text
  uint16_t port = 25;
  std::optional<SocketAddress> address;
};

}  // namespace backstay
