// core/queue/client_census.cc -- two rows of counters.
#include "core/queue/client_census.h"

#include <algorithm>
#include <bit>

#include "core/base/check.h"
#include "core/base/random.h"

namespace backstay {
namespace {

constexpr size_t kPlacesPerConnection = 2;

}  // namespace

ClientCensus::ClientCensus(size_t connections_max, uint64_t seed)
    : seed_(seed),
      row_size_(std::bit_ceil(kPlacesPerConnection * RoomFor(connections_max))),
      counts_(kRows * row_size_) {}

std::array<ClientCensus::Count*, ClientCensus::kRows> ClientCensus::PlacesOf(
    const ClientKey& client) {
  Random places(client.prefix ^ (seed_ + (client.is_v6 ? 1 : 0)));
  return {&counts_[places.Below(row_size_)], &counts_[row_size_ + places.Below(row_size_)]};
}

// Two that come at the same moment for the last place may both be refused.
bool ClientCensus::Enter(const ClientKey& client, size_t per_client_max) {
  const auto places = PlacesOf(client);
  size_t before = SIZE_MAX;
  for (Count* const place : places) {
    before = std::min<size_t>(before, place->fetch_add(1, std::memory_order_relaxed));
  }
  if (before < per_client_max) {
    return true;
  }
  Leave(client);
  return false;
}

void ClientCensus::Leave(const ClientKey& client) {
  for (Count* const place : PlacesOf(client)) {
    const uint32_t before = place->fetch_sub(1, std::memory_order_relaxed);
    ASSERT(before > 0);
  }
}

}  // namespace backstay
