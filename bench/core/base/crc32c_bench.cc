// bench/core/base/crc32c_bench.cc -- bytes a second of the checksum that every record has.
#include "core/base/crc32c.h"

#include <benchmark/benchmark.h>

#include <vector>

namespace backstay {
namespace {

void Crc32cOfABlock(benchmark::State& state) {
  const std::vector<uint8_t> block(static_cast<size_t>(state.range(0)), 0x5a);
  for (auto _ : state) {
    benchmark::DoNotOptimize(Crc32c(0, block));
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(Crc32cOfABlock)->Arg(32)->Arg(4096)->Arg(65536);

void Crc32cOfABlockByTable(benchmark::State& state) {
  const std::vector<uint8_t> block(static_cast<size_t>(state.range(0)), 0x5a);
  for (auto _ : state) {
    benchmark::DoNotOptimize(Crc32cByTable(0, block));
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(Crc32cOfABlockByTable)->Arg(4096);

}  // namespace
}  // namespace backstay
