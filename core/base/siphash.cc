// core/base/siphash.cc -- two rounds a word, four at the end.
#include "core/base/siphash.h"

#include <bit>

namespace backstay {
namespace {

class State {
 public:
  explicit State(const SipKey& key)
      : v0_(key.first ^ 0x736f6d6570736575),
        v1_(key.second ^ 0x646f72616e646f6d),
        v2_(key.first ^ 0x6c7967656e657261),
        v3_(key.second ^ 0x7465646279746573) {}

  void Take(uint64_t word) {
    v3_ ^= word;
    Round();
    Round();
    v0_ ^= word;
  }
  uint64_t End() {
    v2_ ^= 0xff;
    for (int round = 0; round < 4; ++round) {
      Round();
    }
    return v0_ ^ v1_ ^ v2_ ^ v3_;
  }

 private:
  void Round() {
    v0_ += v1_;
    v2_ += v3_;
    v1_ = std::rotl(v1_, 13) ^ v0_;
    v3_ = std::rotl(v3_, 16) ^ v2_;
    v0_ = std::rotl(v0_, 32) + v3_;
    v2_ += v1_;
    v1_ = std::rotl(v1_, 17) ^ v2_;
    v3_ = std::rotl(v3_, 21) ^ v0_;
    v2_ = std::rotl(v2_, 32);
  }

  uint64_t v0_;
  uint64_t v1_;
  uint64_t v2_;
  uint64_t v3_;
};

// At most eight bytes, the first one lowest.
uint64_t WordOf(Bytes bytes) {
  uint64_t word = 0;
  for (size_t at = 0; at < bytes.size(); ++at) {
    word |= uint64_t{bytes[at]} << (8 * at);
  }
  return word;
}

}  // namespace

uint64_t SipHash(const SipKey& key, Bytes bytes) {
  State state(key);
  size_t at = 0;
  for (; bytes.size() - at >= 8; at += 8) {
    state.Take(WordOf(bytes.subspan(at, 8)));
  }
  state.Take(WordOf(bytes.subspan(at)) | uint64_t{bytes.size()} << 56);
  return state.End();
}

}  // namespace backstay
