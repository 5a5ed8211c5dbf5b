// core/shard/failure_text.h -- why a connection to a primary ended, in words for the operator.
#pragma once

#include <string>

#include "core/shard/outbound.h"

namespace backstay {

std::string FailureText(const OutboundConnection& connection);

}  // namespace backstay
