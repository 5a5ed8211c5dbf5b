// tests/core/policy/address_key_test.cc -- which addresses are one.
#include "core/policy/address_key.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

namespace backstay {
namespace {

constexpr SipKey kSecret{1, 2};

TEST(AddressKey, CaseMakesNoDifferenceAnythingElseDoes) {
  const AddressKey key = KeyOf(kSecret, "user@example.com");
  EXPECT_EQ(KeyOf(kSecret, "USER@Example.COM"), key);
  for (const char* other :
       {"user@example.org", "users@example.com", "\"user\"@example.com", "use@rexample.com"}) {
    EXPECT_NE(KeyOf(kSecret, other), key) << other;
  }
  EXPECT_NE(KeyOf({1, 3}, "user@example.com"), key);
}

TEST(AddressKey, TheTagIsTheDomains) {
  EXPECT_EQ(TagOf(KeyOf(kSecret, "a@example.com")), TagOf(kSecret, "Example.com"));
  EXPECT_EQ(TagOf(KeyOf(kSecret, "\"a@b\"@example.com")), TagOf(kSecret, "example.com"));
  EXPECT_EQ(TagOf(KeyOfDomain(kSecret, "example.com")), TagOf(kSecret, "example.com"));
  EXPECT_NE(KeyOfDomain(kSecret, "example.com"), KeyOf(kSecret, "@example.com"));
}

TEST(AddressKey, AHundredThousandAddressesHaveAsManyKeys) {
  std::set<AddressKey> keys;
  for (int number = 0; number < 100'000; ++number) {
    keys.insert(KeyOf(kSecret, fmt::format("user{}@example.com", number)));
  }
  EXPECT_EQ(keys.size(), 100'000u);
}

}  // namespace
}  // namespace backstay
