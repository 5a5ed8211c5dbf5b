// tools/backstay/top.h -- `backstay top`: the status, again and again.
#pragma once

#include <cstdint>
#include <string>

namespace backstay {

struct TopOptions {
  std::string interval = "2s";  // as the configuration has times; one second at least
  uint64_t rounds_max = 0;      // 0: until it is interrupted, or no daemon answers
  bool is_json = false;         // of each round the daemon's line alone
};

// Turn: sleeps between rounds. Returns the exit code.
int Top(const std::string& endpoint, const TopOptions& options);

}  // namespace backstay
