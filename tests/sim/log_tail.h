// tests/sim/log_tail.h -- the operator log of a simulated daemon: the last lines are kept for the
// report.
#pragma once

#include <string>

namespace backstay {

// From now on log lines go here instead of stderr; `print`: also to stdout at once.
void CaptureLog(bool print);
void ClearLogTail();
std::string LogTail();

}  // namespace backstay
