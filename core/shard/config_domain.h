// core/shard/config_domain.h -- the [retry] and [[domain]] sections.
#pragma once

#include "core/shard/config.h"
#include "core/shard/config_section.h"

namespace backstay {

// What a [retry] section leaves for the sections below it.
struct RetryLayer {
  RetryConfig effective;
  // max_retries as written, without what a profile brought: a schedule below ends the profile.
  uint32_t max_retries_written = 0;
};

// `base` with the keys of `section` laid over it, one by one.
RetryLayer ReadRetry(ConfigSection section, const RetryLayer& base);

// Every [[domain]] of the file; there must be one. `listen` are our own addresses, which no domain
// may have as its primary.
std::vector<DomainConfig> ReadDomains(ConfigSection& top, const RetryLayer& retry,
                                      const std::vector<SocketAddress>& listen);

}  // namespace backstay
