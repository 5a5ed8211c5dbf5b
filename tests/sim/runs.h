// tests/sim/runs.h -- what backstay-sim can be asked for: seeds, each twice, and the two exhaustive
// modes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tests/sim/plan.h"

namespace backstay {

struct RunTotals {
  uint64_t passed = 0;
  uint64_t failed = 0;
  uint64_t offered = 0;
  uint64_t stored = 0;
  uint64_t deliveries = 0;
  uint64_t duplicates = 0;
  uint64_t crashes = 0;
  uint64_t damages = 0;
  uint64_t events = 0;
};

struct SeedOptions {
  bool twice = false;  // and compare the trace hashes
  bool trace = false;
  bool print_plan = false;
};

// Plays one seed; prints what there is to know when it failed.
void RunSeed(uint64_t seed, const SeedOptions& options, RunTotals& totals);

struct Exhaustive {
  uint64_t stride = 1;
  uint64_t only = 0;  // 0: every stride-th
  bool trace = false;
};
// The small story again and again: a crash after the n-th event, in each crash mode.
void RunCrashEvery(const Exhaustive& options, RunTotals& totals);
// The small story again and again: the n-th disk operation fails, once or from then on, in each
// way.
void RunFailEvery(const Exhaustive& options, RunTotals& totals);

}  // namespace backstay
