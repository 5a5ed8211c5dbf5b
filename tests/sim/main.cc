// tests/sim/main.cc -- backstay-sim: seed -> plan -> run -> verdict.
//
//   backstay-sim [SEED ...] [--seeds N] [--first SEED] [--seconds N] [--twice] [--trace] [--marks]
//   backstay-sim (--crash-every | --fail-every) [STRIDE] [--only N]
//
// Without a seed: fresh ones (300). One seed prints its plan. The last line counts; 1 when one
// failed.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "core/base/mark.h"
#include "core/base/random.h"
#include "tests/sim/log_tail.h"
#include "tests/sim/runs.h"

namespace backstay {
namespace {

struct Flags {
  std::vector<uint64_t> seeds;
  uint64_t seed_count = 300;
  uint64_t first_seed = 0;
  int64_t seconds = 0;
  uint64_t crash_every = 0;
  uint64_t fail_every = 0;
  uint64_t only = 0;
  bool twice = false;
  bool trace = false;
  bool marks = false;
};

unsigned long long Print(uint64_t number) {
  return number;
}

void RunSeeds(Flags& flags, RunTotals& totals) {
  SeedOptions options;
  options.twice = flags.twice;
  options.trace = flags.trace;
  options.print_plan = flags.seeds.size() == 1;
  if (flags.seeds.empty()) {
    Random fresh(std::random_device{}());
    for (uint64_t count = 0; count < flags.seed_count; ++count) {
      // Short enough to be typed.
      flags.seeds.push_back(flags.first_seed > 0 ? flags.first_seed + count
                                                 : fresh.Below(1'000'000'000));
    }
  }
  const std::time_t start = std::time(nullptr);
  for (const uint64_t seed : flags.seeds) {
    if (flags.seconds > 0 && std::time(nullptr) - start >= flags.seconds) {
      break;
    }
    RunSeed(seed, options, totals);
  }
}

void PrintMarks() {
  std::map<std::string, uint64_t> counts;  // one name may stand at several places
  for (const Mark* mark : AllMarks()) {
    counts[mark->name()] += mark->count();
  }
  std::printf("marks reached:\n");
  for (const auto& [name, count] : counts) {
    std::printf("  %-40s %llu\n", name.c_str(), Print(count));
  }
}

int Main(int argc, char** argv) {
  Flags flags;
  CLI::App app{"backstay-sim: the whole daemon in a simulated world, one story a seed."};
  app.add_option("seed", flags.seeds, "seeds to play; none: fresh ones");
  app.add_option("--seeds", flags.seed_count, "how many fresh seeds")->capture_default_str();
  app.add_option("--first", flags.first_seed, "count up from this seed instead of fresh ones");
  app.add_option("--seconds", flags.seconds, "no new seed after so many seconds");
  app.add_option("--crash-every", flags.crash_every,
                 "the small story with a crash after every N-th event (default 1)")
      ->expected(0, 1)
      ->default_str("1");
  app.add_option("--fail-every", flags.fail_every,
                 "the small story with every N-th disk operation failing (default 1)")
      ->expected(0, 1)
      ->default_str("1");
  app.add_option("--only", flags.only, "of an exhaustive mode: this event or operation only");
  app.add_flag("--twice", flags.twice, "each seed twice: both runs must be the same");
  app.add_flag("--trace", flags.trace, "print every event and log line");
  app.add_flag("--marks", flags.marks, "print which marks were reached");
  CLI11_PARSE(app, argc, argv);

  std::setvbuf(stdout, nullptr, _IOLBF, 1 << 16);
  CaptureLog(flags.trace);
  RunTotals totals;
  if (app.count("--crash-every") > 0) {
    RunCrashEvery({std::max<uint64_t>(flags.crash_every, 1), flags.only, flags.trace}, totals);
  } else if (app.count("--fail-every") > 0) {
    RunFailEvery({std::max<uint64_t>(flags.fail_every, 1), flags.only, flags.trace}, totals);
  } else {
    RunSeeds(flags, totals);
  }
  if (flags.marks) {
    PrintMarks();
  }
  std::printf(
      "%llu messages offered, %llu stored, %llu deliveries, %llu duplicates, %llu crashes, %llu "
      "damages, %llu events\n",
      Print(totals.offered), Print(totals.stored), Print(totals.deliveries),
      Print(totals.duplicates), Print(totals.crashes), Print(totals.damages), Print(totals.events));
  std::printf("%llu passed, %llu failed\n", Print(totals.passed), Print(totals.failed));
  // A simulator in which nothing is delivered proves nothing.
  return totals.failed == 0 && totals.passed > 0 && totals.deliveries > 0 ? 0 : 1;
}

}  // namespace
}  // namespace backstay

int main(int argc, char** argv) {
  return backstay::Main(argc, argv);
}
