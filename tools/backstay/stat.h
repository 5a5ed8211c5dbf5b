// tools/backstay/stat.h -- `backstay spool stat`: how much of what is in the spool, and for whom.
#pragma once

#include <string>

#include "io/io.h"

namespace backstay {

struct StatOptions {
  std::string path;
  bool is_json = false;
};

// Returns the exit code.
int Stat(Io& io, const StatOptions& options);

}  // namespace backstay
