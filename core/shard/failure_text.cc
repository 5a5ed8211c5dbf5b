// core/shard/failure_text.cc -- sentences for each way in which a connection can end.
#include "core/shard/failure_text.h"

#include <fmt/format.h>

#include "core/base/check.h"
#include "core/base/log.h"

namespace backstay {
namespace {

using Failure = ClientSession::Failure;

std::string_view Describe(Failure failure) {
  switch (failure) {
    case Failure::kNone:
      return "closed";
    case Failure::kClosedBeforeGreeting:
      return "closed before its greeting";
    case Failure::kRefusedGreeting:
      return "refused us in its greeting";
    case Failure::kDeferredGreeting:
      return "put us off in its greeting";
    case Failure::kRefusedEhlo:
      return "refused EHLO and HELO";
    case Failure::kDeferredEhlo:
      return "put us off at EHLO";
    case Failure::kConnectionLost:
      return "connection lost";
    case Failure::kServiceClosing:
      return "closed its service (421)";
    case Failure::kProtocol:
      return "broke the protocol";
    case Failure::kSelf:
      return "is this server itself";
    case Failure::kTlsNotOffered:
      return "STARTTLS is not offered";
    case Failure::kTlsRefused:
      return "STARTTLS was refused";
    case Failure::kTlsFailed:
      return "TLS failed";
    case Failure::kNotAdmitted:
      return "wants TLS or a login before mail";
  }
  UNREACHABLE();
}

// RFC 3463 s3.8: X.7.4 is "security features not supported", X.7.5 "cryptographic failure".
std::string_view RequiredCode(Failure failure) {
  return failure == Failure::kTlsNotOffered ? "4.7.4" : "4.7.5";
}

std::string_view HandshakeFault(const OutboundConnection& connection) {
  if (!connection.tls_failure().empty()) {
    return connection.tls_failure();
  }
  return connection.deadline_passed() ? "no answer in time" : "connection closed";
}

}  // namespace

std::string AnswerText(const Outcome& outcome) {
  return outcome.enhanced.empty() ? outcome.text
                                  : fmt::format("{} {}", outcome.enhanced, outcome.text);
}

std::string FailureText(const OutboundConnection& connection) {
  if (connection.connect_error() != IoError::kNone) {
    return fmt::format("connect: {}", backstay::Describe(connection.connect_error()));
  }
  const ClientSession& session = connection.session();
  if (connection.deadline_passed() && !connection.tls_failed()) {
    return "no answer in time";
  }
  std::string text(Describe(session.failure()));
  if (connection.tls_failed() && !connection.tls_fallback()) {
    text = fmt::format("{} TLS is required, but {}", RequiredCode(session.failure()), text);
  }
  if (session.failure() == Failure::kTlsFailed) {
    return fmt::format("{}: {}", text, HandshakeFault(connection));
  }
  if (session.failure() == Failure::kTlsNotOffered) {
    return text;
  }
  if (session.last_code() != 0) {
    text += fmt::format(", last reply: {} {}", session.last_code(), Escaped(session.last_text()));
  }
  return text;
}

std::string FailureThere(const OutboundConnection& connection) {
  return fmt::format("{}: {}", connection.address().ToString(), FailureText(connection));
}

bool IsSoftFailure(const OutboundConnection& connection) {
  const Failure failure = connection.session().failure();
  return connection.connect_error() == IoError::kNone &&
         (failure == Failure::kDeferredGreeting || failure == Failure::kDeferredEhlo ||
          failure == Failure::kServiceClosing || connection.deadline_passed());
}

}  // namespace backstay
