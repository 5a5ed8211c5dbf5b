// core/shard/arrival.h -- an accepted socket that was let in.
#pragma once

#include <cstdint>

#include "io/fd.h"
#include "io/socket_address.h"

namespace backstay {

struct Arrival {
  Fd socket;
  uint32_t listener = 0;  // the number of the one that accepted it
  SocketAddress peer;
  // It begins with a PROXY header, and its client is not counted yet.
  bool proxied = false;
};

}  // namespace backstay
