// core/smtp/extensions.cc -- keyword=value, one after the other.
#include "core/smtp/extensions.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <iterator>

#include "core/base/check.h"
#include "core/base/text.h"
#include "core/smtp/ascii.h"
#include "core/smtp/dsn_parameters.h"

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
// RFC 6531 s3.3 adds what is not ASCII; whether it is UTF-8 there, is for the parameter to judge.
bool IsValue(std::string_view text, bool utf8) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [utf8](char c) {
    return (IsPrintable(c) && c != ' ' && c != '=') ||
           (utf8 && static_cast<unsigned char>(c) >= 0x80);
  });
}

// Takes the first parameter off `text`, which has no blanks around it.
Parameter TakeParameter(std::string_view& text, bool utf8) {
  const std::string_view word = text.substr(0, text.find_first_of(" \t"));
  text = Trimmed(text.substr(word.size()));
  Parameter parameter;
  const size_t equals = word.find('=');
  parameter.keyword = word.substr(0, equals);
  parameter.well_formed = IsKeyword(parameter.keyword);
  if (equals != std::string_view::npos) {
    parameter.value = word.substr(equals + 1);
    parameter.well_formed = parameter.well_formed && IsValue(parameter.value, utf8);
  }
  return parameter;
}

// size-value of RFC 1870 s3: 1 to 20 digits.
ParameterFault TakeSize(std::string_view value, uint64_t message_bytes_max, MailParams& params) {
  constexpr size_t kDigitsMax = 20;
  if (value.empty() || value.size() > kDigitsMax ||
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

template <typename Value>
struct Choice {
  std::string_view text;
  Value value;
};

template <typename Value, size_t kCount>
ParameterFault TakeChoice(std::string_view text, const Choice<Value> (&choices)[kCount],
                          Value& value) {
  for (const Choice<Value>& choice : choices) {
    if (EqualsIgnoringCase(choice.text, text)) {
      value = choice.value;
      return ParameterFault::kNone;
    }
  }
  return ParameterFault::kBad;
}

constexpr Choice<BodyType> kBodies[] = {{"7BIT", BodyType::k7Bit},
                                        {"8BITMIME", BodyType::k8BitMime}};  // not BINARYMIME
constexpr Choice<ReturnContent> kReturns[] = {{"FULL", ReturnContent::kFull},
                                              {"HDRS", ReturnContent::kHeaders}};

enum class MailKeyword : uint8_t { kSize, kBody, kSmtpUtf8, kReturn, kEnvelopeId };
constexpr std::array<std::string_view, 5> kMailKeywords = {"SIZE", "BODY", "SMTPUTF8", "RET",
                                                           "ENVID"};

// `seen`: bits of the keywords before this one.
ParameterFault TakeMailParameter(const Parameter& parameter, uint64_t message_bytes_max,
                                 unsigned& seen, MailParams& params) {
  const auto* found = std::find_if(
      kMailKeywords.begin(), kMailKeywords.end(),
      [&](std::string_view keyword) { return EqualsIgnoringCase(keyword, parameter.keyword); });
  if (found == kMailKeywords.end()) {
    return ParameterFault::kUnknown;
  }
  const auto index = static_cast<unsigned>(found - kMailKeywords.begin());
  if ((seen & 1U << index) != 0) {
    return ParameterFault::kBad;
  }
  seen |= 1U << index;
  switch (static_cast<MailKeyword>(index)) {
    case MailKeyword::kSize:
      return TakeSize(parameter.value, message_bytes_max, params);
    case MailKeyword::kBody:
      return TakeChoice(parameter.value, kBodies, params.body);
    case MailKeyword::kSmtpUtf8:
      params.smtputf8 = true;
      return parameter.value.empty() ? ParameterFault::kNone : ParameterFault::kBad;
    case MailKeyword::kReturn:
      return TakeChoice(parameter.value, kReturns, params.return_content);
    case MailKeyword::kEnvelopeId:
      params.envelope_id = parameter.value;
      return IsEnvelopeId(parameter.value) ? ParameterFault::kNone : ParameterFault::kBad;
  }
  UNREACHABLE();
}

ParameterFault TakeRcptParameter(const Parameter& parameter, bool utf8, RcptParams& params) {
  if (EqualsIgnoringCase(parameter.keyword, "NOTIFY")) {
    const std::optional<uint8_t> notify = ParseNotify(parameter.value);
    if (params.notify != 0 || !notify.has_value()) {
      return ParameterFault::kBad;
    }
    params.notify = *notify;
    return ParameterFault::kNone;
  }
  if (EqualsIgnoringCase(parameter.keyword, "ORCPT")) {
    if (!params.original_recipient.empty() || !IsOriginalRecipient(parameter.value, utf8)) {
      return ParameterFault::kBad;
    }
    params.original_recipient = parameter.value;
    return ParameterFault::kNone;
  }
  return ParameterFault::kUnknown;
}

}  // namespace

void AppendEhloReply(std::string_view hostname, const EhloOffer& offer, std::string& output) {
  output.append("250-").append(hostname).append("\r\n250-PIPELINING\r\n250-SIZE ");
  AppendNumber(output, offer.message_bytes_max);
  output.append(
      "\r\n250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n250-SMTPUTF8\r\n250-DSN\r\n"
      "250-LIMITS RCPTMAX=");
  AppendNumber(output, offer.recipients_max);
  output.append("\r\n")
      .append(offer.starttls ? "250-STARTTLS\r\n" : "")
      .append(offer.etrn ? "250-ETRN\r\n" : "")
      .append(offer.xclient ? "250-XCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT\r\n"
                            : "")
      .append("250-VRFY\r\n250 HELP\r\n");
}

ParameterFault ParseMailParams(std::string_view text, uint64_t message_bytes_max,
                               MailParams& params) {
  text = Trimmed(text);
  unsigned seen = 0;
  ParameterFault fault = ParameterFault::kNone;
  while (!text.empty() && fault == ParameterFault::kNone) {
    const Parameter parameter = TakeParameter(text, /*utf8=*/false);
    fault = parameter.well_formed ? TakeMailParameter(parameter, message_bytes_max, seen, params)
                                  : ParameterFault::kBad;
  }
  return fault;
}

ParameterFault ParseRcptParams(std::string_view text, bool utf8, RcptParams& params) {
  text = Trimmed(text);
  ParameterFault fault = ParameterFault::kNone;
  while (!text.empty() && fault == ParameterFault::kNone) {
    const Parameter parameter = TakeParameter(text, utf8);
    fault =
        parameter.well_formed ? TakeRcptParameter(parameter, utf8, params) : ParameterFault::kBad;
  }
  return fault;
}

}  // namespace backstay
