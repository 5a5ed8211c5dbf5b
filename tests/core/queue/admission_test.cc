// tests/core/queue/admission_test.cc -- who is one client, and that counts come back to zero.
#include "core/queue/admission.h"

#include <gtest/gtest.h>

#include <array>
#include <utility>
#include <vector>

#include "core/base/mark.h"
#include "core/base/random.h"
#include "core/queue/client_key.h"

namespace backstay {
namespace {

using Address = std::array<uint8_t, 16>;

constexpr Address kFirst{192, 0, 2, 1};
constexpr Address kSecond{192, 0, 2, 2};

Address V6(uint8_t network, uint8_t host) {
  return {0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, network, 0, 0, 0, 0, 0, 0, 0, host};
}

// A connection whose client is known at once; one that is refused gives its place back.
Reply Connect(Admission& admission, const Address& address, bool is_v6) {
  const Reply entered = admission.Enter(absl::ZeroDuration());
  if (!entered.positive()) {
    return entered;
  }
  const Reply identified = admission.Identify(ClientKey::Of(address, is_v6));
  if (!identified.positive()) {
    admission.Leave();
  }
  return identified;
}

void Disconnect(Admission& admission, const Address& address, bool is_v6) {
  admission.Forget(ClientKey::Of(address, is_v6));
  admission.Leave();
}

TEST(Admission, TheTotalIsBounded) {
  ClientCensus census(1000, 7);
  Admission admission({2, 10}, census);
  EXPECT_TRUE(Connect(admission, kFirst, false).positive());
  EXPECT_TRUE(Connect(admission, kSecond, false).positive());
  const Reply refused = Connect(admission, V6(1, 1), true);
  EXPECT_EQ(refused.code, 421);
  EXPECT_EQ(refused.enhanced, "4.3.2");
  EXPECT_EQ(admission.connections(), 2u);
  Disconnect(admission, kFirst, false);
  EXPECT_TRUE(Connect(admission, V6(1, 1), true).positive());
}

TEST(Admission, OneClientIsBounded) {
  ClientCensus census(1000, 7);
  Admission admission({100, 2}, census);
  EXPECT_TRUE(Connect(admission, kFirst, false).positive());
  EXPECT_TRUE(Connect(admission, kFirst, false).positive());
  const Reply refused = Connect(admission, kFirst, false);
  EXPECT_EQ(refused.code, 421);
  EXPECT_EQ(refused.enhanced, "4.7.0");
  EXPECT_TRUE(Connect(admission, kSecond, false).positive());
  EXPECT_EQ(admission.connections(), 3u);
}

TEST(Admission, AnIpv6ClientIsItsNetwork) {
  ClientCensus census(1000, 7);
  Admission admission({100, 1}, census);
  EXPECT_TRUE(Connect(admission, V6(1, 1), true).positive());
  EXPECT_FALSE(Connect(admission, V6(1, 2), true).positive());
  EXPECT_TRUE(Connect(admission, V6(2, 1), true).positive());
  Disconnect(admission, V6(1, 1), true);
  EXPECT_TRUE(Connect(admission, V6(1, 2), true).positive());
}

TEST(Admission, AnIpv4AddressIsNoIpv6Network) {
  ClientCensus census(1000, 7);
  Admission admission({100, 1}, census);
  const Address same_bytes{192, 0, 2, 1, 0, 0, 0, 0, 9};
  EXPECT_TRUE(Connect(admission, kFirst, false).positive());
  EXPECT_TRUE(Connect(admission, same_bytes, true).positive());
}

TEST(Admission, ARefusedClientLeavesNoTrace) {
  ClientCensus census(1000, 7);
  Admission admission({100, 0}, census);
  EXPECT_FALSE(Connect(admission, kFirst, false).positive());
  EXPECT_EQ(admission.connections(), 0u);
}

TEST(Admission, AConnectionIsCountedBeforeItsClientIsKnown) {
  ClientCensus census(1000, 7);
  Admission admission({1, 1}, census);
  EXPECT_TRUE(admission.Enter(absl::ZeroDuration()).positive());
  EXPECT_EQ(admission.Enter(absl::ZeroDuration()).enhanced, "4.3.2");
  EXPECT_TRUE(admission.Identify(ClientKey::Of(kFirst, false)).positive());
  EXPECT_EQ(admission.Identify(ClientKey::Of(kFirst, false)).enhanced, "4.7.0");
  // The client turns out to be another.
  EXPECT_TRUE(admission.Identify(ClientKey::Of(kSecond, false)).positive());
  admission.Forget(ClientKey::Of(kFirst, false));
  EXPECT_EQ(admission.connections(), 1u);
}

TEST(Admission, LowerLimitsBindTheNextOnly) {
  ClientCensus census(1000, 7);
  Admission admission({10, 10}, census);
  Connect(admission, kFirst, false);
  Connect(admission, kFirst, false);
  admission.SetLimits({1, 1});
  EXPECT_FALSE(Connect(admission, kSecond, false).positive());
  Disconnect(admission, kFirst, false);
  Disconnect(admission, kFirst, false);
  EXPECT_TRUE(Connect(admission, kFirst, false).positive());
}

TEST(Admission, CountsComeBackToZero) {
  ClientCensus census(1000, 7);
  Admission admission({50, 5}, census);
  Random random(9);
  std::vector<std::pair<Address, bool>> open;
  for (int step = 0; step < 20'000; ++step) {
    const bool is_v6 = random.Chance(1, 2);
    Address address = V6(static_cast<uint8_t>(random.Below(8)), static_cast<uint8_t>(step));
    if (!is_v6) {
      address = {10, 0, 0, static_cast<uint8_t>(random.Below(8))};
    }
    if (random.Chance(1, 2)) {
      if (Connect(admission, address, is_v6).positive()) {
        open.emplace_back(address, is_v6);
      }
    } else if (!open.empty()) {
      std::swap(open[random.Below(open.size())], open.back());
      Disconnect(admission, open.back().first, open.back().second);
      open.pop_back();
    }
    ASSERT_EQ(admission.connections(), open.size());
    ASSERT_LE(open.size(), 50u);
  }
  for (const auto& [address, is_v6] : open) {
    Disconnect(admission, address, is_v6);
  }
  EXPECT_EQ(admission.connections(), 0u);
}

TEST(Admission, ASlowDiskPutsOffNewTransactionsFirstAndThenNewConnections) {
  ClientCensus census(1000, 7);
  Admission admission({.connections_max = 10, .connections_per_client_max = 10}, census);
  EXPECT_EQ(Admission::MayBegin(absl::Seconds(5)).code, 250);
  EXPECT_EQ(Admission::MayBegin(absl::Milliseconds(5001)).code, 452);
  EXPECT_TRUE(admission.Enter(absl::Seconds(15)).positive());
  EXPECT_EQ(admission.Enter(absl::Milliseconds(15'001)).code, 421);
  EXPECT_EQ(admission.connections(), 1u);
  EXPECT_GE(MarkCount("disk_too_slow_to_begin"), 1u);
  EXPECT_GE(MarkCount("disk_too_slow_to_connect"), 1u);
}

}  // namespace
}  // namespace backstay
