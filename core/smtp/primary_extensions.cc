// core/smtp/primary_extensions.cc -- keyword by keyword, forgiving: an ill-formed line offers
// nothing.
#include "core/smtp/primary_extensions.h"

#include <algorithm>
#include <charconv>

#include "core/smtp/ascii.h"
#include "core/smtp/reply_parser.h"

namespace backstay {
namespace {

// RFC 1870 s3: no number and 0 both mean that no limit is known. One that does not fit 64 bits is
// none. A limit of 0 in LIMITS would say that nothing is taken at all, but EHLO was answered 250.
std::optional<uint64_t> ParseLimit(std::string_view text) {
  uint64_t limit = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), limit);
  if (error != std::errc() || end != text.data() + text.size() || limit == 0) {
    return std::nullopt;
  }
  return limit;
}

// RFC 9422 s3: words such as RCPTMAX=100; unknown ones are ignored.
void ParseLimits(std::string_view words, PrimaryExtensions& extensions) {
  while (!words.empty()) {
    words = Trimmed(words);
    const std::string_view word = words.substr(0, words.find(' '));
    words.remove_prefix(word.size());
    const std::string_view name = word.substr(0, word.find('='));
    const auto limit = ParseLimit(word.substr(std::min(name.size() + 1, word.size())));
    if (EqualsIgnoringCase(name, "RCPTMAX")) {
      extensions.recipients_max = limit;
    } else if (EqualsIgnoringCase(name, "RCPTDOMAINMAX")) {
      extensions.recipient_domains_max = limit;
    } else if (EqualsIgnoringCase(name, "MAILMAX")) {
      extensions.mails_max = limit;
    }
  }
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
    } else if (EqualsIgnoringCase(keyword, "SMTPUTF8")) {
      extensions.smtputf8 = true;
    } else if (EqualsIgnoringCase(keyword, "DSN")) {
      extensions.dsn = true;
    } else if (EqualsIgnoringCase(keyword, "STARTTLS")) {
      extensions.starttls = true;
    } else if (EqualsIgnoringCase(keyword, "SIZE")) {
      extensions.size = true;
      extensions.size_max = ParseLimit(Trimmed(line.substr(keyword.size())));
    } else if (EqualsIgnoringCase(keyword, "XCLIENT")) {
      extensions.xclient = OriginOffer::Parse(line.substr(keyword.size()));
    } else if (EqualsIgnoringCase(keyword, "XFORWARD")) {
      extensions.xforward = OriginOffer::Parse(line.substr(keyword.size()));
    } else if (EqualsIgnoringCase(keyword, "LIMITS")) {
      ParseLimits(line.substr(keyword.size()), extensions);
    }
  }
  return extensions;
}

}  // namespace backstay
