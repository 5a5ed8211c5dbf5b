// core/queue/client_census.h -- how many connections each client has, over all shards.
//
// The kernel spreads a client's connections over the shards, so no shard's share of a limit would
// do: with many shards a client with few connections would meet it. Each client has a place in each
// of two rows of counters, by two hashes; the smaller count is its own, or rarely one too many,
// never one too few.
//
// Owns:    2 to 4 counters a row for each connection that there may be; nothing a client.
// Threads: every method from any thread. One of the few files with atomics (STYLE 23).
// See:     DESIGN 3.2 `max_connections_per_client`.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/queue/client_key.h"

namespace backstay {

class ClientCensus {
 public:
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
  using Count = std::atomic<uint32_t>;

  std::array<Count*, kRows> PlacesOf(const ClientKey& client);

  const uint64_t seed_;
  const size_t row_size_;  // a power of two
  std::vector<Count> counts_;
};

}  // namespace backstay
