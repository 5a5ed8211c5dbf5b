// tests/core/smtp/xclient_test.cc -- the attributes, as tables.
#include "core/smtp/xclient.h"

#include <gtest/gtest.h>

#include <string>

namespace backstay {
namespace {

TEST(Xclient, TellsWhatItNames) {
  const auto told = ParseXclient(
      "NAME=mail.example.org ADDR=192.0.2.7 PORT=4711 PROTO=ESMTP HELO=helo.example.org "
      "LOGIN=some+20one DESTADDR=10.0.0.1 DESTPORT=25");
  ASSERT_TRUE(told.has_value());
  EXPECT_EQ(told->name, "mail.example.org");
  EXPECT_EQ(told->address, ParseNumericAddress("192.0.2.7", false));
  EXPECT_EQ(told->port, 4711);
  EXPECT_EQ(told->extended, true);
  EXPECT_EQ(told->helo, "helo.example.org");
}

TEST(Xclient, WhatIsNotNamedIsNotThere) {
  const auto told = ParseXclient("  addr=ipv6:2001:db8::1\tproto=smtp ");
  ASSERT_TRUE(told.has_value());
  EXPECT_EQ(told->address, ParseNumericAddress("2001:db8::1", true));
  EXPECT_EQ(told->extended, false);
  EXPECT_FALSE(told->name.has_value());
  EXPECT_FALSE(told->port.has_value());
  EXPECT_FALSE(told->helo.has_value());
}

TEST(Xclient, WhatTheProxyDoesNotKnow) {
  const auto told = ParseXclient(
      "NAME=[UNAVAILABLE] ADDR=[unavailable] PORT=[TEMPUNAVAIL] PROTO=[UNAVAILABLE] "
      "HELO=[TEMPUNAVAIL] LOGIN=[UNAVAILABLE] DESTADDR=[UNAVAILABLE] DESTPORT=[UNAVAILABLE]");
  ASSERT_TRUE(told.has_value());
  EXPECT_EQ(told->name, "");
  EXPECT_EQ(told->helo, "");
  EXPECT_FALSE(told->address.has_value());
  EXPECT_FALSE(told->port.has_value());
  EXPECT_FALSE(told->extended.has_value());
}

TEST(Xclient, HelloMayBeALiteral) {
  EXPECT_EQ(ParseXclient("HELO=[192.0.2.7]")->helo, "[192.0.2.7]");
  EXPECT_EQ(ParseXclient("HELO=a+2Bb")->helo, "a+b");
}

TEST(Xclient, AnythingElseIsRefused) {
  for (const std::string& argument : {std::string(),
                                      std::string(" "),
                                      std::string("NAME"),
                                      std::string("NAME="),
                                      std::string("=x"),
                                      std::string("FOO=x"),
                                      std::string("NAME=a NAME=b"),
                                      std::string("NAME=a FOO=b"),
                                      std::string("NAME=a b"),
                                      std::string("NAME=a+20b"),
                                      std::string("NAME=a+0Ab"),
                                      std::string("NAME=a+00"),
                                      std::string("NAME=a+2"),
                                      std::string("NAME=<x>"),
                                      std::string("NAME=x=y"),
                                      "NAME=" + std::string(256, 'x'),
                                      std::string("NAME=\xc3\xbc"),
                                      std::string("ADDR=192.0.2"),
                                      std::string("ADDR=::1"),
                                      std::string("ADDR=IPV6:192.0.2.1"),
                                      std::string("ADDR=[192.0.2.1]"),
                                      std::string("ADDR=IPV6:"),
                                      std::string("PORT=65536"),
                                      std::string("PORT=-1"),
                                      std::string("PORT=x"),
                                      std::string("PORT="),
                                      std::string("PROTO=LMTP"),
                                      std::string("PROTO=ESMTPS"),
                                      std::string("HELO="),
                                      std::string("HELO=a+20b"),
                                      std::string("LOGIN="),
                                      "LOGIN=" + std::string(256, 'x'),
                                      std::string("DESTADDR=x"),
                                      std::string("DESTPORT=x")}) {
    EXPECT_FALSE(ParseXclient(argument).has_value()) << argument;
  }
}

}  // namespace
}  // namespace backstay
