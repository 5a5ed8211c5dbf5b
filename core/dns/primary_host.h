// core/dns/primary_host.h -- one host of a primary list: where it is, and by what name.
#pragma once

#include <string>

#include "io/socket_address.h"

namespace backstay {

struct PrimaryHost {
  SocketAddress address;
  std::string name;  // as configured or found in the DNS: what its certificate is to cover
  friend bool operator==(const PrimaryHost&, const PrimaryHost&) = default;
};

}  // namespace backstay
