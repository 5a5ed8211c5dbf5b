// core/smtp/xclient.h -- XCLIENT: what a trusted proxy says of the client behind it, read.
//
// See: Postfix's XCLIENT_README; RFC 3461 s4 (xtext).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/smtp/numeric_address.h"

namespace backstay {

// What the command names. A value that the proxy does not have ([UNAVAILABLE], [TEMPUNAVAIL]) is
// empty where a text may be, and otherwise not there: what was known before stands.
struct XclientAttributes {
  std::optional<std::string> name;  // of the client by DNS
  std::optional<NumericAddress> address;
  std::optional<uint16_t> port;
  std::optional<bool> extended;  // PROTO=ESMTP
  std::optional<std::string> helo;
};

// Nothing: an attribute that is none, or twice there, or has a value that it cannot have. LOGIN,
// DESTADDR and DESTPORT are checked and forgotten: nobody logs in here.
std::optional<XclientAttributes> ParseXclient(std::string_view argument);

}  // namespace backstay
