// core/smtp/client_command.cc -- the parser of the other direction is the check of this one.
#include "core/smtp/client_command.h"

#include <fmt/format.h>

#include "core/base/check.h"
#include "core/smtp/address.h"
#include "core/smtp/ascii.h"
#include "core/smtp/dsn_parameters.h"

namespace backstay {
namespace {

// `text` is the address in brackets.
PathFault FaultOf(const Path& path, std::string_view text, bool utf8) {
  const bool taken = path.error == PathError::kNone || path.error == PathError::kUtf8;
  if (!taken || !path.rest.empty() || path.address.size() + 2 != text.size()) {
    return PathFault::kInvalid;
  }
  return path.error == PathError::kUtf8 && !utf8 ? PathFault::kNeedsUtf8 : PathFault::kNone;
}

}  // namespace

PathFault CheckReversePath(std::string_view address, bool utf8) {
  const std::string text = fmt::format("<{}>", address);
  return FaultOf(ParseReversePath(text), text, utf8);
}

// What mail is taken for was judged at RCPT. A report goes to a reverse-path, which is taken with
// all that real senders overstep: whoever may send may also be told.
PathFault CheckForwardPath(std::string_view address, bool utf8) {
  if (address.empty()) {
    return PathFault::kInvalid;
  }
  return EqualsIgnoringCase(address, "Postmaster") ? PathFault::kNone
                                                   : CheckReversePath(address, utf8);
}

std::string MailCommand(const Envelope& envelope, uint64_t content_bytes,
                        const PrimaryExtensions& offered) {
  ASSERT(CheckReversePath(envelope.reverse_path, envelope.smtputf8) == PathFault::kNone);
  ASSERT(offered.smtputf8 || !envelope.smtputf8);
  std::string text = fmt::format("MAIL FROM:<{}>", envelope.reverse_path);
  if (offered.size) {
    text += fmt::format(" SIZE={}", content_bytes);
  }
  if (offered.eight_bit_mime && envelope.body == BodyType::k8BitMime) {
    text += " BODY=8BITMIME";
  }
  if (envelope.smtputf8) {
    text += " SMTPUTF8";
  }
  if (offered.dsn && envelope.return_content != ReturnContent::kUnspecified) {
    text += envelope.return_content == ReturnContent::kFull ? " RET=FULL" : " RET=HDRS";
  }
  if (offered.dsn && IsEnvelopeId(envelope.envelope_id)) {
    text += fmt::format(" ENVID={}", envelope.envelope_id);
  }
  text += "\r\n";
  return text;
}

std::string RcptCommand(const Envelope& envelope, const Recipient& recipient,
                        const PrimaryExtensions& offered) {
  ASSERT(CheckForwardPath(recipient.address, envelope.smtputf8) == PathFault::kNone);
  std::string text = fmt::format("RCPT TO:<{}>", recipient.address);
  if (offered.dsn && recipient.notify != 0) {
    text += fmt::format(" NOTIFY={}", NotifyText(recipient.notify));
  }
  if (offered.dsn && IsOriginalRecipient(recipient.original_recipient, envelope.smtputf8)) {
    text += fmt::format(" ORCPT={}", recipient.original_recipient);
  }
  text += "\r\n";
  return text;
}

}  // namespace backstay
