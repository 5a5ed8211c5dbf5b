// tests/core/queue/client_census_test.cc -- one limit over all shards, and counts that come back.
#include "core/queue/client_census.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "core/base/random.h"
#include "core/queue/admission.h"

namespace backstay {
namespace {

ClientKey Someone(uint8_t number) {
  return ClientKey::Of({10, 0, number, 1}, false);
}

// The kernel's hash may give one shard all of them, or each a few.
TEST(ClientCensus, AClientHasItsLimitOverAllShards) {
  constexpr size_t kShards = 64;
  constexpr size_t kLimit = 50;
  ClientCensus census(100'000, 7);
  std::vector<std::unique_ptr<Admission>> shards;
  for (size_t shard = 0; shard < kShards; ++shard) {
    shards.push_back(std::make_unique<Admission>(AdmissionLimits{2000, kLimit}, census));
  }
  Random random(3);
  for (int round = 0; round < 200; ++round) {
    const ClientKey client = Someone(static_cast<uint8_t>(round));
    std::vector<Admission*> open;
    while (open.size() < kLimit) {
      Admission& shard = *shards[random.Below(kShards)];
      ASSERT_TRUE(shard.Identify(client).positive()) << round << " " << open.size();
      open.push_back(&shard);
    }
    EXPECT_EQ(shards[random.Below(kShards)]->Identify(client).code, 421);
    for (Admission* const shard : open) {
      shard->Forget(client);
    }
  }
}

// A reload may raise the limit of all connections: clients must not share their places then.
TEST(ClientCensus, ASmallOneHasRoomForManyClients) {
  ClientCensus census(100, 7);
  size_t refused = 0;
  for (uint32_t number = 0; number < 20'000; ++number) {
    const auto high = static_cast<uint8_t>(number >> 8);
    const auto low = static_cast<uint8_t>(number);
    refused += census.Enter(ClientKey::Of({10, 1, high, low}, false), 5) ? 0 : 1;
  }
  EXPECT_EQ(refused, 0u);
  EXPECT_EQ(ClientCensus::RoomFor(100), 100'000u);
  EXPECT_EQ(ClientCensus::RoomFor(200'000), 200'000u);
}

TEST(ClientCensus, CountsFromManyThreadsComeBackToZero) {
  ClientCensus census(100, 7);
  constexpr size_t kLimit = 5;
  std::atomic<size_t> most{0};
  std::atomic<size_t> inside{0};
  const ClientKey client = Someone(1);
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&] {
      for (int step = 0; step < 20'000; ++step) {
        if (census.Enter(client, kLimit)) {
          most = std::max<size_t>(most, ++inside);
          --inside;
          census.Leave(client);
        }
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_LE(most, kLimit);
  for (size_t count = 0; count < kLimit; ++count) {
    EXPECT_TRUE(census.Enter(client, kLimit));
  }
  EXPECT_FALSE(census.Enter(client, kLimit));
}

}  // namespace
}  // namespace backstay
