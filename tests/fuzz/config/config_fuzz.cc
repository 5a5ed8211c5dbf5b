// tests/fuzz/config/config_fuzz.cc -- a text is a configuration that holds, or mistakes.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "core/base/bytes.h"
#include "core/base/check.h"
#include "core/shard/config.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::StatusOr<backstay::Config> config =
      backstay::ParseConfig(backstay::AsText({data, size}), "fuzz");
  if (!config.ok()) {
    ASSERT(!config.status().message().empty());
    return 0;
  }
  // What the rest of the program takes for granted.
  ASSERT(!config->domains.empty());
  ASSERT(!config->smtp.listen.empty());
  ASSERT(config->smtp.message_bytes_max > 0);
  for (const backstay::DomainConfig& domain : config->domains) {
    ASSERT(!domain.name.empty());
    ASSERT(domain.primary_by_mx == domain.primary.empty());
    ASSERT(!domain.retry.policy.schedule.empty());
    for (const absl::Duration wait : domain.retry.policy.schedule) {
      ASSERT(wait > absl::ZeroDuration());
    }
    ASSERT(domain.retry.policy.expire_after > absl::ZeroDuration());
  }
  return 0;
}
