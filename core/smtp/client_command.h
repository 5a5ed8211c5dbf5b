// core/smtp/client_command.h -- MAIL and RCPT as we send them, built of checked tokens only.
//
// What lies in the spool was checked when it came in. It is checked again here, the last place
// before the wire: nothing but one whole mailbox can pass, so no CR, no LF and no second command
// (a CRLF in a value would inject RCPT commands).
// See: RFC 5321 s4.1.1.2, s4.1.1.3; RFC 1870 s6, RFC 6152 s2.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace backstay {

enum class PathFault : uint8_t { kNone, kInvalid, kNeedsUtf8 };

// Addresses without brackets. The empty reverse-path is the null reverse-path.
PathFault CheckReversePath(std::string_view address);
PathFault CheckForwardPath(std::string_view address);

struct MailCommand {
  std::string_view reverse_path;       // checked
  std::optional<uint64_t> size_bytes;  // none: not given
  bool eight_bit_mime = false;

  std::string Text() const;
};

// `address`: checked.
std::string RcptCommand(std::string_view address);

}  // namespace backstay
