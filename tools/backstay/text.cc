// tools/backstay/text.cc -- see the header.
#include "tools/backstay/text.h"

#include <fmt/format.h>

#include <array>
#include <cstddef>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/time/time.h"

namespace backstay {
namespace {

// How many bytes from `at` are one well-formed character (RFC 3629 s4); 0: none begins there.
size_t CharacterBytes(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t first = byte(at);
  if (first < 0x80) {
    return 1;
  }
  const size_t bytes = first >= 0xc2 && first <= 0xdf   ? 2
                       : first >= 0xe0 && first <= 0xef ? 3
                       : first >= 0xf0 && first <= 0xf4 ? 4
                                                        : 0;
  if (bytes == 0 || at + bytes > text.size()) {
    return 0;
  }
  for (size_t i = 1; i < bytes; ++i) {
    if ((byte(at + i) & 0xc0) != 0x80) {
      return 0;
    }
  }
  const uint8_t second = byte(at + 1);
  const bool is_overlong = (first == 0xe0 && second < 0xa0) || (first == 0xf0 && second < 0x90);
  const bool is_beyond = (first == 0xed && second > 0x9f) || (first == 0xf4 && second > 0x8f);
  return is_overlong || is_beyond ? 0 : bytes;
}

// C0, DEL, and C1 in its two bytes.
bool IsControl(std::string_view character) {
  const auto first = static_cast<uint8_t>(character[0]);
  const bool is_c1 = first == 0xc2 && static_cast<uint8_t>(character[1]) < 0xa0;
  return first < 0x20 || first == 0x7f || is_c1;
}

}  // namespace

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
  for (size_t at = 0; at < text.size();) {
    const size_t bytes = CharacterBytes(text, at);
    const std::string_view character = text.substr(at, bytes);
    at += bytes == 0 ? 1 : bytes;
    if (bytes == 0) {
      json += "\\ufffd";
    } else if (character == "\"" || character == "\\") {
      json += '\\';
      json += character;
    } else if (bytes == 1 && static_cast<uint8_t>(character[0]) < 0x20) {
      json += fmt::format("\\u{:04x}", static_cast<unsigned>(character[0]));
    } else {
      json += character;
    }
  }
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
  for (size_t at = 0; at < text.size();) {
    const size_t bytes = CharacterBytes(text, at);
    const size_t step = bytes == 0 ? 1 : bytes;
    const std::string_view character = text.substr(at, step);
    at += step;
    if (bytes != 0 && !IsControl(character)) {
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
