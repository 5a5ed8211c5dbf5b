// tests/core/dns/reverse_name_test.cc -- addresses as names, as the RFCs write them.
#include "core/dns/reverse_name.h"

#include <gtest/gtest.h>

namespace backstay {
namespace {

TEST(ReverseName, BothFamilies) {
  EXPECT_EQ(ReverseName(*SocketAddress::Parse("192.0.2.10", 25)), "10.2.0.192.in-addr.arpa");
  EXPECT_EQ(ReverseName(*SocketAddress::Parse("4321:0:1:2:3:4:567:89ab", 25)),
            "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.0.0.0.0.1.2.3.4.ip6.arpa");
}

TEST(ReverseName, BelowABlockList) {
  EXPECT_EQ(ReversedBelow(*SocketAddress::Parse("127.0.0.2", 0), "zen.example"),
            "2.0.0.127.zen.example");
  EXPECT_EQ(ReversedBelow(*SocketAddress::Parse("::FFFF:7F00:2", 0), "l.example"),
            "2.0.0.127.l.example")
      << "a mapped address is the one it means";
}

}  // namespace
}  // namespace backstay
