// tests/core/base/siphash_test.cc -- the vectors of the paper.
#include "core/base/siphash.h"

#include <gtest/gtest.h>

#include <array>
#include <set>

namespace backstay {
namespace {

constexpr SipKey kKey{0x0706050403020100, 0x0f0e0d0c0b0a0908};

TEST(SipHash, GivesTheVectorOfThePaper) {
  std::array<uint8_t, 15> input{};
  for (size_t at = 0; at < input.size(); ++at) {
    input[at] = static_cast<uint8_t>(at);
  }
  EXPECT_EQ(SipHash(kKey, input), 0xa129ca6149be45e5);
}

TEST(SipHash, DependsOnEveryByteTheLengthAndTheKey) {
  std::array<uint8_t, 20> input{};
  std::set<uint64_t> seen;
  for (size_t bytes = 0; bytes <= input.size(); ++bytes) {
    seen.insert(SipHash(kKey, Bytes(input).first(bytes)));
  }
  for (uint8_t& byte : input) {
    byte = 1;
    seen.insert(SipHash(kKey, input));
    byte = 0;
  }
  seen.insert(SipHash({1, 2}, input));
  EXPECT_EQ(seen.size(), 21u + 20u + 1u);
}

}  // namespace
}  // namespace backstay
