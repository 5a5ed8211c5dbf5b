// bench/spool/record_bench.cc -- bytes a second of framing a record, and of checking one.
#include "spool/record.h"

#include <benchmark/benchmark.h>

#include <vector>

#include "core/base/check.h"

namespace backstay {
namespace {

struct Frame {
  explicit Frame(size_t payload_bytes) : bytes(FrameBytes(payload_bytes), 0x5a) {
    header.payload_bytes = static_cast<uint32_t>(payload_bytes);
    header.kind = static_cast<uint8_t>(RecordKind::kMessage);
  }
  RecordHeader header{};
  std::vector<uint8_t> bytes;
};

void SealARecord(benchmark::State& state) {
  const SegmentKey key(SegmentHeader{});
  Frame frame(static_cast<size_t>(state.range(0)));
  for (auto _ : state) {
    benchmark::DoNotOptimize(SealRecord(key, 8, frame.header, frame.bytes));
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(SealARecord)->Arg(200)->Arg(4096)->Arg(65536);

void CheckARecord(benchmark::State& state) {
  const SegmentKey key(SegmentHeader{});
  Frame frame(static_cast<size_t>(state.range(0)));
  SealRecord(key, 8, frame.header, frame.bytes);
  for (auto _ : state) {
    const auto header = DecodeRecordHeader(key, 8, frame.bytes);
    ASSERT(header.has_value());
    const Bytes payload = Bytes(frame.bytes).subspan(sizeof(RecordHeader));
    ASSERT(PayloadIsWhole(*header, payload.first(header->payload_bytes)));
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(CheckARecord)->Arg(200)->Arg(4096)->Arg(65536);

}  // namespace
}  // namespace backstay
