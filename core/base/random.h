// core/base/random.h -- the one pseudo-random generator: seeded, splittable, same everywhere.
//
// Not for keys or tickets: those come from BoringSSL.
#pragma once

#include <cstdint>

namespace backstay {

class Random {
 public:
  explicit Random(uint64_t seed);
  uint64_t Next();
  // Uniform in [0, limit); limit > 0.
  uint64_t Below(uint64_t limit);
  // Uniform in [low, high], both included.
  uint64_t Between(uint64_t low, uint64_t high);
  // True in `numerator` of `denominator` cases.
  bool Chance(uint64_t numerator, uint64_t denominator);
  // An independent generator whose stream depends only on this one's state.
  Random Split();

 private:
  uint64_t state_[4];
};

}  // namespace backstay
