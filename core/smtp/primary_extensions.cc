// core/smtp/primary_extensions.cc -- keyword by keyword, forgiving: an ill-formed line offers
// nothing.
#include "core/smtp/primary_extensions.h"

#include <charconv>

#include "core/smtp/ascii.h"
#include "core/smtp/reply_parser.h"

namespace backstay {
namespace {

// RFC 1870 s3: no number and 0 both mean that no limit is known. One that does not fit 64 bits is
// none.
std::optional<uint64_t> ParseSizeMax(std::string_view text) {
  uint64_t bytes = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), bytes);
  if (error != std::errc() || end != text.data() + text.size() || bytes == 0) {
    return std::nullopt;
  }
  return bytes;
}

}  // namespace

PrimaryExtensions ParseEhloReply(std::string_view lines) {
  PrimaryExtensions extensions;
  std::string_view line;
  PrimaryReply::NextLine(lines, line);
  while (PrimaryReply::NextLine(lines, line)) {
    line = Trimmed(line);
    const std::string_view keyword = line.substr(0, line.find(' '));
    if (EqualsIgnoringCase(keyword, "PIPELINING")) {
      extensions.pipelining = true;
    } else if (EqualsIgnoringCase(keyword, "8BITMIME")) {
      extensions.eight_bit_mime = true;
    } else if (EqualsIgnoringCase(keyword, "SIZE")) {
      extensions.size = true;
      extensions.size_max = ParseSizeMax(Trimmed(line.substr(keyword.size())));
    }
  }
  return extensions;
}

}  // namespace backstay
