// core/queue/client_census.h -- how many connections each client has, over all shards.
//
// The kernel spreads a client's connections over the shards, so no shard's share of a limit would
// do: with many shards a client with few connections would meet it. Each client has a place in each
// of two rows of counters, by two hashes; the smaller count is its own, or rarely one too many,
// never one too few.
//
// Owns:    2 to 4 counters a row for each connection that there may be; nothing a client. They are
//          of the start: a reload that allows more connections finds them too few (RoomFor).
// Threads: every method from any thread. One of the few files with atomics (STYLE 23).
// See:     DESIGN 3.2 `max_connections_per_client`.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/queue/client_key.h"

namespace backstay {

class ClientCensus {
 public:
  // How many connections one is good for that was made for so many: with more, clients share their
  // places. A reload may well raise a small limit, and two megabytes are no reason to refuse it.
  static size_t RoomFor(size_t connections_max) { return std::max(connections_max, kRoomMin); }

  // `seed`: a stranger who knew it could choose addresses that share their places.
  ClientCensus(size_t connections_max, uint64_t seed);
  ClientCensus(const ClientCensus&) = delete;
  ClientCensus& operator=(const ClientCensus&) = delete;

  // One connection more; false: it has `per_client_max` already, and is not counted.
  bool Enter(const ClientKey& client, size_t per_client_max);
  // Of one that was counted.
  void Leave(const ClientKey& client);

 private:
  static constexpr size_t kRows = 2;
  static constexpr size_t kRoomMin = 100'000;  // what `max_connections` is by default
  using Count = std::atomic<uint32_t>;

  std::array<Count*, kRows> PlacesOf(const ClientKey& client);

  const uint64_t seed_;
  const size_t row_size_;  // a power of two
  std::vector<Count> counts_;
};

}  // namespace backstay
