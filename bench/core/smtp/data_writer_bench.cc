// bench/core/smtp/data_writer_bench.cc -- bytes a second of stored content onto the wire.
#include "core/smtp/data_writer.h"

#include <benchmark/benchmark.h>

#include "bench/core/smtp/mail_text.h"

namespace backstay {
namespace {

void WriteData(benchmark::State& state) {
  const bool dotted = state.range(1) != 0;
  const std::string stored = MailText(static_cast<size_t>(state.range(0)), dotted);
  std::string wire;
  for (auto _ : state) {
    wire.clear();
    DataWriter writer;
    writer.Start(dotted);
    writer.Write(AsBytes(stored), wire);
    writer.Finish(wire);
    benchmark::DoNotOptimize(wire.data());
  }
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(stored.size()));
}
BENCHMARK(WriteData)
    ->ArgNames({"bytes", "dots"})
    ->Args({4096, 0})
    ->Args({65536, 0})
    ->Args({65536, 1});

}  // namespace
}  // namespace backstay
