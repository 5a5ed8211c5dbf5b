// tools/backstay/verify.h -- `backstay spool verify`: is everything in the spool as it was written?
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "io/io.h"

namespace backstay {

struct VerifyOptions {
  std::string path;
  bool is_json = false;
  std::optional<uint16_t> shard;  // nothing: all of them
};

// Returns the exit code.
int Verify(Io& io, const VerifyOptions& options);

}  // namespace backstay
