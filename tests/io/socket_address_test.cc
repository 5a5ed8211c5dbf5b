// tests/io/socket_address_test.cc -- parsing and printing of addresses, by table.
#include "io/socket_address.h"

#include <gtest/gtest.h>

namespace backstay {
namespace {

struct Row {
  std::string_view text;
  std::optional<uint16_t> default_port;
  std::string_view printed;  // empty: refused
};

constexpr Row kRows[] = {
    {"192.0.2.1:25", {}, "192.0.2.1:25"},
    {"192.0.2.1:0", {}, "192.0.2.1:0"},
    {"192.0.2.1:65535", {}, "192.0.2.1:65535"},
    {"192.0.2.1", 25, "192.0.2.1:25"},
    {"192.0.2.1:26", 25, "192.0.2.1:26"},
    {"[2001:db8::1]:25", {}, "[2001:db8::1]:25"},
    {"[2001:DB8:0::1]:25", {}, "[2001:db8::1]:25"},
    {"[2001:db8::1]", 25, "[2001:db8::1]:25"},
    {"2001:db8::1", 25, "[2001:db8::1]:25"},
    {"[::ffff:192.0.2.1]:25", {}, "192.0.2.1:25"},
    {"192.0.2.1", {}, ""},
    {"2001:db8::1", {}, ""},
    {"[2001:db8::1]", {}, ""},
    {"192.0.2.1:", 25, ""},
    {"192.0.2.1:65536", {}, ""},
    {"192.0.2.1:-1", {}, ""},
    {"192.0.2.1:25 ", {}, ""},
    {"192.0.2.256:25", {}, ""},
    {"192.0.2:25", {}, ""},
    {"[192.0.2.1]:25", {}, ""},
    {"[2001:db8::1]25", {}, ""},
    {"[2001:db8::1", 25, ""},
    {"[]:25", {}, ""},
    {"mx.example.com:25", {}, ""},
    {":25", {}, ""},
    {"", 25, ""},
    {std::string_view("192.0.2.1\0:25", 13), {}, ""},
    {std::string_view("192.0.2.1\0", 10), 25, ""},
    {std::string_view("2001:db8::1\0", 12), 25, ""},
};

TEST(SocketAddress, ParsesAndPrintsByTable) {
  for (const Row& row : kRows) {
    const std::optional<SocketAddress> address = SocketAddress::Parse(row.text, row.default_port);
    EXPECT_EQ(address.has_value() ? address->ToString() : "", row.printed) << row.text;
  }
}

TEST(SocketAddress, LiteralsAndLoopback) {
  EXPECT_EQ(SocketAddress::Parse("192.0.2.1:25")->AddressLiteral(), "192.0.2.1");
  EXPECT_EQ(SocketAddress::Parse("[2001:db8::1]:25")->AddressLiteral(), "IPv6:2001:db8::1");
  EXPECT_TRUE(SocketAddress::Parse("127.9.0.1:25")->is_loopback());
  EXPECT_TRUE(SocketAddress::Parse("[::1]:25")->is_loopback());
  EXPECT_FALSE(SocketAddress::Parse("[::]:25")->is_loopback());
  EXPECT_FALSE(SocketAddress::Parse("[2001::1]:25")->is_loopback());
  EXPECT_FALSE(SocketAddress::Parse("10.127.0.1:25")->is_loopback());
}

TEST(SocketAddress, EqualityIncludesThePort) {
  const SocketAddress address = *SocketAddress::Parse("192.0.2.1:25");
  EXPECT_NE(address, address.WithPort(26));
  EXPECT_EQ(address, address.WithPort(26).WithPort(25));
}

}  // namespace
}  // namespace backstay
