// tests/fuzz/dns/primary_file_fuzz.cc -- what is read can be written and read again, also behind a
// checksum that fits.
#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "core/base/check.h"
#include "core/base/crc32c.h"
#include "core/dns/primary_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string text(reinterpret_cast<const char*>(data), size);
  static_cast<void>(backstay::DecodePrimaries(text));
  text += fmt::format("end {:08x}\n", backstay::Crc32c(0, backstay::AsBytes(text)));
  const std::optional<backstay::SavedPrimaries> saved = backstay::DecodePrimaries(text);
  if (saved.has_value()) {
    ASSERT(backstay::DecodePrimaries(backstay::EncodePrimaries(*saved)) == saved);
  }
  return 0;
}
