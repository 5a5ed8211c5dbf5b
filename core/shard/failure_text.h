// core/shard/failure_text.h -- why a connection to a primary ended, and what it said, in words.
#pragma once

#include <string>

#include "core/shard/outbound.h"
#include "core/smtp/outcome.h"

namespace backstay {

// What was said to a message, as its sender may read it.
std::string AnswerText(const Outcome& outcome);
std::string FailureText(const OutboundConnection& connection);
// The same behind the address.
std::string FailureThere(const OutboundConnection& connection);
// Before it got through EHLO: the host is there, but slow, or says not now.
bool IsSoftFailure(const OutboundConnection& connection);

}  // namespace backstay
