// bench/core/smtp/command_bench.cc -- lines a second of what clients say before their data.
#include "core/smtp/command.h"

#include <benchmark/benchmark.h>

#include "core/base/check.h"
#include "core/smtp/address.h"

namespace backstay {
namespace {

constexpr std::string_view kMail = "MAIL FROM:<someone.else@sender.example> SIZE=4096\r\n";

void ParseALine(benchmark::State& state) {
  for (auto _ : state) {
    const Command command = ParseCommand(kMail);
    ASSERT(command.verb == Verb::kMail);
    benchmark::DoNotOptimize(command);
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(ParseALine);

void ParseAPath(benchmark::State& state) {
  constexpr std::string_view path = "<someone.else@sender.example> SIZE=4096";
  for (auto _ : state) {
    const Path parsed = ParseReversePath(path);
    ASSERT(parsed.error == PathError::kNone);
    benchmark::DoNotOptimize(parsed);
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(ParseAPath);

}  // namespace
}  // namespace backstay
