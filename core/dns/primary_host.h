// core/dns/primary_host.h -- one host of a primary list: where it is, by what name, and how good.
#pragma once

#include <cstdint>
#include <string>

#include "io/socket_address.h"

namespace backstay {

struct PrimaryHost {
  SocketAddress address;
  std::string name;         // as configured or found in the DNS: what its certificate is to cover
  uint16_t preference = 0;  // of its MX record, or its place in the list: less is better
  friend bool operator==(const PrimaryHost&, const PrimaryHost&) = default;
};

}  // namespace backstay
