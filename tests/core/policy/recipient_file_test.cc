// tests/core/policy/recipient_file_test.cc -- records there and back, torn and damaged.
#include "core/policy/recipient_file.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace backstay {
namespace {

using Records = std::vector<std::pair<uint64_t, uint32_t>>;

constexpr SipKey kFileSecret{1, 2};

Records Read(std::string_view bytes, size_t* bad = nullptr) {
  Records records;
  const size_t found = ReadRecipientRecords(
      AsBytes(bytes), [&](uint64_t key, uint32_t value) { records.emplace_back(key, value); });
  if (bad != nullptr) {
    *bad = found;
  }
  return records;
}

std::string Three() {
  std::string bytes;
  AppendRecipientRecord(1, 10, bytes);
  AppendRecipientRecord(UINT64_MAX, kForgotten, bytes);
  AppendRecipientRecord(3, 30, bytes);
  return bytes;
}

TEST(RecipientFile, RecordsComeBackInOrder) {
  EXPECT_EQ(Three().size(), 3 * kRecipientRecordBytes);
  EXPECT_EQ(Read(Three()), (Records{{1, 10}, {UINT64_MAX, kForgotten}, {3, 30}}));
}

TEST(RecipientFile, ATornEndCostsItsRecordOnly) {
  const std::string whole = Three();
  for (size_t bytes = 0; bytes < whole.size(); ++bytes) {
    EXPECT_EQ(Read(std::string_view(whole).substr(0, bytes)).size(), bytes / kRecipientRecordBytes);
  }
}

TEST(RecipientFile, AnyFlippedBitCostsItsRecordOnly) {
  for (size_t bit = 0; bit < 8 * kRecipientRecordBytes; ++bit) {
    std::string bytes = Three();
    bytes[kRecipientRecordBytes + bit / 8] ^= static_cast<char>(1 << bit % 8);
    size_t bad = 0;
    EXPECT_EQ(Read(bytes, &bad), (Records{{1, 10}, {3, 30}}));
    EXPECT_EQ(bad, 1u);
  }
}

TEST(RecipientFile, ZerosAreNoRecord) {
  EXPECT_TRUE(Read(std::string(4096, '\0')).empty());
}

TEST(RecipientFile, AHeadIsOfItsSecret) {
  std::string head;
  AppendRecipientHead(kFileSecret, head);
  ASSERT_EQ(head.size(), kRecipientRecordBytes);
  EXPECT_TRUE(IsRecipientHead(kFileSecret, AsBytes(head)));
  EXPECT_FALSE(IsRecipientHead({1, 3}, AsBytes(head)));
  EXPECT_FALSE(IsRecipientHead(kFileSecret, AsBytes(head).first(15)));
}

}  // namespace
}  // namespace backstay
