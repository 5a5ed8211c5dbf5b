// spool/items.h -- rows of fixed-size items to bytes and back, as they lie in memory.
//
// Pure. For footers and checkpoints: format.h asserts that the layouts have no padding.
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "core/base/bytes.h"

namespace backstay {

template <typename Item>
void PutItems(std::vector<uint8_t>& out, std::span<const Item> items) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(items.data());
  out.insert(out.end(), bytes, bytes + items.size_bytes());
}

template <typename Item>
void PutItem(std::vector<uint8_t>& out, const Item& item) {
  PutItems(out, std::span<const Item>(&item, 1));
}

// Takes `count` items off the front of `left`. Nothing: there are fewer.
template <typename Item>
std::optional<std::vector<Item>> TakeItems(Bytes& left, uint64_t count) {
  if (count > left.size() / sizeof(Item)) {
    return std::nullopt;
  }
  std::vector<Item> items(static_cast<size_t>(count));
  const size_t bytes = items.size() * sizeof(Item);
  if (bytes > 0) {
    std::memcpy(items.data(), left.data(), bytes);
  }
  left = left.subspan(bytes);
  return items;
}

template <typename Item>
std::optional<Item> TakeItem(Bytes& left) {
  if (left.size() < sizeof(Item)) {
    return std::nullopt;
  }
  Item item;
  std::memcpy(&item, left.data(), sizeof(item));
  left = left.subspan(sizeof(item));
  return item;
}

// A name with its length (2) before it.
inline void PutText(std::vector<uint8_t>& out, std::string_view text) {
  PutItem(out, static_cast<uint16_t>(text.size()));
  PutItems(out, std::span<const char>(text));
}

// The view is into `left`.
inline std::optional<std::string_view> TakeText(Bytes& left) {
  const auto bytes = TakeItem<uint16_t>(left);
  if (!bytes.has_value() || *bytes > left.size()) {
    return std::nullopt;
  }
  const std::string_view text = AsText(left.first(*bytes));
  left = left.subspan(*bytes);
  return text;
}

}  // namespace backstay
