// tests/fuzz/smtp/envelope_fuzz.cc -- bytes decode to nothing, or to what encodes to them again.
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/base/check.h"
#include "core/smtp/envelope.h"
#include "tests/fuzz/smtp/fuzz_input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::vector<uint8_t> input = backstay::Alone({data, size});
  const std::optional<backstay::Envelope> envelope = backstay::DecodeEnvelope(input);
  if (envelope.has_value()) {
    std::string encoded;
    backstay::EncodeEnvelope(*envelope, encoded);
    ASSERT(encoded == backstay::AsText(input));
  }
  return 0;
}
