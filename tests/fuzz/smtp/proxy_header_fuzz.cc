// tests/fuzz/smtp/proxy_header_fuzz.cc -- any bytes, cut anywhere: one verdict, within the bound.
//
// Input: four cut lengths, then what the peer sends.
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "core/base/check.h"
#include "core/smtp/proxy_header.h"
#include "tests/fuzz/smtp/fuzz_input.h"

namespace backstay {
namespace {

struct Verdict {
  ProxyHeader::Result result = ProxyHeader::Result::kIncomplete;
  size_t taken = 0;
  std::optional<ProxySource> source;
  friend bool operator==(const Verdict&, const Verdict&) = default;
};

Verdict Read(Bytes bytes, Cuts cuts) {
  ProxyHeader header;
  Verdict verdict;
  while (!bytes.empty() && verdict.result == ProxyHeader::Result::kIncomplete) {
    const std::vector<uint8_t> piece = Alone(bytes.first(std::min(cuts.Next(), bytes.size())));
    Bytes rest(piece);
    verdict.result = header.Consume(rest);
    verdict.taken += piece.size() - rest.size();
    bytes = bytes.subspan(piece.size());
  }
  verdict.source = header.source();
  return verdict;
}

void Check(Bytes input) {
  constexpr size_t kCuts = 4;
  if (input.size() < kCuts) {
    return;
  }
  const Bytes sent = input.subspan(kCuts);
  const Verdict whole = Read(sent, Cuts({}));
  ASSERT(whole == Read(sent, Cuts(input.first(kCuts))));
  ASSERT(whole.taken <= ProxyHeader::kBytesMax);
  if (whole.result != ProxyHeader::Result::kDone) {
    ASSERT(!whole.source.has_value());
    ASSERT(whole.result == ProxyHeader::Result::kError || whole.taken == sent.size());
    return;
  }
  // A header has one end: what follows changes nothing.
  std::vector<uint8_t> longer = Alone(sent.first(whole.taken));
  longer.push_back(' ');
  ASSERT(whole == Read(longer, Cuts({})));
  if (whole.source.has_value() && !whole.source->address.is_v6) {
    ASSERT(whole.source->address.bytes[4] == 0);
    ASSERT(whole.source->address.bytes[15] == 0);
  }
}

}  // namespace
}  // namespace backstay

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  backstay::Check({data, size});
  return 0;
}
