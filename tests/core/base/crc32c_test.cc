// tests/core/base/crc32c_test.cc -- instruction, table and a foreign implementation agree.
#include "core/base/crc32c.h"

#include <gtest/gtest.h>
#include <isa-l/crc.h>

#include <vector>

#include "core/base/random.h"

namespace backstay {
namespace {

std::vector<uint8_t> RandomBytes(size_t count) {
  Random random(7);
  std::vector<uint8_t> bytes(count);
  for (uint8_t& byte : bytes) {
    byte = static_cast<uint8_t>(random.Below(256));
  }
  return bytes;
}

uint32_t Foreign(Bytes bytes) {
  std::vector<uint8_t> copy(bytes.begin(), bytes.end());
  return ~crc32_iscsi(copy.data(), static_cast<int>(copy.size()), 0xffffffff);
}

TEST(Crc32c, KnownAnswers) {
  EXPECT_EQ(Crc32c(0, {}), 0u);
  EXPECT_EQ(Crc32c(0, AsBytes("123456789")), 0xe3069283u);
  EXPECT_EQ(Crc32c(0, std::vector<uint8_t>(32, 0)), 0x8a9136aau);     // RFC 3720 B.4
  EXPECT_EQ(Crc32c(0, std::vector<uint8_t>(32, 0xff)), 0x62a8ab43u);  // RFC 3720 B.4
}

TEST(Crc32c, EveryLengthAndAlignmentAgreesWithTableAndIsaL) {
  const std::vector<uint8_t> bytes = RandomBytes(300);
  for (size_t begin = 0; begin < 9; ++begin) {
    for (size_t count = 0; begin + count <= bytes.size(); ++count) {
      const Bytes part = Bytes(bytes).subspan(begin, count);
      const uint32_t crc = Crc32c(0, part);
      ASSERT_EQ(crc, Crc32cByTable(0, part)) << begin << " " << count;
      ASSERT_EQ(crc, Foreign(part)) << begin << " " << count;
    }
  }
}

TEST(Crc32c, PiecesGiveTheChecksumOfTheWhole) {
  const std::vector<uint8_t> bytes = RandomBytes(1000);
  const uint32_t whole = Crc32c(0, bytes);
  for (size_t cut = 0; cut <= bytes.size(); ++cut) {
    const uint32_t first = Crc32c(0, Bytes(bytes).first(cut));
    ASSERT_EQ(Crc32c(first, Bytes(bytes).subspan(cut)), whole) << cut;
  }
}

}  // namespace
}  // namespace backstay
