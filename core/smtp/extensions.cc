// core/smtp/extensions.cc -- keyword=value, one after the other.
#include "core/smtp/extensions.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <iterator>

#include "core/smtp/ascii.h"

namespace backstay {
namespace {

struct Parameter {
  std::string_view keyword;
  std::string_view value;  // empty: there was none
  bool well_formed = false;
};

// esmtp-keyword and esmtp-value of RFC 5321 s4.1.2.
bool IsKeyword(std::string_view text) {
  return !text.empty() && IsAlphanumeric(text.front()) &&
         std::all_of(text.begin(), text.end(),
                     [](char c) { return IsAlphanumeric(c) || c == '-'; });
}
bool IsValue(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return IsPrintable(c) && c != ' ' && c != '=';
  });
}

// Takes the first parameter off `text`, which has no blanks around it.
Parameter TakeParameter(std::string_view& text) {
  const std::string_view word = text.substr(0, text.find_first_of(" \t"));
  text = Trimmed(text.substr(word.size()));
  Parameter parameter;
  const size_t equals = word.find('=');
  parameter.keyword = word.substr(0, equals);
  parameter.well_formed = IsKeyword(parameter.keyword);
  if (equals != std::string_view::npos) {
    parameter.value = word.substr(equals + 1);
    parameter.well_formed = parameter.well_formed && IsValue(parameter.value);
  }
  return parameter;
}

// size-value of RFC 1870 s3: 1 to 20 digits.
ParameterFault TakeSize(std::string_view value, uint64_t message_bytes_max, MailParams& params) {
  constexpr size_t kDigitsMax = 20;
  if (params.size_bytes.has_value() || value.empty() || value.size() > kDigitsMax ||
      !std::all_of(value.begin(), value.end(), IsDigit)) {
    return ParameterFault::kBad;
  }
  uint64_t size = 0;
  const auto result = std::from_chars(value.data(), value.data() + value.size(), size);
  if (result.ec != std::errc() || (message_bytes_max != 0 && size > message_bytes_max)) {
    return ParameterFault::kTooLarge;
  }
  params.size_bytes = size;
  return ParameterFault::kNone;
}

ParameterFault TakeBody(std::string_view value, bool repeated, MailParams& params) {
  if (repeated) {
    return ParameterFault::kBad;
  }
  if (EqualsIgnoringCase(value, "7BIT")) {
    params.body = BodyType::k7Bit;
    return ParameterFault::kNone;
  }
  if (EqualsIgnoringCase(value, "8BITMIME")) {
    params.body = BodyType::k8BitMime;
    return ParameterFault::kNone;
  }
  return ParameterFault::kBad;  // BINARYMIME among others
}

}  // namespace

void AppendEhloReply(std::string_view hostname, const EhloOffer& offer, std::string& output) {
  fmt::format_to(std::back_inserter(output),
                 "250-{}\r\n250-PIPELINING\r\n250-SIZE {}\r\n250-8BITMIME\r\n"
                 "250-ENHANCEDSTATUSCODES\r\n{}250-VRFY\r\n250 HELP\r\n",
                 hostname, offer.message_bytes_max, offer.starttls ? "250-STARTTLS\r\n" : "");
}

ParameterFault ParseMailParams(std::string_view text, uint64_t message_bytes_max,
                               MailParams& params) {
  text = Trimmed(text);
  bool body_seen = false;
  while (!text.empty()) {
    const Parameter parameter = TakeParameter(text);
    ParameterFault fault = ParameterFault::kUnknown;
    if (!parameter.well_formed) {
      fault = ParameterFault::kBad;
    } else if (EqualsIgnoringCase(parameter.keyword, "SIZE")) {
      fault = TakeSize(parameter.value, message_bytes_max, params);
    } else if (EqualsIgnoringCase(parameter.keyword, "BODY")) {
      fault = TakeBody(parameter.value, body_seen, params);
      body_seen = true;
    }
    if (fault != ParameterFault::kNone) {
      return fault;
    }
  }
  return ParameterFault::kNone;
}

ParameterFault ParseRcptParams(std::string_view text) {
  text = Trimmed(text);
  if (text.empty()) {
    return ParameterFault::kNone;
  }
  return TakeParameter(text).well_formed ? ParameterFault::kUnknown : ParameterFault::kBad;
}

}  // namespace backstay
