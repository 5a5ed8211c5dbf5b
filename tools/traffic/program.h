// tools/traffic/program.h -- what the main functions of the generator and the sink share.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/base/units.h"

namespace backstay {

constexpr int kExitUsage = 64;
constexpr int kExitKernel = 69;
constexpr int kExitFile = 73;
constexpr int kExitOutput = 74;

// Buffers come and go; the heap need not be given back and faulted in again for each message.
void KeepHeap();
// What is wrong with a number of an operator; empty: nothing. The parser of flags itself takes -1
// for 2^64 - 1.
std::string ComplainAboutCount(std::string_view text, uint64_t least, uint64_t most);
// The same of one that need not be whole, above 0.
std::string ComplainAboutRate(std::string_view text, double most);
// "2026-05-01T12:00:00Z"
std::string IsoTime(WallTime time);
// To stdout if `path` is "-". A file is replaced whole: a reader sees the result before or this
// one. What is no file, as a pipe or /dev/null, is written to. False: some of it was not written.
bool WriteResult(const std::string& json, const std::string& path);

}  // namespace backstay
