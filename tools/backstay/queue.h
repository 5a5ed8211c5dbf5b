// tools/backstay/queue.h -- `backstay queue list|show` and `mailq`: what waits in a running daemon.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace backstay {

// What a terminal shows unless more is asked for.
constexpr uint64_t kListedMax = 1000;

struct QueueOptions {
  std::vector<std::string> domains;      // none: all
  std::optional<std::string> older;      // waits longer than this: "5d"
  std::optional<uint64_t> messages_max;  // 0: no limit; not given: kListedMax, as JSON none
  std::string queue_id;                  // of show
  bool is_json = false;
};

// Each returns the exit code.
int ListQueue(const std::string& endpoint, const QueueOptions& options);
int ShowQueued(const std::string& endpoint, const QueueOptions& options);
// As postqueue -p, or with is_json as postqueue -j of Postfix.
int MailQueue(const std::string& endpoint, bool is_json);

}  // namespace backstay
