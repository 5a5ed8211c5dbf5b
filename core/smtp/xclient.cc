// core/smtp/xclient.cc -- attribute by attribute.
#include "core/smtp/xclient.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "core/base/check.h"
#include "core/smtp/address.h"
#include "core/smtp/ascii.h"
#include "core/smtp/xtext.h"

namespace backstay {
namespace {

enum class Attribute : uint8_t {
  kName,
  kAddress,
  kPort,
  kProtocol,
  kHelo,
  kLogin,
  kDestinationAddress,
  kDestinationPort
};
constexpr std::array<std::string_view, 8> kAttributes = {"NAME", "ADDR",  "PORT",     "PROTO",
                                                         "HELO", "LOGIN", "DESTADDR", "DESTPORT"};
constexpr size_t kLoginBytesMax = 255;

bool IsUnavailable(std::string_view value) {
  return EqualsIgnoringCase(value, "[UNAVAILABLE]") || EqualsIgnoringCase(value, "[TEMPUNAVAIL]");
}

// "192.0.2.1", or "IPV6:2001:db8::1".
bool TakeAddress(std::string_view value, std::optional<NumericAddress>& address) {
  constexpr std::string_view kPrefix = "IPV6:";
  const bool is_v6 = EqualsIgnoringCase(value.substr(0, kPrefix.size()), kPrefix);
  address = ParseNumericAddress(value.substr(is_v6 ? kPrefix.size() : 0), is_v6);
  return address.has_value();
}

bool TakePort(std::string_view value, std::optional<uint16_t>& port) {
  uint16_t number = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
  port = number;
  return error == std::errc() && end == value.data() + value.size();
}

bool TakeProtocol(std::string_view value, std::optional<bool>& extended) {
  extended = EqualsIgnoringCase(value, "ESMTP");
  return *extended || EqualsIgnoringCase(value, "SMTP");
}

bool TakeValue(Attribute attribute, const std::string& value, XclientAttributes& attributes) {
  XclientAttributes forgotten;
  switch (attribute) {
    case Attribute::kName:
      attributes.name = value;
      return IsHostWord(value);
    case Attribute::kAddress:
      return TakeAddress(value, attributes.address);
    case Attribute::kPort:
      return TakePort(value, attributes.port);
    case Attribute::kProtocol:
      return TakeProtocol(value, attributes.extended);
    case Attribute::kHelo:
      attributes.helo = value;
      return IsHostWord(value);
    case Attribute::kLogin:
      return !value.empty() && value.size() <= kLoginBytesMax;
    case Attribute::kDestinationAddress:
      return TakeAddress(value, forgotten.address);
    case Attribute::kDestinationPort:
      return TakePort(value, forgotten.port);
  }
  UNREACHABLE();
}

// `seen`: bits of the attributes before this one.
bool TakeAttribute(std::string_view word, unsigned& seen, XclientAttributes& attributes) {
  const size_t equals = std::min(word.find('='), word.size());
  const auto* found =
      std::find_if(kAttributes.begin(), kAttributes.end(), [&](std::string_view attribute) {
        return EqualsIgnoringCase(attribute, word.substr(0, equals));
      });
  if (found == kAttributes.end() || equals == word.size()) {
    return false;
  }
  const auto index = static_cast<unsigned>(found - kAttributes.begin());
  if ((seen & 1U << index) != 0) {
    return false;
  }
  seen |= 1U << index;
  const auto attribute = static_cast<Attribute>(index);
  const std::optional<std::string> value = DecodeXtext(word.substr(equals + 1));
  if (!value.has_value() || !IsUnavailable(*value)) {
    return value.has_value() && TakeValue(attribute, *value, attributes);
  }
  if (attribute == Attribute::kName) {
    attributes.name = "";
  } else if (attribute == Attribute::kHelo) {
    attributes.helo = "";
  }
  return true;
}

}  // namespace

std::optional<XclientAttributes> ParseXclient(std::string_view argument) {
  XclientAttributes attributes;
  unsigned seen = 0;
  argument = Trimmed(argument);
  do {
    const std::string_view word = argument.substr(0, argument.find_first_of(" \t"));
    argument = Trimmed(argument.substr(word.size()));
    if (!TakeAttribute(word, seen, attributes)) {
      return std::nullopt;
    }
  } while (!argument.empty());
  return attributes;
}

}  // namespace backstay
