// tests/core/smtp/origin_command_test.cc -- what a primary is told of the client, and what never.
#include "core/smtp/origin_command.h"

#include <gtest/gtest.h>

#include <string>

#include "core/smtp/xclient.h"

namespace backstay {
namespace {

const OriginOffer kAll = OriginOffer::Parse("NAME ADDR PORT PROTO HELO LOGIN DESTADDR IDENT");

Envelope Sample() {
  Envelope envelope;
  envelope.client_address = "192.0.2.7";
  envelope.client_name = "mail.example.org";
  envelope.client_port = 4711;
  envelope.client_extended = true;
  envelope.client_helo = "helo.example.org";
  return envelope;
}

TEST(OriginCommand, SaysWhatIsOffered) {
  EXPECT_EQ(OriginCommand("XCLIENT", Sample(), kAll),
            "XCLIENT ADDR=192.0.2.7 NAME=mail.example.org PORT=4711 PROTO=ESMTP "
            "HELO=helo.example.org\r\n");
  EXPECT_EQ(OriginCommand("XFORWARD", Sample(), OriginOffer::Parse("  addr  source ")),
            "XFORWARD ADDR=192.0.2.7 SOURCE=REMOTE\r\n");
  EXPECT_EQ(OriginCommand("XFORWARD", Sample(), OriginOffer::Parse("NAME HELO")), "");
  EXPECT_EQ(OriginCommand("XFORWARD", Sample(), {}), "");
}

TEST(OriginCommand, SaysWhatItDoesNotKnow) {
  Envelope envelope;
  envelope.client_address = "2001:db8::1";
  EXPECT_EQ(OriginCommand("XCLIENT", envelope, kAll),
            "XCLIENT ADDR=IPV6:2001:db8::1 NAME=[UNAVAILABLE] PORT=[UNAVAILABLE] PROTO=SMTP "
            "HELO=[UNAVAILABLE]\r\n");
  EXPECT_EQ(OriginCommand("XCLIENT", {}, OriginOffer::Parse("ADDR NAME")),
            "XCLIENT ADDR=[UNAVAILABLE] NAME=[UNAVAILABLE]\r\n");
}

TEST(OriginCommand, IsReadAsItIsWritten) {
  Envelope envelope = Sample();
  envelope.client_helo = "a+b=c";
  const std::string command = OriginCommand("XCLIENT", envelope, kAll);
  const auto told = ParseXclient(std::string_view(command).substr(8, command.size() - 10));
  ASSERT_TRUE(told.has_value());
  EXPECT_EQ(told->helo, "a+b=c");
  EXPECT_EQ(told->name, envelope.client_name);
  EXPECT_EQ(told->address, ParseNumericAddress("192.0.2.7", false));
}

// What the spool gives back is a stranger's text again.
TEST(OriginCommand, NothingEndsTheLineEarly) {
  for (const char* value : {"x\r\nRSET", "x y=z\n", "\xc3\xbc", "\x01"}) {
    Envelope envelope = Sample();
    envelope.client_helo = envelope.client_name = value;
    const std::string command = OriginCommand("XCLIENT", envelope, kAll);
    EXPECT_NE(command.find(" NAME=[UNAVAILABLE] "), std::string::npos) << command;
    EXPECT_EQ(command.find('\r'), command.size() - 2);
    envelope.client_address = value;
    EXPECT_TRUE(OriginCommand("XCLIENT", envelope, kAll).starts_with("XCLIENT ADDR=[UNAV"));
  }
}

TEST(OriginCommand, WhatDoesNotFitIsLeftAway) {
  Envelope envelope = Sample();
  envelope.client_name = std::string(255, 'n');
  envelope.client_helo = std::string(255, 'h');
  const std::string command = OriginCommand("XCLIENT", envelope, kAll);
  EXPECT_NE(command.find("NAME=nnn"), std::string::npos);
  EXPECT_EQ(command.find("HELO="), std::string::npos);
  EXPECT_TRUE(command.ends_with(" PROTO=ESMTP\r\n"));
  EXPECT_LE(command.size(), 512u);
  envelope.client_name = std::string(256, 'n');
  EXPECT_EQ(OriginCommand("XCLIENT", envelope, kAll).find("NAME="), std::string::npos);
}

}  // namespace
}  // namespace backstay
