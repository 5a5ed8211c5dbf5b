// tests/fuzz/smtp/trace_fields_fuzz.cc -- the hop count does not depend on cuts; our field is
// intact.
//
// Input: four cut lengths, then header text, which also serves as the foreign text of a Received
// field.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "core/base/check.h"
#include "core/smtp/trace_fields.h"
#include "tests/fuzz/smtp/fuzz_input.h"

namespace backstay {
namespace {

constexpr std::string_view kHostname = "mx2";

HopCounter Count(Bytes bytes, Cuts cuts) {
  HopCounter counter;
  counter.Start();
  while (!bytes.empty()) {
    const std::vector<uint8_t> piece = Alone(bytes.first(std::min(cuts.Next(), bytes.size())));
    counter.Consume(piece, kHostname);
    bytes = bytes.subspan(piece.size());
  }
  return counter;
}

void Check(Bytes input) {
  constexpr size_t kCuts = 4;
  if (input.size() < kCuts) {
    return;
  }
  const Bytes content = input.subspan(kCuts);
  const HopCounter whole = Count(content, Cuts({}));
  const HopCounter cut = Count(content, Cuts(input.first(kCuts)));
  ASSERT(whole.received() == cut.received());
  ASSERT(whole.own() == cut.own());
  ASSERT(whole.own() <= whole.received());

  Trace trace;
  trace.helo = trace.client_name = trace.client_address_literal = AsText(content);
  trace.queue_id = trace.recipient = AsText(content);
  trace.hostname = kHostname;
  std::string field;
  AppendReceived(trace, field);
  const auto lines = std::count(field.begin(), field.end(), '\n');
  ASSERT(lines == 3 || lines == 4);
  ASSERT(lines == std::count(field.begin(), field.end(), '\r'));
  // However foreign the text, it is one field, and ours.
  const HopCounter counter = Count(AsBytes(field), Cuts({}));
  ASSERT(counter.received() == 1);
  ASSERT(counter.own() == 1);
}

}  // namespace
}  // namespace backstay

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  backstay::Check({data, size});
  return 0;
}
