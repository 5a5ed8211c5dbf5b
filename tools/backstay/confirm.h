// tools/backstay/confirm.h -- how many, are you sure, done: what all orders have in common.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/functional/function_ref.h"
#include "tools/backstay/daemon_client.h"

namespace backstay {

struct Confirmation {
  std::string told;  // what the operator calls it
  bool is_dry_run = false;
  bool is_sure = false;  // --yes
  bool is_json = false;
  // Of messages that were chosen by some of their domains: how many of the recipients are in
  // others. Nothing: none were chosen so.
  std::optional<uint64_t> elsewhere;
};

// `give` asks the daemon. Counts first, asks at a terminal; each returns the exit code.
int CountAskDo(const Confirmation& how, absl::FunctionRef<DaemonAnswer(bool is_dry_run)> give);
// Without a question: what it does can be undone.
int DoAtOnce(const Confirmation& how, absl::FunctionRef<DaemonAnswer(bool is_dry_run)> give);

}  // namespace backstay
