// spool/queue_id.h -- the 16 characters that name a message for ever, and its place in the log.
//
// node 16 bits, shard 10, segment number 28, offset/64 24 = 78 bits; 16 digits of 31 symbols hold
// 79.2. Never reused: segment numbers of a shard only grow.
// See: DESIGN 3.3, spool/FORMAT.md "Queue id".
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string_view>

namespace backstay {

struct QueueId {
  uint16_t node = 0;
  uint16_t shard = 0;    // below 2^10
  uint32_t segment = 0;  // below 2^28
  uint32_t block = 0;    // offset / 64, below 2^24

  std::array<char, 16> ToText() const;
  // Exactly 16 characters of 0-9B-DF-HJ-NP-TV-Z that ToText can have made.
  static std::optional<QueueId> Parse(std::string_view text);
  friend auto operator<=>(const QueueId&, const QueueId&) = default;
};

}  // namespace backstay
