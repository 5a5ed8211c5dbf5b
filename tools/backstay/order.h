// tools/backstay/order.h -- `backstay queue reset|hold|release|bounce|delete|flush` and `primary`.
//
// For whole domains, or for messages: these are named by their ids, or by what they have in common,
// and then the queue is read first.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "tools/backstay/confirm.h"

namespace backstay {

struct OrderOptions {
  std::string verb;  // of the request
  bool is_all = false;
  std::vector<std::string> domains;
  std::vector<std::string> destinations;
  std::vector<std::string> ids;
  std::optional<std::string> sender;  // "<>" or "": mail without one
  std::optional<std::string> state;   // as in `queue list`
  std::optional<std::string> older;   // waits longer than this, as the configuration has it: "5d"
  bool keeps_age = false;
  bool accepts_refusals = false;
  Confirmation how;
};

// Counts first, asks at a terminal. Returns the exit code.
int Order(const std::string& endpoint, const OrderOptions& options);
// Without a question: what it does can be undone.
int OrderAtOnce(const std::string& endpoint, const OrderOptions& options);

}  // namespace backstay
