// tests/core/shard/network_test.cc -- which addresses lie in which block.
#include "core/shard/network.h"

#include <gtest/gtest.h>

#include <vector>

namespace backstay {
namespace {

bool Contains(std::string_view network, std::string_view address) {
  return Network::Parse(network).value().Contains(SocketAddress::Parse(address, 25).value());
}

TEST(Network, ContainsItsBlockAndNothingBeside) {
  EXPECT_TRUE(Contains("192.0.2.0/24", "192.0.2.0"));
  EXPECT_TRUE(Contains("192.0.2.0/24", "192.0.2.255"));
  EXPECT_FALSE(Contains("192.0.2.0/24", "192.0.3.0"));
  EXPECT_TRUE(Contains("192.0.2.128/25", "192.0.2.200"));
  EXPECT_FALSE(Contains("192.0.2.128/25", "192.0.2.127"));
  EXPECT_TRUE(Contains("0.0.0.0/0", "203.0.113.9"));
  EXPECT_TRUE(Contains("192.0.2.7", "192.0.2.7"));
  EXPECT_FALSE(Contains("192.0.2.7", "192.0.2.6"));
  EXPECT_TRUE(Contains("2001:db8::/33", "2001:db8:7fff::1"));
  EXPECT_FALSE(Contains("2001:db8::/33", "2001:db8:8000::1"));
  EXPECT_TRUE(Contains("::1", "::1"));
}

TEST(Network, TheFamiliesDoNotMeet) {
  EXPECT_FALSE(Contains("0.0.0.0/0", "::1"));
  EXPECT_FALSE(Contains("::/0", "192.0.2.1"));
}

TEST(Network, APortDoesNotMatter) {
  EXPECT_TRUE(Contains("192.0.2.7", "192.0.2.7:2525"));
}

TEST(Network, PrintsWhatParsesToItself) {
  for (const char* text : {"192.0.2.0/24", "0.0.0.0/0", "192.0.2.7/32", "2001:db8::/32", "::/0"}) {
    const absl::StatusOr<Network> network = Network::Parse(text);
    ASSERT_TRUE(network.ok()) << text;
    EXPECT_EQ(network->ToString(), text);
    EXPECT_EQ(Network::Parse(network->ToString()).value(), *network);
  }
  EXPECT_EQ(Network::Parse("192.0.2.7").value().ToString(), "192.0.2.7/32");
}

TEST(Network, OneOfManyIsEnough) {
  const std::vector<Network> networks = {*Network::Parse("192.0.2.0/24"),
                                         *Network::Parse("2001:db8::/32")};
  EXPECT_TRUE(Contains(networks, *SocketAddress::Parse("192.0.2.7:4711")));
  EXPECT_TRUE(Contains(networks, *SocketAddress::Parse("[2001:db8::7]:4711")));
  EXPECT_FALSE(Contains(networks, *SocketAddress::Parse("192.0.3.7:4711")));
  EXPECT_FALSE(Contains({}, *SocketAddress::Parse("192.0.2.7:4711")));
}

TEST(Network, RefusesWhatIsNoBlock) {
  for (const char* text :
       {"", "/", "/8", "192.0.2.0/", "192.0.2.0/33", "192.0.2.0/-1", "192.0.2.0/+8", "192.0.2.0/8x",
        "192.0.2/24", "example.com", "192.0.2.1/24", "2001:db8::/129", "2001:db8::1/64",
        "192.0.2.0:25/24", "192.0.2.0/24/24"}) {
    EXPECT_FALSE(Network::Parse(text).ok()) << text;
  }
}

}  // namespace
}  // namespace backstay
