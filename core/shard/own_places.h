// core/shard/own_places.h -- addresses that no mail goes to: listeners of ours, and those that are
// no host's.
//
// Owns:  copies of the lists. Use() at a start and a reload.
// See:   DESIGN 6 "Never connect to ourselves".
#pragma once

#include <vector>

#include "core/dns/primary_search.h"
#include "core/shard/network.h"
#include "io/io.h"
#include "io/socket_address.h"

namespace backstay {

class OwnPlaces {
 public:
  void Use(Io& io, const std::vector<SocketAddress>& listeners);
  // `allowed` empty: everywhere.
  PlaceVerdict Judge(const SocketAddress& place, const std::vector<Network>& allowed) const;

 private:
  std::vector<SocketAddress> listeners_;
  std::vector<SocketAddress> own_addresses_;
};

}  // namespace backstay
