// core/smtp/extensions.h -- the EHLO keywords we offer, and the parameters of MAIL with them.
//
// See: RFC 5321 s4.1.1.1, s4.1.2 (Mail-parameters); RFC 2920, RFC 1870, RFC 6152, RFC 2034,
//      RFC 3207.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/smtp/envelope.h"

namespace backstay {

struct MailParams {
  std::optional<uint64_t> size_bytes;
  BodyType body = BodyType::k7Bit;
};

enum class ParameterFault : uint8_t {
  kNone,
  kUnknown,  // 555
  kBad,      // ill-formed or repeated: 501
  kTooLarge  // SIZE= beyond what a message may have: 552
};

struct EhloOffer {
  uint64_t message_bytes_max = 0;  // 0: no limit (RFC 1870 s4)
  bool starttls = false;
};

void AppendEhloReply(std::string_view hostname, const EhloOffer& offer, std::string& output);

// The first fault from the left wins; `params` then holds what stood before it.
ParameterFault ParseMailParams(std::string_view text, uint64_t message_bytes_max,
                               MailParams& params);
// RCPT has no parameters of ours yet: anything well-formed is unknown.
ParameterFault ParseRcptParams(std::string_view text);

}  // namespace backstay
