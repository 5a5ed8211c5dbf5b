// core/smtp/extensions.h -- the EHLO keywords we offer, and the parameters of MAIL and RCPT with
// them.
//
// See: RFC 5321 s4.1.1.1, s4.1.2 (Mail-parameters, Rcpt-parameters); RFC 2920, RFC 1870, RFC 6152,
//      RFC 2034, RFC 3207, RFC 3461 (DSN), RFC 6531 (SMTPUTF8), RFC 9422 (LIMITS).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/smtp/envelope.h"

namespace backstay {

// Views into the command line.
struct MailParams {
  std::optional<uint64_t> size_bytes;
  BodyType body = BodyType::k7Bit;
  bool smtputf8 = false;
  ReturnContent return_content = ReturnContent::kUnspecified;
  std::string_view envelope_id;  // xtext, as given; empty: none
};

struct RcptParams {
  uint8_t notify = 0;                   // bits of Notify
  std::string_view original_recipient;  // as given; empty: none
};

enum class ParameterFault : uint8_t {
  kNone,
  kUnknown,  // 555
  kBad,      // ill-formed or repeated: 501
  kTooLarge  // SIZE= beyond what a message may have: 552
};

struct EhloOffer {
  uint64_t message_bytes_max = 0;  // 0: no limit (RFC 1870 s4)
  size_t recipients_max = 0;
  bool starttls = false;
  bool etrn = false;
  bool xclient = false;
};

void AppendEhloReply(std::string_view hostname, const EhloOffer& offer, std::string& output);

// The first fault from the left wins; `params` then holds what stood before it.
ParameterFault ParseMailParams(std::string_view text, uint64_t message_bytes_max,
                               MailParams& params);
// `utf8`: the transaction is one under SMTPUTF8.
ParameterFault ParseRcptParams(std::string_view text, bool utf8, RcptParams& params);

}  // namespace backstay
