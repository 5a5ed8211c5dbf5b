// core/smtp/client_command.h -- MAIL and RCPT as we send them, built of checked tokens only.
//
// What lies in the spool was checked when it came in. It is checked again here, the last place
// before the wire: nothing but one whole mailbox can pass, so no CR, no LF and no second command
// (a CRLF in a value would inject RCPT commands). A parameter that does not pass is left away.
// See: RFC 5321 s4.1.1.2, s4.1.1.3; RFC 1870 s6, RFC 6152 s2, RFC 3461 s5.2.1, RFC 6531 s3.4.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/smtp/envelope.h"
#include "core/smtp/primary_extensions.h"

namespace backstay {

enum class PathFault : uint8_t { kNone, kInvalid, kNeedsUtf8 };

// Addresses without brackets. The empty reverse-path is the null reverse-path. As a forward-path
// all passes that may be a reverse-path, for a report goes to one; "Postmaster" has no domain.
// `utf8`: the message is one under SMTPUTF8.
PathFault CheckReversePath(std::string_view address, bool utf8);
PathFault CheckForwardPath(std::string_view address, bool utf8);

// With the parameters that the primary offers; without its 8BITMIME 8-bit mail goes as it is
// (DESIGN 8). The paths are checked.
std::string MailCommand(const Envelope& envelope, uint64_t content_bytes,
                        const PrimaryExtensions& offered);
std::string RcptCommand(const Envelope& envelope, const Recipient& recipient,
                        const PrimaryExtensions& offered);

}  // namespace backstay
