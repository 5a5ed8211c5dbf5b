// core/base/compact_text.h -- a short text that is kept for long and read seldom: one pointer wide.
//
// Owns: one block of exactly its bytes; none when empty.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <string_view>
#include <utility>

#include "core/base/check.h"

namespace backstay {

class CompactText {
 public:
  std::string_view view() const {
    if (block_ == nullptr) {
      return {};
    }
    uint16_t bytes = 0;
    std::memcpy(&bytes, block_.get(), sizeof(bytes));
    return {block_.get() + sizeof(bytes), bytes};
  }
  // Allocates only when the text is another one.
  void Assign(std::string_view text) {
    if (text == view()) {
      return;
    }
    ASSERT(text.size() <= std::numeric_limits<uint16_t>::max());
    const auto bytes = static_cast<uint16_t>(text.size());
    std::unique_ptr<char[]> block;
    if (bytes > 0) {
      block.reset(new char[sizeof(bytes) + bytes]);
      std::memcpy(block.get(), &bytes, sizeof(bytes));
      std::memcpy(block.get() + sizeof(bytes), text.data(), bytes);
    }
    block_ = std::move(block);
  }

 private:
  std::unique_ptr<char[]> block_;  // its length in two bytes, then the text
};
static_assert(sizeof(CompactText) == sizeof(void*));

}  // namespace backstay
