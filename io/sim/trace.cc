// io/sim/trace.cc -- folding and printing events.
#include "io/sim/trace.h"

#include <fmt/format.h>

#include <bit>

#include "core/base/check.h"

namespace backstay {

std::string_view Describe(TraceKind kind) {
  switch (kind) {
    case TraceKind::kTurn:
      return "turn";
    case TraceKind::kSubmit:
      return "submit";
    case TraceKind::kComplete:
      return "complete";
    case TraceKind::kCancel:
      return "cancel";
    case TraceKind::kWake:
      return "wake";
    case TraceKind::kSegment:
      return "segment";
    case TraceKind::kConnect:
      return "connect";
    case TraceKind::kReset:
      return "reset";
    case TraceKind::kEnd:
      return "end";
    case TraceKind::kDiskFault:
      return "disk-fault";
    case TraceKind::kCrash:
      return "crash";
    case TraceKind::kReachable:
      return "reachable";
    case TraceKind::kWallStep:
      return "wall-step";
    case TraceKind::kContent:
      return "content";
  }
  UNREACHABLE();
}

void TraceLog::Add(Instant now, TraceKind kind, uint32_t who, uint64_t a, uint64_t b) {
  Fold(static_cast<uint64_t>(now.nanoseconds()));
  Fold(static_cast<uint64_t>(kind) << 32 | who);
  Fold(a);
  Fold(b);
  if (file_ != nullptr) {
    fmt::print(file_, "{:>15.6f} {:>3} {:<10} {} {}\n",
               static_cast<double>(now.nanoseconds()) / 1e9, who, Describe(kind), a, b);
  }
}

void TraceLog::Fold(uint64_t word) {
  hash_ = (std::rotl(hash_, 5) ^ word) * 0x9e3779b97f4a7c15;
  hash_ ^= hash_ >> 32;
}

}  // namespace backstay
