// tools/backstay/text.cc -- see the header.
#include "tools/backstay/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <system_error>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/time/time.h"
#include "core/base/json_text.h"
#include "core/base/utf8.h"

namespace backstay {
std::string GroupedNumber(uint64_t number) {
  const std::string digits = std::to_string(number);
  std::string text;
  for (size_t at = 0; at < digits.size(); ++at) {
    if (at > 0 && (digits.size() - at) % 3 == 0) {
      text += ',';
    }
    text += digits[at];
  }
  return text;
}

std::string ReadableBytes(uint64_t bytes) {
  constexpr std::array<std::string_view, 5> kUnits = {"B", "KiB", "MiB", "GiB", "TiB"};
  auto value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 1024 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", value, kUnits[unit]);
}

std::string JsonString(std::string_view text) {
  std::string json = "\"";
  AppendJsonText(text, json);
  return json + "\"";
}

std::string ReadableAge(uint64_t seconds) {
  const uint64_t minutes = seconds / 60;
  const uint64_t hours = minutes / 60;
  if (minutes == 0) {
    return fmt::format("{}s", seconds);
  }
  if (hours == 0) {
    return fmt::format("{}m{:02}s", minutes, seconds % 60);
  }
  return hours < 24 ? fmt::format("{}h{:02}m", hours, minutes % 60)
                    : fmt::format("{}d{:02}h", hours / 24, hours % 24);
}

std::optional<uint64_t> ParseCount(std::string_view text) {
  uint64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  return error == std::errc() && stop == end ? std::optional(number) : std::nullopt;
}

std::string CanonicalDomain(std::string domain) {
  absl::AsciiStrToLower(&domain);
  if (!domain.empty() && domain.back() == '.') {
    domain.pop_back();
  }
  return domain;
}

std::string IsoTime(WallTime time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", absl::FromUnixNanos(time.nanoseconds()),
                          absl::UTCTimeZone());
}

std::string Printable(std::string_view text) {
  std::string output;
  while (!text.empty()) {
    const size_t bytes = Utf8Bytes(text);
    const std::string_view character = text.substr(0, std::max<size_t>(bytes, 1));
    text.remove_prefix(character.size());
    if (bytes != 0 && !Misleads(character)) {
      output += character;
      continue;
    }
    for (const char byte : character) {
      output += fmt::format("\\x{:02x}", static_cast<unsigned>(static_cast<uint8_t>(byte)));
    }
  }
  return output;
}

void JsonObject::Begin(std::string_view name) {
  text_ += text_.size() > 1 ? "," : "";
  text_ += JsonString(name);
  text_ += ':';
}

JsonObject& JsonObject::Text(std::string_view name, std::string_view value) {
  Begin(name);
  text_ += JsonString(value);
  return *this;
}

JsonObject& JsonObject::Number(std::string_view name, uint64_t value) {
  Begin(name);
  text_ += std::to_string(value);
  return *this;
}

JsonObject& JsonObject::Flag(std::string_view name, bool value) {
  Begin(name);
  text_ += value ? "true" : "false";
  return *this;
}

JsonObject& JsonObject::Json(std::string_view name, std::string_view json) {
  Begin(name);
  text_ += json;
  return *this;
}

std::string JsonObject::Take() && {
  return std::move(text_) + "}";
}

}  // namespace backstay
