// core/smtp/refusal.cc -- two tables.
#include "core/smtp/refusal.h"

#include "core/base/check.h"

namespace backstay {

const Reply& RefusalOf(PathError error, const Reply& bad_syntax) {
  switch (error) {
    case PathError::kNone:
      break;
    case PathError::kSyntax:
    case PathError::kTooLong:
      return bad_syntax;
    case PathError::kUtf8:
      return replies::kAddressNotAscii;
    case PathError::kEightBit:
      return replies::kEightBit;
    case PathError::kRelayTrick:
      return replies::kRelayDenied;
  }
  UNREACHABLE();
}

const Reply& RefusalOf(ParameterFault fault) {
  switch (fault) {
    case ParameterFault::kNone:
      break;
    case ParameterFault::kUnknown:
      return replies::kUnknownParameter;
    case ParameterFault::kBad:
      return replies::kBadParameter;
    case ParameterFault::kTooLarge:
      return replies::kMessageTooBig;
  }
  UNREACHABLE();
}

}  // namespace backstay
