// io/sim/trace.h -- what happened in a simulated world: a hash of every event, and a text if asked.
#pragma once

#include <cstdint>
#include <cstdio>
#include <string_view>

#include "core/base/units.h"

namespace backstay {

enum class TraceKind : uint8_t {
  kTurn,      // a: completions
  kSubmit,    // a: verb, b: descriptor
  kComplete,  // a: verb, b: bytes, or kTraceError | error
  kCancel,    // a: verb
  kWake,
  kSegment,    // a: connection, b: bytes
  kConnect,    // a: connection
  kReset,      // a: connection
  kEnd,        // a: connection
  kDiskFault,  // a: number of the operation, b: kTraceError | error
  kCrash,      // a: mode
  kReachable,  // a: other host, b: yes
  kWallStep,
  kContent  // a: checksum of what was written or sent, b: offset
};

constexpr uint64_t kTraceError = uint64_t{1} << 63;

std::string_view Describe(TraceKind kind);

class TraceLog {
 public:
  void Add(Instant now, TraceKind kind, uint32_t who, uint64_t a = 0, uint64_t b = 0);
  uint64_t hash() const { return hash_; }
  void SetFile(std::FILE* file) { file_ = file; }  // null: no text

 private:
  void Fold(uint64_t word);
  void Print(Instant now, TraceKind kind, uint32_t who, uint64_t a, uint64_t b);
  uint64_t hash_ = 0xcbf29ce484222325;
  std::FILE* file_ = nullptr;
};

}  // namespace backstay
