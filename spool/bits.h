// spool/bits.h -- a growing row of bits that finds the next one quickly.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace backstay {

class Bits {
 public:
  // New bits are zero.
  void Grow(uint32_t bits) { words_.resize((bits + 63) / 64); }
  // By a copy: libstdc++'s shrink_to_fit does nothing without exceptions.
  void ShrinkToFit() { std::vector(words_).swap(words_); }
  bool Get(uint32_t bit) const {
    return bit / 64 < words_.size() && (words_[bit / 64] >> (bit % 64) & 1) != 0;
  }
  void Set(uint32_t bit) { words_[bit / 64] |= uint64_t{1} << (bit % 64); }
  void Clear(uint32_t bit) { words_[bit / 64] &= ~(uint64_t{1} << (bit % 64)); }
  // The first one in [bit, end); `end` if there is none.
  uint32_t FirstIn(uint32_t bit, uint32_t end) const {
    for (size_t word = bit / 64; bit < end && word < words_.size(); ++word) {
      const uint64_t here = words_[word] & (~uint64_t{0} << (bit % 64));
      if (here != 0) {
        const auto found =
            static_cast<uint32_t>(word * 64 + static_cast<size_t>(std::countr_zero(here)));
        return std::min(found, end);
      }
      bit = static_cast<uint32_t>((word + 1) * 64);
    }
    return end;
  }
  uint64_t Count() const {
    uint64_t count = 0;
    for (const uint64_t word : words_) {
      count += static_cast<uint64_t>(std::popcount(word));
    }
    return count;
  }
  // As they are stored; bits behind the last are zero.
  const std::vector<uint64_t>& words() const { return words_; }
  static Bits FromWords(std::vector<uint64_t> words) {
    Bits bits;
    bits.words_ = std::move(words);
    return bits;
  }

 private:
  std::vector<uint64_t> words_;
};

}  // namespace backstay
