// tests/core/smtp/proxy_header_test.cc -- both versions, cut everywhere, and what is refused.
#include "core/smtp/proxy_header.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace backstay {
namespace {

using Result = ProxyHeader::Result;

constexpr std::string_view kSignature("\r\n\r\n\0\r\nQUIT\n", 12);

// Version 2: `command` and `family` are whole bytes.
std::string Version2(unsigned command, unsigned family, const std::string& body) {
  std::string header(kSignature);
  header += static_cast<char>(command);
  header += static_cast<char>(family);
  header += static_cast<char>(body.size() >> 8);
  header += static_cast<char>(body.size() & 0xff);
  return header + body;
}

std::string V4Body() {
  return std::string("\xc0\x00\x02\x01\x0a\x00\x00\x01\x30\x39\x00\x19", 12);
}
std::string V6Body() {
  std::string body("\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01", 16);
  body += std::string(15, '\0') + "\x01";
  return body + std::string("\x30\x39\x00\x19", 4);
}

// How it ends and how many bytes it takes, byte by byte; the same at once.
Result Read(const std::string& text, ProxyHeader& header, size_t* taken = nullptr) {
  Result result = Result::kIncomplete;
  size_t at = 0;
  while (at < text.size() && result == Result::kIncomplete) {
    const std::string byte(1, text[at++]);
    Bytes bytes = AsBytes(byte);
    result = header.Consume(bytes);
    EXPECT_TRUE(bytes.empty());
  }
  ProxyHeader at_once;
  Bytes bytes = AsBytes(text);
  EXPECT_EQ(static_cast<int>(at_once.Consume(bytes)), static_cast<int>(result));
  EXPECT_EQ(text.size() - bytes.size(), at);
  if (taken != nullptr) {
    *taken = at;
  }
  return result;
}

void ExpectSource(const std::string& text, const std::string& address, uint16_t port) {
  SCOPED_TRACE(testing::PrintToString(text));
  ProxyHeader header;
  size_t taken = 0;
  ASSERT_EQ(static_cast<int>(Read(text + "EHLO x\r\n", header, &taken)),
            static_cast<int>(Result::kDone));
  EXPECT_EQ(taken, text.size());
  ASSERT_TRUE(header.source().has_value());
  const bool is_v6 = address.find(':') != std::string::npos;
  EXPECT_EQ(header.source()->address, *ParseNumericAddress(address, is_v6));
  EXPECT_EQ(header.source()->port, port);
}

void ExpectNobody(const std::string& text) {
  SCOPED_TRACE(testing::PrintToString(text));
  ProxyHeader header;
  size_t taken = 0;
  ASSERT_EQ(static_cast<int>(Read(text + "EHLO x\r\n", header, &taken)),
            static_cast<int>(Result::kDone));
  EXPECT_EQ(taken, text.size());
  EXPECT_FALSE(header.source().has_value());
}

void ExpectError(const std::string& text) {
  ProxyHeader header;
  EXPECT_EQ(static_cast<int>(Read(text, header)), static_cast<int>(Result::kError))
      << testing::PrintToString(text);
}

TEST(ProxyHeader, Version1NamesTheClient) {
  ExpectSource("PROXY TCP4 192.0.2.1 10.0.0.1 12345 25\r\n", "192.0.2.1", 12345);
  ExpectSource("PROXY TCP4 192.0.2.1 10.0.0.1 0 65535\r\n", "192.0.2.1", 0);
  ExpectSource("PROXY TCP6 2001:db8::1 ::1 12345 25\r\n", "2001:db8::1", 12345);
  const std::string longest(
      "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
      "65535 65535\r\n");
  ExpectSource(longest, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535);
}

TEST(ProxyHeader, Version1MayKnowNobody) {
  ExpectNobody("PROXY UNKNOWN\r\n");
  ExpectNobody("PROXY UNKNOWN ffff::1 ::1 65535 65535\r\n");
  ExpectNobody("PROXY UNKNOWN " + std::string(107 - 16, 'x') + "\r\n");
}

TEST(ProxyHeader, Version1IsTakenToTheLetter) {
  for (const char* text : {"EHLO x\r\n",
                           "proxy TCP4 1.2.3.4 1.2.3.4 1 2\r\n",
                           "PROXYTCP4",
                           "PROXY\r\n",
                           "PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n",
                           "PROXY tcp4 1.2.3.4 1.2.3.4 1 2\r\n",
                           "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n",
                           "PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n",
                           "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n",
                           "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n",
                           "PROXY TCP4  1.2.3.4 1.2.3.4 1 2\r\n",
                           "PROXY TCP4 1.2.3 1.2.3.4 1 2\r\n",
                           "PROXY TCP4 1.2.3.4 x 1 2\r\n",
                           "PROXY TCP4 ::1 ::1 1 2\r\n",
                           "PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n",
                           "PROXY TCP4 1.2.3.4 1.2.3.4 65536 2\r\n",
                           "PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n",
                           "PROXY TCP4 1.2.3.4 1.2.3.4 1 -2\r\n",
                           "PROXY TCP4 1.2.3.4 1.2.3.4 1 \r\n",
                           "PROXY TCP4 1.2.3.4\t1.2.3.4 1 2\r\n",
                           "PROXY UNKNOWNS\r\n",
                           "PROXY \r\n"}) {
    ExpectError(text);
  }
  ExpectError("PROXY UNKNOWN " + std::string(107 - 15, 'x') + "\r\n");
  ExpectError("PROXY TCP4 " + std::string(5000, '1'));
}

TEST(ProxyHeader, Version2NamesTheClient) {
  ExpectSource(Version2(0x21, 0x11, V4Body()), "192.0.2.1", 12345);
  ExpectSource(Version2(0x21, 0x21, V6Body()), "2001:db8::1", 12345);
}

TEST(ProxyHeader, Version2MayHaveAnythingBehindTheAddresses) {
  const std::string tlvs("\x01\x00\x02h2\xee\x00\x05xyz", 10);
  ExpectSource(Version2(0x21, 0x11, V4Body() + tlvs), "192.0.2.1", 12345);
  ExpectSource(Version2(0x21, 0x21, V6Body() + std::string(4096 - 16 - 36, 't')), "2001:db8::1",
               12345);
  ExpectNobody(Version2(0x20, 0x00, tlvs));
}

TEST(ProxyHeader, Version2MayKnowNobody) {
  ExpectNobody(Version2(0x20, 0x00, ""));        // LOCAL
  ExpectNobody(Version2(0x20, 0x11, V4Body()));  // LOCAL: the address is not the client's
  ExpectNobody(Version2(0x21, 0x00, ""));        // UNSPEC
  ExpectNobody(Version2(0x21, 0x31, std::string(216, 'u')));
}

TEST(ProxyHeader, Version2IsTakenToTheLetter) {
  ExpectError(Version2(0x11, 0x11, V4Body()));  // version 1 in the form of version 2
  ExpectError(Version2(0x31, 0x11, V4Body()));
  ExpectError(Version2(0x22, 0x11, V4Body()));  // neither LOCAL nor PROXY
  ExpectError(Version2(0x21, 0x41, V4Body()));
  ExpectError(Version2(0x21, 0x13, V4Body()));
  ExpectError(Version2(0x21, 0x12, V4Body()));  // a datagram
  ExpectError(Version2(0x21, 0x11, V4Body().substr(1)));
  ExpectError(Version2(0x21, 0x21, V6Body().substr(1)));
  ExpectError(Version2(0x21, 0x31, std::string(215, 'u')));
  ExpectError(Version2(0x21, 0x11, V4Body() + std::string(4096 - 16 - 12 + 1, 't')));
  std::string other(kSignature);
  other[11] = '\r';
  ExpectError(other);
}

TEST(ProxyHeader, WaitsForTheRest) {
  for (const std::string& whole : {std::string("PROXY TCP4 192.0.2.1 10.0.0.1 12345 25\r\n"),
                                   Version2(0x21, 0x21, V6Body())}) {
    for (size_t bytes = 1; bytes < whole.size(); ++bytes) {
      ProxyHeader header;
      ASSERT_EQ(static_cast<int>(Read(whole.substr(0, bytes), header)),
                static_cast<int>(Result::kIncomplete))
          << bytes;
    }
  }
}

}  // namespace
}  // namespace backstay
