// tests/sim/log_tail.cc -- a bounded list of log lines.
#include "tests/sim/log_tail.h"

#include <cstdio>
#include <deque>
#include <string_view>

#include "core/base/log.h"

namespace backstay {
namespace {

constexpr size_t kLinesMax = 40;
bool print_lines = false;

// One a process, as the log itself is.
std::deque<std::string>& Lines() {
  static std::deque<std::string> lines;
  return lines;
}

void Keep(LogLevel, std::string_view line) {
  if (print_lines) {
    std::printf("  log: %.*s\n", static_cast<int>(line.size()), line.data());
  }
  Lines().emplace_back(line);
  if (Lines().size() > kLinesMax) {
    Lines().pop_front();
  }
}

}  // namespace

void CaptureLog(bool print) {
  print_lines = print;
  SetLogSink(&Keep);
}

void ClearLogTail() {
  Lines().clear();
}

std::string LogTail() {
  std::string text;
  for (const std::string& line : Lines()) {
    text += "  log: " + line + "\n";
  }
  return text;
}

}  // namespace backstay
