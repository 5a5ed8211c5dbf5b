// tests/fuzz/policy/recipient_file_fuzz.cc -- what a file teaches, its records written again teach.
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "core/base/check.h"
#include "core/policy/recipient_file.h"
#include "core/policy/recipient_knowledge.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using backstay::kRecipientRecordBytes;
  const std::vector<uint8_t> alone(data, data + size);
  std::string again;
  const size_t bad = backstay::ReadRecipientRecords(alone, [&](uint64_t key, uint32_t value) {
    ASSERT(key != 0);
    backstay::AppendRecipientRecord(key, value, again);
    const auto known = backstay::Knowledge::FromBits(value);
    ASSERT(!known.has_value() || known->bits() == value);
  });
  ASSERT(bad + again.size() / kRecipientRecordBytes == size / kRecipientRecordBytes);
  std::string third;
  const size_t none = backstay::ReadRecipientRecords(
      backstay::AsBytes(again),
      [&](uint64_t key, uint32_t value) { backstay::AppendRecipientRecord(key, value, third); });
  ASSERT(none == 0);
  ASSERT(third == again);
  return 0;
}
