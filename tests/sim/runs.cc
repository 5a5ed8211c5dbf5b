// tests/sim/runs.cc -- plays stories and prints those that failed.
#include "tests/sim/runs.h"

#include <fmt/format.h>

#include <cstdio>

#include "core/base/check.h"
#include "tests/sim/log_tail.h"
#include "tests/sim/story.h"

namespace backstay {
namespace {

std::string running_what;  // for the crash hook: which run ASSERTed

void PrintRunning() {
  std::printf("ASSERT failed in: %s\n%s", running_what.c_str(), LogTail().c_str());
  std::fflush(stdout);
}

void Count(const Story& story, World& world, RunTotals& totals) {
  const Ledger& ledger = story.ledger();
  totals.offered += ledger.offered();
  totals.stored += ledger.stored();
  totals.deliveries += ledger.deliveries();
  totals.duplicates += ledger.duplicates();
  totals.crashes += ledger.crashes();
  totals.damages += story.damages();
  totals.events += world.events();
}

// Plays it and returns the trace hash.
uint64_t Play(const StoryPlan& plan, const std::string& name, bool trace, bool quietly,
              RunTotals& totals) {
  running_what = name;
  SetCrashHook(&PrintRunning);
  ClearLogTail();
  Story story(plan);
  if (trace) {
    story.world().SetTrace(stdout);
  }
  story.Run();
  Count(story, story.world(), totals);
  if (story.failures().empty()) {
    ++totals.passed;
  } else {
    ++totals.failed;
    std::printf("FAILED %s\n", name.c_str());
    if (!quietly) {
      std::printf("%s", plan.ToString().c_str());
    }
    for (const std::string& failure : story.failures()) {
      std::printf("  ledger: %s\n", failure.c_str());
    }
    std::printf("%s%s", story.state().c_str(), LogTail().c_str());
  }
  std::fflush(stdout);
  return story.world().trace_hash();
}

// A run without a fault: how many events and disk operations the small story has.
struct SmallStory {
  uint64_t events = 0;
  uint64_t disk_operations = 0;
};
SmallStory MeasureSmallStory(RunTotals& totals) {
  Story story(SmallPlan());
  story.Run();
  for (const std::string& failure : story.failures()) {
    std::printf("FAILED small story without a fault: %s\n%s", failure.c_str(),
                story.state().c_str());
  }
  if (!story.failures().empty()) {
    ++totals.failed;
    return {};
  }
  return {story.crash_events(), story.world().disk_operations()};
}

void ForEach(const Exhaustive& options, uint64_t count, absl::FunctionRef<void(uint64_t)> run) {
  if (options.only > 0) {
    run(options.only);
    return;
  }
  for (uint64_t number = 1; number <= count; number += options.stride) {
    run(number);
  }
}

}  // namespace

void RunSeed(uint64_t seed, const SeedOptions& options, RunTotals& totals) {
  const StoryPlan plan = DrawPlan(seed);
  const std::string name = fmt::format("seed {}\n  reproduce: ./dev sim {}", seed, seed);
  if (options.print_plan) {
    std::printf("SEED=%llu %s", static_cast<unsigned long long>(seed), plan.ToString().c_str());
  }
  const uint64_t hash = Play(plan, name, options.trace, options.print_plan, totals);
  if (options.twice) {
    RunTotals ignored;
    if (Play(plan, name, false, true, ignored) != hash) {
      ++totals.failed;
      std::printf(
          "FAILED seed %llu: the second run went another way\n  reproduce: ./dev sim %llu "
          "--twice\n",
          static_cast<unsigned long long>(seed), static_cast<unsigned long long>(seed));
    }
  }
}

void RunCrashEvery(const Exhaustive& options, RunTotals& totals) {
  const SmallStory small = MeasureSmallStory(totals);
  std::printf("the small story has %llu events\n", static_cast<unsigned long long>(small.events));
  for (const CrashMode mode :
       {CrashMode::kNothingUnsynced, CrashMode::kAllUnsynced, CrashMode::kRandom}) {
    ForEach(options, small.events, [&](uint64_t event) {
      StoryPlan plan = SmallPlan();
      plan.crash_after_event = event;
      plan.crash_mode = mode;
      Play(plan,
           fmt::format("small story, crash after event {} mode {}\n"
                       "  reproduce: ./dev sim --crash-every --only {}",
                       event, static_cast<int>(mode), event),
           options.trace, true, totals);
    });
  }
}

void RunFailEvery(const Exhaustive& options, RunTotals& totals) {
  const SmallStory small = MeasureSmallStory(totals);
  std::printf("the small story has %llu disk operations\n",
              static_cast<unsigned long long>(small.disk_operations));
  for (const IoError error : {IoError::kDevice, IoError::kNoSpace, IoError::kReadOnly}) {
    for (const bool from_then_on : {false, true}) {
      ForEach(options, small.disk_operations, [&](uint64_t operation) {
        StoryPlan plan = SmallPlan();
        plan.fail_operation = operation;
        plan.fail_error = error;
        plan.fail_from_then_on = from_then_on;
        Play(plan,
             fmt::format("small story, disk operation {} fails: {}{}\n"
                         "  reproduce: ./dev sim --fail-every --only {}",
                         operation, Describe(error), from_then_on ? ", and all after it" : "",
                         operation),
             options.trace, true, totals);
      });
    }
  }
}

}  // namespace backstay
