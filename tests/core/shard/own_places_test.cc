// tests/core/shard/own_places_test.cc -- where no mail goes, whatever a name says.
#include "core/shard/own_places.h"

#include <gtest/gtest.h>

#include <string_view>
#include <vector>

#include "io/sim/world.h"

namespace backstay {
namespace {

SocketAddress Place(std::string_view address, uint16_t port = 25) {
  return SocketAddress::Parse(address, port).value();
}

class OwnPlacesTest : public testing::Test {
 protected:
  PlaceVerdict Judge(const SocketAddress& place, std::vector<std::string_view> allowed = {}) {
    std::vector<Network> networks;
    for (const std::string_view text : allowed) {
      networks.push_back(Network::Parse(text).value());
    }
    return places.Judge(place, networks);
  }
  void Listen(std::vector<SocketAddress> listeners) { places.Use(*io, listeners); }

  World world{5};
  std::unique_ptr<Io> io = world.MakeIo(world.AddHost("mx2", Place("192.0.2.7", 0)));
  OwnPlaces places;
};

TEST_F(OwnPlacesTest, AListenerOfOneAddressIsThatAddressAndPort) {
  Listen({Place("192.0.2.7"), Place("2001:db8::7", 2525)});
  EXPECT_EQ(Judge(Place("192.0.2.7")), PlaceVerdict::kOurs);
  EXPECT_EQ(Judge(Place("::ffff:192.0.2.7")), PlaceVerdict::kOurs);
  EXPECT_EQ(Judge(Place("192.0.2.7", 26)), PlaceVerdict::kGood);
  EXPECT_EQ(Judge(Place("192.0.2.8")), PlaceVerdict::kGood);
  EXPECT_EQ(Judge(Place("2001:db8::7", 2525)), PlaceVerdict::kOurs);
  EXPECT_EQ(Judge(Place("2001:db8::7")), PlaceVerdict::kGood);
}

TEST_F(OwnPlacesTest, AListenerOfAllAddressesIsEachOfThisHostsAndTheLoopback) {
  Listen({Place("0.0.0.0")});
  EXPECT_EQ(Judge(Place("192.0.2.7")), PlaceVerdict::kOurs);
  EXPECT_EQ(Judge(Place("127.0.0.1")), PlaceVerdict::kOurs);
  EXPECT_EQ(Judge(Place("127.3.2.1")), PlaceVerdict::kOurs);
  EXPECT_EQ(Judge(Place("192.0.2.8")), PlaceVerdict::kGood);
  EXPECT_EQ(Judge(Place("::1")), PlaceVerdict::kGood) << "of the other family";
  Listen({Place("::")});
  EXPECT_EQ(Judge(Place("::1")), PlaceVerdict::kOurs);
}

TEST_F(OwnPlacesTest, NetworksThatAreAllowedAreTheOnlyOnes) {
  Listen({Place("192.0.2.7")});
  EXPECT_EQ(Judge(Place("198.51.100.1"), {"198.51.100.0/24"}), PlaceVerdict::kGood);
  EXPECT_EQ(Judge(Place("198.51.101.1"), {"198.51.100.0/24"}), PlaceVerdict::kNotAllowed);
  EXPECT_EQ(Judge(Place("192.0.2.7"), {"198.51.100.0/24"}), PlaceVerdict::kOurs)
      << "whatever is allowed";
}

TEST_F(OwnPlacesTest, WhatIsNoHostsAddressIsNeverTried) {
  Listen({});
  for (const std::string_view address :
       {"0.0.0.0", "0.1.2.3", "224.0.0.1", "255.255.255.255", "::", "ff02::1", "::ffff:0.0.0.0"}) {
    EXPECT_EQ(Judge(Place(address)), PlaceVerdict::kNotAllowed) << address;
    EXPECT_EQ(Judge(Place(address), {"0.0.0.0/0", "::/0"}), PlaceVerdict::kNotAllowed) << address;
  }
}

}  // namespace
}  // namespace backstay
