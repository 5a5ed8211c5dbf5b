// core/shard/snapshot.cc -- configuration to policies.
#include "core/shard/snapshot.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <utility>

#include "core/base/status_macros.h"

namespace backstay {
namespace {

uint64_t HashText(std::string_view text) {
  uint64_t hash = 14695981039346656037U;  // FNV-1a: only has to be the same in every shard and run
  for (const char character : text) {
    hash = (hash ^ static_cast<uint8_t>(character)) * 1099511628211U;
  }
  return hash;
}

std::string MachineName() {
  std::array<char, 256> name{};
  if (gethostname(name.data(), name.size() - 1) != 0 || name[0] == '\0') {
    return "localhost";
  }
  return name.data();
}

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  std::FILE* file = std::fopen(path.c_str(), "rb");
  if (file == nullptr) {
    return absl::NotFoundError(fmt::format("{}: cannot be opened for reading", path));
  }
  std::string text;
  std::array<char, 65536> buffer;
  size_t count = 0;
  while ((count = std::fread(buffer.data(), 1, buffer.size(), file)) > 0) {
    text.append(buffer.data(), count);
  }
  const bool failed = std::ferror(file) != 0;
  std::fclose(file);
  if (failed) {
    return absl::UnavailableError(fmt::format("{}: cannot be read to its end", path));
  }
  return text;
}

DestinationPlan PlanOf(const DomainConfig& domain) {
  DestinationPlan plan;
  for (const HostPort& host : domain.primary) {
    plan.name += fmt::format("{}{}:{}", plan.name.empty() ? "" : ",", host.host, host.port);
    if (host.address.has_value()) {
      plan.addresses.push_back(*host.address);
    }
  }
  plan.key = HashText(plan.name);
  return plan;
}

size_t DestinationIndex(Snapshot& snapshot, DestinationPlan plan) {
  for (size_t index = 0; index < snapshot.destinations.size(); ++index) {
    if (snapshot.destinations[index].key == plan.key) {
      return index;
    }
  }
  snapshot.destinations.push_back(std::move(plan));
  return snapshot.destinations.size() - 1;
}

}  // namespace
}  // namespace backstay
