// tests/fuzz/smtp/fuzz_input.h -- what the fuzz targets of this folder share.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/base/bytes.h"

namespace backstay {

// Cut points out of a fuzz input: piece lengths 1..32 in turn, for ever.
class Cuts {
 public:
  explicit Cuts(Bytes lengths) : lengths_(lengths) {}
  size_t Next() {
    if (lengths_.empty()) {
      return SIZE_MAX;
    }
    return size_t{1} + lengths_[next_++ % lengths_.size()] % 32;
  }

 private:
  Bytes lengths_;
  size_t next_ = 0;
};

// A copy of its own on the heap, so that the sanitizer sees a read beyond it.
inline std::vector<uint8_t> Alone(Bytes bytes) {
  return {bytes.begin(), bytes.end()};
}

}  // namespace backstay
