// tests/core/dns/primary_file_test.cc -- what was saved comes back whole, or not at all.
#include "core/dns/primary_file.h"

#include <gtest/gtest.h>

#include "core/dns/outage.h"

namespace backstay {
namespace {

WallTime At(int64_t seconds) {
  return WallTime() + absl::Seconds(seconds);
}

SavedPrimaries Some() {
  SavedPrimaries primaries;
  primaries[0x12].candidates = {{10, "mx1.example", *SocketAddress::Parse("192.0.2.1:25")},
                                {20, "mx2.example", *SocketAddress::Parse("[2001:db8::1]:2525")}};
  primaries[UINT64_MAX].candidates = {{0, "192.0.2.9", *SocketAddress::Parse("192.0.2.9:25")}};
  primaries[UINT64_MAX].outages = {{At(1'790'000'000), At(1'790'000'060), "connection refused"},
                                   {At(1'790'001'000), WallTime(), ""}};
  primaries[7].outages = {{At(1), At(2), "closed its service (421), last reply: 421 no"}};
  primaries[9].taken = 980;
  primaries[9].answers = 1000;
  return primaries;
}

TEST(PrimaryFile, ComesBackAsItWas) {
  EXPECT_EQ(DecodePrimaries(EncodePrimaries(Some())), Some());
  EXPECT_EQ(DecodePrimaries(EncodePrimaries({})), SavedPrimaries());
}

TEST(PrimaryFile, IsReadableText) {
  EXPECT_TRUE(EncodePrimaries(Some()).starts_with(
      "backstay-primaries 1\n0000000000000007 down 1 2 closed its service (421), last reply: 421 "
      "no\n0000000000000009 said 980 1000\n0000000000000012 10 192.0.2.1:25 mx1.example\n"));
}

TEST(PrimaryFile, AReasonOfSeveralLinesIsOneLine) {
  SavedPrimaries primaries;
  primaries[1].outages = {{At(1), At(2), "a\nb"}};
  EXPECT_EQ(DecodePrimaries(EncodePrimaries(primaries))->at(1).outages[0].reason, "a b");
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
