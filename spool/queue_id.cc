// spool/queue_id.cc -- 78 bits as a number to the base 31.
#include "spool/queue_id.h"

#include "core/base/check.h"

namespace backstay {
namespace {

__extension__ using Wide = unsigned __int128;

constexpr std::string_view kDigits = "0123456789BCDFGHJKLMNPQRSTVWXYZ";
constexpr size_t kBase = 31;
static_assert(kDigits.size() == kBase);
constexpr int kShardBits = 10;
constexpr int kSegmentBits = 28;
constexpr int kBlockBits = 24;
constexpr int kAllBits = 16 + kShardBits + kSegmentBits + kBlockBits;
static_assert(kAllBits == 78);

constexpr uint32_t Low(Wide value, int bits) {
  return static_cast<uint32_t>(value & ((Wide{1} << bits) - 1));
}

}  // namespace

std::array<char, 16> QueueId::ToText() const {
  ASSERT(shard < 1u << kShardBits);
  ASSERT(segment < 1u << kSegmentBits);
  ASSERT(block < 1u << kBlockBits);
  Wide value = node;
  value = (value << kShardBits) | shard;
  value = (value << kSegmentBits) | segment;
  value = (value << kBlockBits) | block;
  std::array<char, 16> text;
  for (size_t i = text.size(); i-- > 0;) {
    text[i] = kDigits[static_cast<size_t>(value % kBase)];
    value /= kBase;
  }
  ASSERT(value == 0);
  return text;
}

std::optional<QueueId> QueueId::Parse(std::string_view text) {
  if (text.size() != 16) {
    return std::nullopt;
  }
  Wide value = 0;
  for (const char character : text) {
    const size_t digit = kDigits.find(character);
    if (digit == std::string_view::npos) {
      return std::nullopt;
    }
    value = value * kBase + digit;
  }
  if (value >> kAllBits != 0) {
    return std::nullopt;
  }
  QueueId id;
  id.block = Low(value, kBlockBits);
  id.segment = Low(value >> kBlockBits, kSegmentBits);
  id.shard = static_cast<uint16_t>(Low(value >> (kBlockBits + kSegmentBits), kShardBits));
  id.node = static_cast<uint16_t>(value >> (kBlockBits + kSegmentBits + kShardBits));
  return id;
}

}  // namespace backstay
