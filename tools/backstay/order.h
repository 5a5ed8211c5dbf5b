// tools/backstay/order.h -- `backstay queue reset|hold|release|bounce|delete|flush` and `primary`.
//
// For whole domains, or for messages: these are named by their ids, or by what they have in common,
// and then the queue is read first.
#pragma once

#include <string>
#include <vector>

namespace backstay {

struct OrderOptions {
  std::string verb;  // of the request
  std::string told;  // what the operator calls it
  bool is_all = false;
  std::vector<std::string> domains;
  std::vector<std::string> destinations;
  std::vector<std::string> ids;
  std::string sender;  // "<>": none
  std::string state;   // as in `queue list`
  std::string older;   // waits longer than this: "36h"
  bool keeps_age = false;
  bool accepts_refusals = false;
  bool is_dry_run = false;
  bool is_sure = false;  // --yes
  bool is_json = false;
};

// Counts first, asks at a terminal. Returns the exit code.
int Order(const std::string& endpoint, const OrderOptions& options);
// Without a question: what it does can be undone.
int OrderAtOnce(const std::string& endpoint, const OrderOptions& options);

}  // namespace backstay
