// core/policy/recipient_file.cc -- sixteen bytes at a time.
#include "core/policy/recipient_file.h"

#include <bit>
#include <cstring>

#include "core/base/crc32c.h"

namespace backstay {
namespace {

static_assert(std::endian::native == std::endian::little);

constexpr std::string_view kMagic = "BSRCPT01";
constexpr size_t kCheckedBytes = 12;
// So that zeros are no record.
constexpr uint32_t kCheckSeed = 0x52435054;

template <typename Number>
void AppendLittle(Number number, std::string& out) {
  out.append(reinterpret_cast<const char*>(&number), sizeof(number));
}

template <typename Number>
Number ReadLittle(Bytes bytes, size_t at) {
  Number number;
  std::memcpy(&number, bytes.data() + at, sizeof(number));
  return number;
}

}  // namespace

void AppendRecipientHead(const SipKey& secret, std::string& out) {
  out.append(kMagic);
  AppendLittle(SipHash(secret, AsBytes(kMagic)), out);
}

bool IsRecipientHead(const SipKey& secret, Bytes bytes) {
  std::string wanted;
  AppendRecipientHead(secret, wanted);
  return AsText(bytes) == wanted;
}

void AppendRecipientRecord(uint64_t key, uint32_t value, std::string& out) {
  const size_t begin = out.size();
  AppendLittle(key, out);
  AppendLittle(value, out);
  AppendLittle(Crc32c(kCheckSeed, AsBytes(std::string_view(out).substr(begin))), out);
}

size_t ReadRecipientRecords(Bytes bytes, absl::FunctionRef<void(uint64_t, uint32_t)> visit) {
  size_t bad = 0;
  for (; bytes.size() >= kRecipientRecordBytes; bytes = bytes.subspan(kRecipientRecordBytes)) {
    const auto key = ReadLittle<uint64_t>(bytes, 0);
    const uint32_t check = Crc32c(kCheckSeed, bytes.first(kCheckedBytes));
    if (key == 0 || check != ReadLittle<uint32_t>(bytes, kCheckedBytes)) {
      ++bad;
      continue;
    }
    visit(key, ReadLittle<uint32_t>(bytes, sizeof(key)));
  }
  return bad;
}

}  // namespace backstay
