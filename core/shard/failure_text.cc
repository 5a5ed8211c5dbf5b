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
  }
  UNREACHABLE();
}

}  // namespace

std::string FailureText(const OutboundConnection& connection) {
  if (connection.connect_error() != IoError::kNone) {
    return fmt::format("connect: {}", backstay::Describe(connection.connect_error()));
  }
  if (connection.deadline_passed()) {
    return "no answer in time";
  }
  const ClientSession& session = connection.session();
  std::string text(Describe(session.failure()));
  if (session.last_code() != 0) {
    text += fmt::format(", last reply: {} {}", session.last_code(), Escaped(session.last_text()));
  }
  return text;
}

}  // namespace backstay
