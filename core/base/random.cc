// core/base/random.cc -- xoshiro256++ seeded by splitmix64 (Blackman and Vigna, public algorithms).
#include "core/base/random.h"

#include <bit>

#include "core/base/check.h"

namespace backstay {

__extension__ using Wide = unsigned __int128;

Random::Random(uint64_t seed) {
  for (uint64_t& word : state_) {
    seed += 0x9e3779b97f4a7c15;
    uint64_t mixed = seed;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111eb;
    word = mixed ^ (mixed >> 31);
  }
}

uint64_t Random::Next() {
  const uint64_t result = std::rotl(state_[0] + state_[3], 23) + state_[0];
  const uint64_t shifted = state_[1] << 17;
  state_[2] ^= state_[0];
  state_[3] ^= state_[1];
  state_[1] ^= state_[2];
  state_[0] ^= state_[3];
  state_[2] ^= shifted;
  state_[3] = std::rotl(state_[3], 45);
  return result;
}

uint64_t Random::Below(uint64_t limit) {
  ASSERT(limit > 0);
  // Multiply-shift; the bias of at most limit / 2^64 does not matter for jitter and fault plans.
  return static_cast<uint64_t>((static_cast<Wide>(Next()) * limit) >> 64);
}

uint64_t Random::Between(uint64_t low, uint64_t high) {
  ASSERT(low <= high);
  return low + Below(high - low + 1);
}

bool Random::Chance(uint64_t numerator, uint64_t denominator) {
  return Below(denominator) < numerator;
}

Random Random::Split() {
  return Random(Next());
}

}  // namespace backstay
