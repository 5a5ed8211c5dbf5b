// bench/core/smtp/data_reader_bench.cc -- bytes a second of mail data off the wire.
#include "core/smtp/data_reader.h"

#include <benchmark/benchmark.h>

#include "bench/core/smtp/mail_text.h"
#include "core/base/check.h"

namespace backstay {
namespace {

void ReadData(benchmark::State& state) {
  const std::string wire =
      MailText(static_cast<size_t>(state.range(0)), state.range(1) != 0) + ".\r\n";
  for (auto _ : state) {
    DataReader reader;
    reader.Start(DataReader::Mode::kReject);
    size_t content_bytes = 0;
    reader.Consume(AsBytes(wire), [&](Bytes piece) { content_bytes += piece.size(); });
    ASSERT(reader.done() && reader.fault() == DataReader::Fault::kNone);
    benchmark::DoNotOptimize(content_bytes);
  }
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(wire.size()));
}
BENCHMARK(ReadData)
    ->ArgNames({"bytes", "dots"})
    ->Args({4096, 0})
    ->Args({65536, 0})
    ->Args({65536, 1});

}  // namespace
}  // namespace backstay
