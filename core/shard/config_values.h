// core/shard/config_values.h -- the words of the configuration: sizes, durations, names, addresses.
//
// Errors: absl::InvalidArgumentError with the reason alone; the caller knows the place.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/shard/config.h"

namespace backstay {

// "123B", "4KiB", "50MiB", "1GiB", "1TiB", "0".
absl::StatusOr<uint64_t> ParseSize(std::string_view text);
// "30s", "10m", "1h", "5d", "0". At most 10 years.
absl::StatusOr<absl::Duration> ParseDuration(std::string_view text);
// A domain name of LDH labels (RFC 1035 s2.3.4 lengths) in lower case; no address, no trailing dot.
absl::StatusOr<std::string> ParseDomainName(std::string_view text);
// "192.0.2.10:25", "192.0.2.10", "[2001:db8::1]:25", "mx1.example.com", "mx1.example.com:2525".
absl::StatusOr<HostPort> ParseHostPort(std::string_view text);
// A numeric address with its port, which is not 0: who would know where it listens?
absl::StatusOr<SocketAddress> ParseListenAddress(std::string_view text);
// "zen.example:3" or "zen.example", which weighs 1.
absl::StatusOr<SmtpConfig::BlockList> ParseBlockList(std::string_view text);
// A file or directory name: not empty, no control characters.
absl::StatusOr<std::string> ParsePath(std::string_view text);

// How many single-character edits lie between the two (Levenshtein).
size_t EditDistance(std::string_view left, std::string_view right);

}  // namespace backstay
