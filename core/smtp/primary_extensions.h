// core/smtp/primary_extensions.h -- what a primary offered in its reply to EHLO.
//
// See: RFC 5321 s4.1.1.1; RFC 2920, RFC 1870 s3, RFC 6152, RFC 6531, RFC 3461,
//      RFC 9422, RFC 3207.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "core/smtp/origin_command.h"

namespace backstay {

struct PrimaryExtensions {
  bool pipelining = false;
  bool eight_bit_mime = false;
  bool smtputf8 = false;
  bool dsn = false;
  bool starttls = false;
  OriginOffer xclient;
  OriginOffer xforward;
  bool size = false;                 // SIZE= may be given with MAIL
  std::optional<uint64_t> size_max;  // none: no fixed limit
  // LIMITS (RFC 9422); none: not told.
  std::optional<uint64_t> recipients_max;         // of a transaction
  std::optional<uint64_t> recipient_domains_max;  // the same, by their domains
  std::optional<uint64_t> mails_max;              // of a session
};

// `lines`: PrimaryReply::lines. The first one is the greeting; unknown keywords are ignored.
PrimaryExtensions ParseEhloReply(std::string_view lines);

}  // namespace backstay
