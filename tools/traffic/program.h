// tools/traffic/program.h -- what the main functions of the generator and the sink share.
#pragma once

#include <string>

namespace backstay {

constexpr int kExitUsage = 64;
constexpr int kExitKernel = 69;
constexpr int kExitFile = 73;
constexpr int kExitOutput = 74;

// Buffers come and go; the heap need not be given back and faulted in again for each message.
void KeepHeap();
// To stdout if `path` is "-". A file is replaced whole: a reader sees the result before or this
// one. What is no file, as a pipe or /dev/null, is written to. False: some of it was not written.
bool WriteResult(const std::string& json, const std::string& path);

}  // namespace backstay
