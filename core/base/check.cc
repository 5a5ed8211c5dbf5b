// core/base/check.cc -- how a broken invariant ends the process.
#include "core/base/check.h"

#include <cstdio>
#include <cstdlib>

namespace backstay {
namespace {

CrashHook crash_hook = nullptr;

}  // namespace

void SetCrashHook(CrashHook hook) {
  crash_hook = hook;
}

void CheckFailed(const char* file, int line, const char* condition) {
  std::fprintf(stderr, "%s:%d: assertion failed: %s\n", file, line, condition);
  CrashHook hook = crash_hook;
  crash_hook = nullptr;  // a hook that asserts must not come back here
  if (hook != nullptr) {
    hook();
  }
  std::abort();
}

}  // namespace backstay
