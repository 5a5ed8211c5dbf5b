// tools/load/replay.h -- real messages from a folder of .eml files or an mbox file.
//
// Line ends become CRLF, a CR inside a line and NUL go: a server is right to refuse them.
//
// Owns:   all of them, in memory.
// Errors: absl::Status: which file.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace backstay {

// Messages in the order of the names, or of the file; at least one.
absl::StatusOr<std::vector<std::string>> LoadReplay(const std::string& path);

std::string WithCrlf(std::string_view text);
// Split at lines that begin with "From "; those are no part of a message.
std::vector<std::string> SplitMbox(std::string_view text);

}  // namespace backstay
