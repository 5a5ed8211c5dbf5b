// tests/fuzz/control/admin_request_fuzz.cc -- a line is a request that makes sense, or a sentence.
#include <cstddef>
#include <cstdint>

#include "core/base/bytes.h"
#include "core/base/check.h"
#include "core/control/request.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto request = backstay::ParseRequest(backstay::AsText({data, size}));
  if (!request.ok()) {
    ASSERT(!request.status().message().empty());
    return 0;
  }
  const auto rule = backstay::RuleOf(request->verb);
  if (!rule.has_value()) {
    return 0;
  }
  // Nothing happens to all mail unless all was said.
  ASSERT(request->is_all == (request->domains.empty() && request->destinations.empty()));
  for (const backstay::Rule& made : backstay::RulesOf(*request)) {
    ASSERT(RuleBytes(made) <= backstay::kRuleBytesMax);
    ASSERT(made.domains.empty() == request->domains.empty());
  }
  return 0;
}
