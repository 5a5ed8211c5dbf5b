// core/smtp/primary_extensions.h -- what a primary offered in its reply to EHLO.
//
// See: RFC 5321 s4.1.1.1; RFC 2920, RFC 1870 s3, RFC 6152.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace backstay {

struct PrimaryExtensions {
  bool pipelining = false;
  bool eight_bit_mime = false;
  bool size = false;                 // SIZE= may be given with MAIL
  std::optional<uint64_t> size_max;  // none: no fixed limit
};

// `lines`: PrimaryReply::lines. The first one is the greeting; unknown keywords are ignored.
PrimaryExtensions ParseEhloReply(std::string_view lines);

}  // namespace backstay
