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
    // Older versions are read, and written in the form of today.
    const bool is_older = input[0] != static_cast<uint8_t>(encoded[0]);
    ASSERT(is_older || encoded == backstay::AsText(input));
    std::string again;
    backstay::EncodeEnvelope(*backstay::DecodeEnvelope(backstay::AsBytes(encoded)), again);
    ASSERT(again == encoded);
  }
  return 0;
}
