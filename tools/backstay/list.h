// tools/backstay/list.h -- `backstay spool list`: one line a message.
#pragma once

#include <string>

#include "io/io.h"

namespace backstay {

struct ListOptions {
  std::string path;
  bool is_json = false;
  std::string domain;         // empty: every one
  bool with_settled = false;  // messages that are wholly settled, too
};

// Returns the exit code.
int ListMessages(Io& io, const ListOptions& options);

}  // namespace backstay
