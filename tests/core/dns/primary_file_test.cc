// tests/core/dns/primary_file_test.cc -- what was saved comes back whole, or not at all.
#include "core/dns/primary_file.h"

#include <gtest/gtest.h>

namespace backstay {
namespace {

SavedPrimaries Some() {
  SavedPrimaries primaries;
  primaries[0x12] = {{10, "mx1.example", *SocketAddress::Parse("192.0.2.1:25")},
                     {20, "mx2.example", *SocketAddress::Parse("[2001:db8::1]:2525")}};
  primaries[UINT64_MAX] = {{0, "192.0.2.9", *SocketAddress::Parse("192.0.2.9:25")}};
  return primaries;
}

TEST(PrimaryFile, ComesBackAsItWas) {
  EXPECT_EQ(DecodePrimaries(EncodePrimaries(Some())), Some());
  EXPECT_EQ(DecodePrimaries(EncodePrimaries({})), SavedPrimaries());
}

TEST(PrimaryFile, IsReadableText) {
  EXPECT_TRUE(EncodePrimaries(Some()).starts_with(
      "backstay-primaries 1\n0000000000000012 10 192.0.2.1:25 mx1.example\n"));
}

TEST(PrimaryFile, EveryCutAndEveryChangedByteIsFound) {
  const std::string good = EncodePrimaries(Some());
  for (size_t at = 0; at < good.size(); ++at) {
    EXPECT_EQ(DecodePrimaries(good.substr(0, at)), std::nullopt) << at;
    std::string changed = good;
    changed[at] ^= 0x04;
    EXPECT_EQ(DecodePrimaries(changed), std::nullopt) << at;
  }
  EXPECT_EQ(DecodePrimaries(good + "\n"), std::nullopt);
}

}  // namespace
}  // namespace backstay
