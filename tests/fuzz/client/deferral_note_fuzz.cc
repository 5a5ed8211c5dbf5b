// tests/fuzz/client/deferral_note_fuzz.cc -- a note decodes to what encodes to it, or not at all.
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/base/check.h"
#include "core/queue/deferral_table.h"
#include "tests/fuzz/smtp/fuzz_input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::vector<uint8_t> note = backstay::Alone({data, size});
  const std::optional<backstay::Deferral> deferral = backstay::DecodeDeferralNote(note);
  if (deferral.has_value()) {
    // An older version comes out as the present one.
    const std::string again = backstay::EncodeDeferralNote(*deferral);
    const auto decoded = backstay::DecodeDeferralNote(backstay::AsBytes(again));
    ASSERT(decoded.has_value());
    ASSERT(backstay::EncodeDeferralNote(*decoded) == again);
    ASSERT(note[0] != again[0] || again == backstay::AsText(note));
  }
  return 0;
}
