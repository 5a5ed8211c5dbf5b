// tests/io/socket_address_test.cc -- what is an address, what is not, and how it is printed.
#include "io/socket_address.h"

#include <gtest/gtest.h>

#include <string>

namespace backstay {
namespace {

TEST(SocketAddress, WhatIsParsedIsPrintedInOneForm) {
  const struct {
    const char* text;
    const char* printed;
  } rows[] = {
      {"192.0.2.1:25", "192.0.2.1:25"},
      {"0.0.0.0:0", "0.0.0.0:0"},
      {"255.255.255.255:65535", "255.255.255.255:65535"},
      {"192.0.2.1:00025", "192.0.2.1:25"},
      {"[::]:25", "[::]:25"},
      {"[2001:DB8:0:0::1]:25", "[2001:db8::1]:25"},
      {"[::ffff:192.0.2.1]:25", "192.0.2.1:25"},
      {"[::ffff:c000:201]:25", "192.0.2.1:25"},
      {"[::192.0.2.1]:25", "[::192.0.2.1]:25"},
      {"[1:2:3:4:5:6:7:8]:1", "[1:2:3:4:5:6:7:8]:1"},
  };
  for (const auto& row : rows) {
    const auto address = SocketAddress::Parse(row.text);
    ASSERT_TRUE(address.has_value()) << row.text;
    EXPECT_EQ(address->ToString(), row.printed);
    EXPECT_EQ(SocketAddress::Parse(address->ToString()), address);
  }
}

TEST(SocketAddress, WhatIsNotAnAddressIsRefused) {
  const std::string too_long(200, '1');
  const std::string_view rows[] = {
      "",
      ":25",
      "25",
      "192.0.2.1",
      "192.0.2.1:",
      "192.0.2.1:65536",
      "192.0.2.1:000025",
      "192.0.2.1:-1",
      "192.0.2.1:+1",
      "192.0.2.1:2 5",
      "192.0.2.1: 25",
      " 192.0.2.1:25",
      "192.0.2.1:25 ",
      "192.0.2.256:25",
      "192.0.2:25",
      "192.0.2.1.1:25",
      "192.0.02.1:25",
      "0xc0.0.2.1:25",
      "mx1.example.com:25",
      "2001:db8::1",
      "[2001:db8::1]",
      "[2001:db8::1]25",
      "[2001:db8::1:25",
      "[2001:db8::1]:",
      "[2001:db8::1]:65536",
      "[2001:db8:::1]:25",
      "[fe80::1%eth0]:25",
      "[192.0.2.1]:25",
      "[]:25",
      "[",
      "[:]:25",
      std::string_view("192.0.2.1\0:25", 13),
      std::string_view("[::1\0]:25", 9),
      too_long,
  };
  for (const std::string_view text : rows) {
    EXPECT_FALSE(SocketAddress::Parse(text).has_value()) << text;
  }
}

TEST(SocketAddress, ADefaultPortFillsAGap) {
  const struct {
    const char* text;
    const char* printed;
  } rows[] = {
      {"192.0.2.1", "192.0.2.1:25"},
      {"192.0.2.1:26", "192.0.2.1:26"},
      {"2001:db8::1", "[2001:db8::1]:25"},
      {"[2001:db8::1]", "[2001:db8::1]:25"},
      {"[2001:db8::1]:26", "[2001:db8::1]:26"},
      {"::1", "[::1]:25"},
      {"::ffff:192.0.2.1", "192.0.2.1:25"},
  };
  for (const auto& row : rows) {
    const auto address = SocketAddress::Parse(row.text, 25);
    ASSERT_TRUE(address.has_value()) << row.text;
    EXPECT_EQ(address->ToString(), row.printed);
  }
  for (const char* text : {"", "mx1", "192.0.2.1:", "[::1]:", "[::1", "192.0.2.1:x"}) {
    EXPECT_FALSE(SocketAddress::Parse(text, 25).has_value()) << text;
  }
}

TEST(SocketAddress, TheAddressLiteralIsThatOfRfc5321) {
  EXPECT_EQ(SocketAddress::Parse("192.0.2.1:25")->AddressLiteral(), "192.0.2.1");
  EXPECT_EQ(SocketAddress::Parse("[2001:db8::1]:25")->AddressLiteral(), "IPv6:2001:db8::1");
  EXPECT_EQ(SocketAddress::Parse("[2001:db8::1]:25")->AddressString(), "2001:db8::1");
}

TEST(SocketAddress, AMappedAddressIsTheIpv4AddressItMeans) {
  std::array<uint8_t, 16> mapped{};
  mapped[10] = mapped[11] = 0xff;
  mapped[12] = 192;
  mapped[14] = 2;
  mapped[15] = 1;
  EXPECT_EQ(SocketAddress::V6(mapped, 25), SocketAddress::V4({192, 0, 2, 1}, 25));
  EXPECT_FALSE(SocketAddress::V6(mapped, 25).is_v6());
}

TEST(SocketAddress, LoopbackIsANetworkInIpv4AndOneAddressInIpv6) {
  EXPECT_TRUE(SocketAddress::Parse("127.0.0.1:1")->is_loopback());
  EXPECT_TRUE(SocketAddress::Parse("127.255.0.9:1")->is_loopback());
  EXPECT_FALSE(SocketAddress::Parse("128.0.0.1:1")->is_loopback());
  EXPECT_TRUE(SocketAddress::Parse("[::1]:1")->is_loopback());
  EXPECT_TRUE(SocketAddress::Parse("[::ffff:127.0.0.1]:1")->is_loopback());
  EXPECT_FALSE(SocketAddress::Parse("[::2]:1")->is_loopback());
  EXPECT_FALSE(SocketAddress::Parse("[7f00::1]:1")->is_loopback());
}

TEST(SocketAddress, AddressesDifferByPortAndFamily) {
  const SocketAddress address = SocketAddress::V4({0, 0, 0, 0}, 25);
  EXPECT_NE(address, address.WithPort(26));
  EXPECT_EQ(address, address.WithPort(26).WithPort(25));
  EXPECT_NE(address, SocketAddress::V6({}, 25));
}

}  // namespace
}  // namespace backstay
