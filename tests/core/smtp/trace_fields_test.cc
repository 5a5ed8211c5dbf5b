// tests/core/smtp/trace_fields_test.cc -- the field we write, and the fields we count.
#include "core/smtp/trace_fields.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace backstay {
namespace {

Trace Sample() {
  Trace trace;
  trace.helo = "mail.example.org";
  trace.client_name = "ptr.example.org";
  trace.client_address_literal = "IPv6:2001:db8::1";
  trace.hostname = "mx2.example.net";
  trace.extended = true;
  trace.queue_id = "0123456789BCDFGH";
  trace.recipient = "v@our.example";
  trace.time = WallTime::FromNanoseconds(1785585600LL * 1'000'000'000 + 999'999'999);
  return trace;
}

std::string Received(const Trace& trace) {
  std::string output;
  AppendReceived(trace, output);
  return output;
}

TEST(Received, HasTheFormThatFiltersParse) {
  EXPECT_EQ(Received(Sample()),
            "Received: from mail.example.org (ptr.example.org [IPv6:2001:db8::1])\r\n"
            "\tby mx2.example.net (backstay) with ESMTP id 0123456789BCDFGH\r\n"
            "\tfor <v@our.example>;\r\n"
            "\tSat, 01 Aug 2026 12:00:00 +0000\r\n");
}

TEST(Received, UnknownClientAndSeveralRecipients) {
  Trace trace = Sample();
  trace.client_name = {};
  trace.recipient = {};
  trace.extended = false;
  trace.client_address_literal = "192.0.2.1";
  trace.time = WallTime::FromNanoseconds(0);
  EXPECT_EQ(Received(trace),
            "Received: from mail.example.org (unknown [192.0.2.1])\r\n"
            "\tby mx2.example.net (backstay) with SMTP id 0123456789BCDFGH;\r\n"
            "\tThu, 01 Jan 1970 00:00:00 +0000\r\n");
}

TEST(Received, NamesTheProtocol) {
  struct Case {
    bool extended;
    bool secure;
    const char* name;
  };
  for (const Case& row : {Case{true, true, " with ESMTPS id "},
                          {true, false, " with ESMTP id "},
                          {false, true, " with SMTP id "},
                          {false, false, " with SMTP id "}}) {
    Trace trace = Sample();
    trace.extended = row.extended;
    trace.secure = row.secure;
    EXPECT_NE(Received(trace).find(row.name), std::string::npos) << row.name;
  }
}

TEST(Received, SmtpUtf8HasItsOwnProtocolAndMayNameItsRecipient) {
  Trace trace = Sample();
  trace.recipient = "\xc3\xbc@our.example";
  EXPECT_EQ(Received(trace).find(" for "), std::string::npos);
  trace.smtputf8 = true;
  EXPECT_NE(Received(trace).find(" with UTF8SMTP id "), std::string::npos);
  EXPECT_NE(Received(trace).find("\tfor <\xc3\xbc@our.example>;"), std::string::npos);
  trace.secure = true;
  EXPECT_NE(Received(trace).find(" with UTF8SMTPS id "), std::string::npos);
}

TEST(Received, LeapDayAndTimeBeforeTheEpoch) {
  Trace trace = Sample();
  trace.time = WallTime::FromNanoseconds(1709251199LL * 1'000'000'000);
  EXPECT_NE(Received(trace).find("Thu, 29 Feb 2024 23:59:59 +0000"), std::string::npos);
  trace.time = WallTime::FromNanoseconds(-1'000'000'000);
  EXPECT_NE(Received(trace).find("Wed, 31 Dec 1969 23:59:59 +0000"), std::string::npos);
}

TEST(Received, NothingForeignCanBreakTheField) {
  for (int byte = 0; byte < 256; ++byte) {
    Trace trace = Sample();
    const std::string evil = std::string("a") + static_cast<char>(byte) + "b";
    trace.helo = evil;
    trace.client_name = evil;
    trace.recipient = evil;
    const std::string field = Received(trace);
    EXPECT_EQ(std::count(field.begin(), field.end(), '\n'), byte >= ' ' && byte <= '~' ? 4 : 3);
    EXPECT_EQ(std::count(field.begin(), field.end(), '('), byte == '(' ? 3 : 2);
    EXPECT_EQ(field.find('\0'), std::string::npos);
  }
}

TEST(Received, NoLineIsTooLong) {
  const std::string endless(100000, 'x');
  Trace trace = Sample();
  trace.helo = endless;
  trace.client_name = endless;
  trace.hostname = endless;
  trace.client_address_literal = endless;
  trace.queue_id = endless;
  trace.recipient = endless;
  const std::string field = Received(trace);
  size_t begin = 0;
  for (size_t end = field.find("\r\n"); end != std::string::npos; end = field.find("\r\n", begin)) {
    EXPECT_LE(end - begin, 998u);
    begin = end + 2;
  }
  EXPECT_EQ(begin, field.size());
}

struct Hops {
  uint32_t received = 0;
  uint32_t own = 0;
  friend bool operator==(const Hops&, const Hops&) = default;
};

// Counts in pieces of `piece` bytes.
Hops Count(const std::string& content, size_t piece) {
  HopCounter counter;
  counter.Start();
  for (size_t at = 0; at < content.size(); at += piece) {
    counter.Consume(AsBytes(content).subspan(at, std::min(piece, content.size() - at)),
                    "mx2.example.net");
  }
  return {counter.received(), counter.own()};
}

TEST(HopCounter, CountsFieldsAndOurNameHoweverCut) {
  struct Case {
    std::string content;
    Hops hops;
  };
  const std::string ours = "Received: from a (b [192.0.2.1]) by mx2.example.net (backstay); x\r\n";
  const std::vector<Case> cases = {
      {"", {0, 0}},
      {"Subject: x\r\n\r\nReceived: by mx2.example.net\r\n", {0, 0}},
      {"\r\nReceived: by mx2.example.net\r\n", {0, 0}},
      {ours, {1, 1}},
      {ours + ours, {2, 2}},
      {ours + "Subject: x\r\n" + ours + "\r\n" + ours, {2, 2}},
      {"RECEIVED: BY MX2.EXAMPLE.NET\r\n", {1, 1}},
      {"received : by mx2.example.net\r\n", {1, 1}},
      {"Received:by mx2.example.net;\r\n", {1, 1}},
      {"Received: by mx2.example.net.\r\n", {1, 1}},
      {"Received: by mx2.example.net..\r\n", {1, 0}},
      {"Received: by mx2.example.network\r\n", {1, 0}},
      {"Received: by mx2.example.ne\r\n", {1, 0}},
      {"Received: by xmx2.example.net\r\n", {1, 0}},
      {"Received: from mx2.example.net by other\r\n", {1, 0}},
      {"Received: from a (by mx2.example.net) by other\r\n", {1, 0}},
      {"Received: from a (x (by) by mx2.example.net) by other\r\n", {1, 0}},
      {"Received: from a (x)by(y)mx2.example.net(z)\r\n", {1, 1}},
      {"Received: from a; by mx2.example.net\r\n", {1, 0}},
      {"Received: from a by other by mx2.example.net\r\n", {1, 0}},
      {"Received: from a\r\n\tby\r\n mx2.example.net\r\n", {1, 1}},
      {"Received: from a\r\nX: y\r\n by mx2.example.net\r\n", {1, 0}},
      {"Received: from a (unclosed\r\nReceived: by mx2.example.net\r\n", {2, 1}},
      {"Received: bye mx2.example.net\r\n", {1, 0}},
      {"Received: from by (by [by]) by mx2.example.net\r\n", {1, 1}},
      {"Received: from from by mx2.example.net\r\n", {1, 1}},
      {"Received: xfrom by mx2.example.net\r\n", {1, 1}},
      {"Received: standby mx2.example.net\r\n", {1, 0}},
      {"Received: b y mx2.example.net\r\n", {1, 0}},
      {"Received\r\nReceived:\r\n", {1, 0}},
      {"Receive: x\r\nReceivedx: y\r\nX-Received: z\r\n", {0, 0}},
      {" Received: by mx2.example.net\r\n", {0, 0}},
      {"X: y\r\n Received: by mx2.example.net\r\n", {0, 0}},
      {"R\r\n\r\nReceived: x\r\n", {0, 0}},
  };
  for (const Case& test : cases) {
    for (size_t piece = 1; piece <= std::max<size_t>(test.content.size(), 1); ++piece) {
      EXPECT_EQ(Count(test.content, piece), test.hops) << test.content << "cut at " << piece;
    }
  }
}

TEST(HopCounter, OwnFieldIsRecognized) {
  const std::string field = Received(Sample());
  EXPECT_EQ(Count(field, field.size()), (Hops{1, 1}));
}

TEST(HopCounter, LoopsAtAHundredFieldsOrOurNameTwice) {
  HopCounter counter;
  counter.Start();
  for (int i = 0; i < 99; ++i) {
    counter.Consume(AsBytes("Received: from a by b; c\r\n"), "mx2");
  }
  EXPECT_FALSE(counter.looping());
  counter.Consume(AsBytes("Received:"), "mx2");
  EXPECT_TRUE(counter.looping());
  counter.Start();
  counter.Consume(AsBytes("Received: by mx2; c\r\n"), "mx2");
  EXPECT_FALSE(counter.looping());
  counter.Consume(AsBytes("Received: by mx2; c\r\n"), "mx2");
  EXPECT_TRUE(counter.looping());
}

TEST(HopCounter, EmptyHostnameIsNobodysName) {
  HopCounter counter;
  counter.Start();
  counter.Consume(AsBytes("Received: by ; x\r\nReceived: by . x\r\n"), "");
  EXPECT_EQ(counter.own(), 0u);
}

TEST(HopCounter, DeepCommentsDoNotWrap) {
  const std::string deep = "Received: from a " + std::string(300, '(') + std::string(255, ')') +
                           " by mx2.example.net\r\n";
  EXPECT_EQ(Count(deep, deep.size()), (Hops{1, 1}));  // saturated at 255: closed again
  EXPECT_EQ(Count(deep + "Received: by mx2.example.net\r\n", 7), (Hops{2, 2}));
}

}  // namespace
}  // namespace backstay
