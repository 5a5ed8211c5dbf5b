// core/base/check.h -- ASSERT and UNREACHABLE: always on; a broken invariant ends the process.
//
// Errors: ours only (STYLE 28). What a peer or an operator can cause is never asserted.
#pragma once

namespace backstay {

// Prints place and condition, runs the crash hook (the trace tail), aborts.
[[noreturn]] void CheckFailed(const char* file, int line, const char* condition);

// Called once by CheckFailed before it aborts; a shard or the simulator installs its trace dump.
// Set at start-up only, before other threads exist.
using CrashHook = void (*)();
void SetCrashHook(CrashHook hook);

}  // namespace backstay

#define ASSERT(condition)                                      \
  do {                                                         \
    if (!(condition)) [[unlikely]] {                           \
      ::backstay::CheckFailed(__FILE__, __LINE__, #condition); \
    }                                                          \
  } while (false)

#define UNREACHABLE() ::backstay::CheckFailed(__FILE__, __LINE__, "unreachable")
