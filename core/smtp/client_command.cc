// core/smtp/client_command.cc -- the parser of the other direction is the check of this one.
#include "core/smtp/client_command.h"

#include <fmt/format.h>

#include "core/base/check.h"
#include "core/smtp/address.h"

namespace backstay {
namespace {

// `text` is the address in brackets.
PathFault FaultOf(const Path& path, std::string_view text) {
  if (path.error == PathError::kUtf8) {
    return PathFault::kNeedsUtf8;
  }
  const bool whole =
      path.error == PathError::kNone && path.rest.empty() && path.address.size() + 2 == text.size();
  return whole ? PathFault::kNone : PathFault::kInvalid;
}

}  // namespace

PathFault CheckReversePath(std::string_view address) {
  const std::string text = fmt::format("<{}>", address);
  return FaultOf(ParseReversePath(text), text);
}

PathFault CheckForwardPath(std::string_view address) {
  const std::string text = fmt::format("<{}>", address);
  return FaultOf(ParseForwardPath(text), text);
}

std::string MailCommand::Text() const {
  ASSERT(CheckReversePath(reverse_path) == PathFault::kNone);
  std::string text = fmt::format("MAIL FROM:<{}>", reverse_path);
  if (size_bytes.has_value()) {
    text += fmt::format(" SIZE={}", *size_bytes);
  }
  if (eight_bit_mime) {
    text += " BODY=8BITMIME";
  }
  text += "\r\n";
  return text;
}

std::string RcptCommand(std::string_view address) {
  ASSERT(CheckForwardPath(address) == PathFault::kNone);
  return fmt::format("RCPT TO:<{}>\r\n", address);
}

}  // namespace backstay
