// tools/backstay/cat.h -- `backstay spool cat`: one message, as the primary would be sent it.
#pragma once

#include <string>

#include "io/io.h"

namespace backstay {

struct CatOptions {
  std::string path;
  std::string queue_id;
  bool is_envelope = false;  // the envelope instead
};

// Returns the exit code.
int Cat(Io& io, const CatOptions& options);

}  // namespace backstay
