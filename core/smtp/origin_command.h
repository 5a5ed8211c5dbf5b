// core/smtp/origin_command.h -- XCLIENT and XFORWARD as we send them: whom the message came from.
//
// A primary that judges clients (SPF, block lists, its log) sees us otherwise. XCLIENT makes it
// take the whole session for one of that client, XFORWARD only tells.
// See: Postfix's XCLIENT_README and XFORWARD_README.
#pragma once

#include <string>
#include <string_view>

#include "core/smtp/envelope.h"

namespace backstay {

// What a primary takes, by the words of its EHLO line.
struct OriginOffer {
  bool name = false;
  bool address = false;  // without it the rest would speak of nobody
  bool port = false;
  bool protocol = false;
  bool helo = false;
  bool source = false;  // XFORWARD only

  static OriginOffer Parse(std::string_view words);
};

// With its CRLF, at most 512 bytes; empty: not offered. `verb` is "XCLIENT" or "XFORWARD".
std::string OriginCommand(std::string_view verb, const Envelope& envelope,
                          const OriginOffer& offer);

}  // namespace backstay
