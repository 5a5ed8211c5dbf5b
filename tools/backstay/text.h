// tools/backstay/text.h -- numbers, times and foreign text as a human or a program reads them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/base/units.h"

namespace backstay {

std::string GroupedNumber(uint64_t number);     // "1,204"
std::string ReadableBytes(uint64_t bytes);      // "812 B", "12.1 MiB"
std::string ReadableAge(uint64_t seconds);      // "45s", "2h05m", "3d04h"
std::string JsonString(std::string_view text);  // in quotes; not UTF-8: U+FFFD a byte
std::string IsoTime(WallTime time);             // "2026-03-01T17:05:09Z"
// Decimal digits and nothing else; what is larger than 64 bits is none.
std::optional<uint64_t> ParseCount(std::string_view text);
// As the spool has it: lower case, no dot at the end.
std::string CanonicalDomain(std::string domain);
// For a terminal: what could control one or mislead who reads, and what is not UTF-8, as \xNN.
std::string Printable(std::string_view text);

// One JSON object on one line; members stay in the order in which they were added.
class JsonObject {
 public:
  JsonObject& Text(std::string_view name, std::string_view value);  // not UTF-8: U+FFFD a byte
  JsonObject& Number(std::string_view name, uint64_t value);
  JsonObject& Flag(std::string_view name, bool value);
  JsonObject& Json(std::string_view name, std::string_view json);  // an object, an array, null
  std::string Take() &&;

 private:
  void Begin(std::string_view name);
  std::string text_ = "{";
};

}  // namespace backstay
