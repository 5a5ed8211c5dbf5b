// core/smtp/refusal.h -- which reply refuses which fault of a command's argument.
#pragma once

#include "core/smtp/address.h"
#include "core/smtp/extensions.h"
#include "core/smtp/reply.h"

namespace backstay {

// `error` is not kNone. `bad_syntax` is kBadSender or kBadRecipient: RFC 3463 has a code for each.
const Reply& RefusalOf(PathError error, const Reply& bad_syntax);
// `fault` is not kNone.
const Reply& RefusalOf(ParameterFault fault);

}  // namespace backstay
