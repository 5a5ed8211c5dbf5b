// io/sim/trace.cc -- folding and printing events.
#include "io/sim/trace.h"

#include <fmt/format.h>

#include <bit>
#include <string>

#include "core/base/check.h"
#include "io/io_result.h"
#include "io/sim/verb.h"

namespace backstay {

std::string_view Describe(IoVerb verb) {
  switch (verb) {
    case IoVerb::kAccept:
      return "accept";
    case IoVerb::kConnect:
      return "connect";
    case IoVerb::kReceive:
      return "receive";
    case IoVerb::kSend:
      return "send";
    case IoVerb::kAsk:
      return "ask";
    case IoVerb::kOpen:
      return "open";
    case IoVerb::kRead:
      return "read";
    case IoVerb::kWrite:
      return "write";
    case IoVerb::kSyncData:
      return "sync-data";
    case IoVerb::kSyncDirectory:
      return "sync-directory";
    case IoVerb::kAllocate:
      return "allocate";
    case IoVerb::kTruncate:
      return "truncate";
    case IoVerb::kUnlink:
      return "unlink";
    case IoVerb::kRename:
      return "rename";
  }
  UNREACHABLE();
}

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
    Print(now, kind, who, a, b);
  }
}

void TraceLog::Print(Instant now, TraceKind kind, uint32_t who, uint64_t a, uint64_t b) {
  const bool has_verb =
      kind == TraceKind::kSubmit || kind == TraceKind::kComplete || kind == TraceKind::kCancel;
  const std::string first =
      has_verb ? std::string(Describe(static_cast<IoVerb>(a))) : fmt::format("{}", a);
  const bool may_be_error = kind == TraceKind::kComplete || kind == TraceKind::kDiskFault;
  const std::string second = may_be_error && (b & kTraceError) != 0
                                 ? std::string(Describe(static_cast<IoError>(b & ~kTraceError)))
                                 : fmt::format("{}", b);
  fmt::print(file_, "{}.{:09} {:>3} {:<10} {} {}\n", now.nanoseconds() / 1'000'000'000,
             now.nanoseconds() % 1'000'000'000, who, Describe(kind), first, second);
}

void TraceLog::Fold(uint64_t word) {
  hash_ = (std::rotl(hash_, 5) ^ word) * 0x9e3779b97f4a7c15;
  hash_ ^= hash_ >> 32;
}

}  // namespace backstay
