// bench/core/smtp/reply_parser_bench.cc -- replies a second of what primaries say.
#include "core/smtp/reply_parser.h"

#include <benchmark/benchmark.h>

#include "core/base/check.h"

namespace backstay {
namespace {

void ParseReplies(benchmark::State& state) {
  constexpr std::string_view one = "250 2.1.5 Ok\r\n";
  constexpr std::string_view many =
      "250-mx.example greets you\r\n250-PIPELINING\r\n250-SIZE 52428800\r\n250-8BITMIME\r\n"
      "250-ENHANCEDSTATUSCODES\r\n250 SMTPUTF8\r\n";
  const std::string_view wire = state.range(0) == 0 ? one : many;
  ReplyParser parser;
  for (auto _ : state) {
    Bytes bytes = AsBytes(wire);
    ASSERT(parser.Consume(bytes) == ReplyParser::Result::kReply && bytes.empty());
    benchmark::DoNotOptimize(parser.reply());
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(ParseReplies)->ArgName("EHLO")->Arg(0)->Arg(1);

}  // namespace
}  // namespace backstay
