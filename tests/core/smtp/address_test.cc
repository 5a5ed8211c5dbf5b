// tests/core/smtp/address_test.cc -- the grammar of paths, as tables.
#include "core/smtp/address.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace backstay {
namespace {

std::string Quoted(std::string_view text) {
  std::string quoted;
  for (const char c : text) {
    quoted += c >= ' ' && c <= '~' ? std::string(1, c) : "\\" + std::to_string(c & 0xff);
  }
  return quoted;
}

struct PathCase {
  std::string text;
  PathError error;
  std::string address = "";
  std::string rest = "";
};

void ExpectCases(const std::vector<PathCase>& cases, Path (*parse)(std::string_view)) {
  for (const PathCase& test : cases) {
    SCOPED_TRACE(Quoted(test.text));
    const Path path = parse(test.text);
    EXPECT_EQ(static_cast<int>(path.error), static_cast<int>(test.error));
    EXPECT_EQ(path.address, test.address);
    EXPECT_EQ(path.rest, test.rest);
  }
}

std::string Times(size_t count, char c) {
  return std::string(count, c);
}

// A domain of `bytes` bytes out of labels of at most 63.
std::string LongDomain(size_t bytes) {
  std::string domain;
  while (bytes - domain.size() > 63) {
    domain += Times(bytes - domain.size() == 64 ? 61 : 62, 'd') + ".";
  }
  return domain + Times(bytes - domain.size(), 'd');
}

constexpr PathError kNone = PathError::kNone;
constexpr PathError kSyntax = PathError::kSyntax;
constexpr PathError kTooLong = PathError::kTooLong;
constexpr PathError kUtf8 = PathError::kUtf8;
constexpr PathError kEightBit = PathError::kEightBit;
constexpr PathError kRelayTrick = PathError::kRelayTrick;

TEST(Address, ForwardPathFollowsTheGrammar) {
  ExpectCases(
      {
          {"<v@our.example>", kNone, "v@our.example"},
          {"<v@our.example> NOTIFY=NEVER", kNone, "v@our.example", " NOTIFY=NEVER"},
          {"<v@our.example>x", kNone, "v@our.example", "x"},
          {"<v.w+x-y_z=1/2@OUR.Example>", kNone, "v.w+x-y_z=1/2@OUR.Example"},
          {"<!#$&'*+-/=?^_`{|}~@our>", kRelayTrick},
          {"<#$&'*+-/=?^_`{|}~@our>", kNone, "#$&'*+-/=?^_`{|}~@our"},
          {"<v@our.>", kNone, "v@our."},
          {"<v@o-u-r.x1.2>", kNone, "v@o-u-r.x1.2"},
          {"<v@under_score.example>", kNone, "v@under_score.example"},
          {"<v@127.0.0.1>", kNone, "v@127.0.0.1"},
          {"<v@xn--mgba3a4f.example>", kNone, "v@xn--mgba3a4f.example"},
          {"", kSyntax},
          {"v@our", kSyntax},
          {"<v@our", kSyntax},
          {"v@our>", kSyntax},
          {"<v>", kSyntax},
          {"<@our>", kSyntax},
          {"<v@>", kSyntax},
          {"<>", kSyntax},
          {"< v@our>", kSyntax},
          {"<v@our >", kSyntax},
          {"<v @our>", kSyntax},
          {"<v@our,w@our>", kSyntax},
          {"<<v@our>>", kSyntax},
          {"<v@our@other>", kSyntax},
          {"<.v@our>", kSyntax},
          {"<v.@our>", kSyntax},
          {"<v..w@our>", kSyntax},
          {"<v@.our>", kSyntax},
          {"<v@our..>", kSyntax},
          {"<v@our..example>", kSyntax},
          {"<v@-our>", kSyntax},
          {"<v@our->", kSyntax},
          {"<v@xn--->", kSyntax},
          {"<v@our-.example>", kSyntax},
          {"<v@our!other>", kSyntax},
          {"<v(comment)@our>", kSyntax},
          {"<v;w@our>", kSyntax},
          {std::string("<v\0@our>", 8), kSyntax},
          {std::string("<v@our\0>", 8), kSyntax},
          {"<v\t@our>", kSyntax},
          {"<v\r@our>", kSyntax},
          {"<v\x1b@our>", kSyntax},
          {"<v\x7f@our>", kSyntax},
      },
      ParseForwardPath);
}

TEST(Address, QuotedLocalPartIsKeptByteForByte) {
  ExpectCases(
      {
          {R"(<"a b"@our>)", kNone, R"("a b"@our)"},
          {R"(<"a\"b"@our>)", kNone, R"("a\"b"@our)"},
          {R"(<"a\\"@our>)", kNone, R"("a\\"@our)"},
          {R"(<"a>b"@our> X=1)", kNone, R"("a>b"@our)", " X=1"},
          {R"(<"a..b."@our>)", kNone, R"("a..b."@our)"},
          {R"(<""@our>)", kNone, R"(""@our)"},
          {"<\"a\tb\"@our>", kNone, "\"a\tb\"@our"},
          {R"(<"a@our>)", kSyntax},
          {R"(<"a"b@our>)", kSyntax},
          {R"(<"a".b@our>)", kSyntax},
          {R"(<a"b"@our>)", kSyntax},
          {R"(<"a\"@our>)", kSyntax},
          {"<\"a\rb\"@our>", kSyntax},
          {"<\"a\\\rb\"@our>", kSyntax},
          {"<\"a\nb\"@our>", kSyntax},
          {std::string("<\"a\0b\"@our>", 11), kSyntax},
          {std::string("<\"a\\\0b\"@our>", 12), kSyntax},
          {"<\"a\x1b[2Jb\"@our>", kSyntax},
          {"<\"a\\", kSyntax},
      },
      ParseForwardPath);
}

TEST(Address, RelayTricksAreRefusedForRecipients) {
  ExpectCases(
      {
          {R"(<"v@other.example"@our>)", kRelayTrick},
          {R"(<"v\@other.example"@our>)", kRelayTrick},
          {"<v%other@our>", kRelayTrick},
          {R"(<"v%other"@our>)", kRelayTrick},
          {"<other!v@our>", kRelayTrick},
          {R"(<"other!v"@our>)", kRelayTrick},
          {"<@x:v%other@our>", kRelayTrick},
      },
      ParseForwardPath);
  // A reverse-path asks nobody to relay.
  ExpectCases(
      {
          {"<v%other@our>", kNone, "v%other@our"},
          {R"(<"v@other"@our>)", kNone, R"("v@other"@our)"},
      },
      ParseReversePath);
}

TEST(Address, SourceRouteIsStrippedAndTheLastAddressJudged) {
  ExpectCases(
      {
          {"<@x:v@our>", kNone, "v@our"},
          {"<@our,@x:v@other>", kNone, "v@other"},
          {"<@[192.0.2.1],@x.:v@our> A", kNone, "v@our", " A"},
          {"<@x,y:v@our>", kSyntax},
          {"<@x;v@our>", kSyntax},
          {"<@x v@our>", kSyntax},
          {"<@:v@our>", kSyntax},
          {"<@x:>", kSyntax},
          {"<@x:Postmaster>", kSyntax},
      },
      ParseForwardPath);
}

TEST(Address, PostmasterNeedsNoDomainAsRecipient) {
  ExpectCases(
      {
          {"<Postmaster>", kNone, "Postmaster"},
          {"<POSTmaster> X", kNone, "POSTmaster", " X"},
          {"<postmaster@our>", kNone, "postmaster@our"},
          {"<postmasters>", kSyntax},
          {"<postmaste>", kSyntax},
          {"<\"postmaster\">", kSyntax},
          {"<postmaster", kSyntax},
      },
      ParseForwardPath);
  ExpectCases({{"<postmaster>", kSyntax}}, ParseReversePath);
}

TEST(Address, ReversePathMayBeNullAndSloppy) {
  ExpectCases(
      {
          {"<>", kNone, ""},
          {"<> BODY=8BITMIME", kNone, "", " BODY=8BITMIME"},
          {"<a@b>", kNone, "a@b"},
          {"<@x:a@b>", kNone, "a@b"},
          {"<a..b@docomo.example>", kNone, "a..b@docomo.example"},
          {"<.a.@docomo.example>", kNone, ".a.@docomo.example"},
          {"<" + Times(65, 'b') + "@x>", kNone, Times(65, 'b') + "@x"},
          {"<@b>", kSyntax},
          {"<@x:>", kSyntax},
          {"< >", kSyntax},
          {"<", kSyntax},
          {"", kSyntax},
          {"a@b", kSyntax},
      },
      ParseReversePath);
}

TEST(Address, LiteralsAreRealAddresses) {
  ExpectCases(
      {
          {"<v@[127.0.0.1]>", kNone, "v@[127.0.0.1]"},
          {"<v@[IPv6:::1]>", kNone, "v@[IPv6:::1]"},
          {"<v@[ipv6:2001:db8::1]>", kNone, "v@[ipv6:2001:db8::1]"},
          {"<v@[IPv6:::ffff:192.0.2.1]>", kNone, "v@[IPv6:::ffff:192.0.2.1]"},
          {"<v@[127.0.0.256]>", kSyntax},
          {"<v@[127.0.0]>", kSyntax},
          {"<v@[::1]>", kSyntax},
          {"<v@[IPv6:127.0.0.1]>", kSyntax},
          {"<v@[IPv6:fe80::1%eth0]>", kSyntax},
          {"<v@[IPv6:12345::]>", kSyntax},
          {"<v@[]>", kSyntax},
          {"<v@[127.0.0.1>", kSyntax},
          {"<v@[127.0.0.1].>", kSyntax},
          {"<v@[x:v@our.example]>", kSyntax},
          {std::string("<v@[127.0.0.1\0]>", 16), kSyntax},
          {"<v@[" + Times(100, '1') + "]>", kSyntax},
      },
      ParseForwardPath);
}

TEST(Address, LengthsHoldToTheByte) {
  const std::string domain = LongDomain(189);
  ExpectCases(
      {
          {"<" + Times(64, 'l') + "@our>", kNone, Times(64, 'l') + "@our"},
          {"<" + Times(65, 'l') + "@our>", kTooLong},
          {"<" + Times(1000, 'l') + "@our>", kTooLong},
          {"<\"" + Times(62, ' ') + "\"@our>", kNone, "\"" + Times(62, ' ') + "\"@our"},
          {"<\"" + Times(63, ' ') + "\"@our>", kTooLong},
          {"<v@" + Times(63, 'd') + ".x>", kNone, "v@" + Times(63, 'd') + ".x"},
          {"<v@" + Times(64, 'd') + ".x>", kTooLong},
          {"<" + Times(64, 'l') + "@" + domain + ">", kNone, Times(64, 'l') + "@" + domain},
          {"<" + Times(64, 'l') + "@d" + domain + ">", kTooLong},
          {"<v@" + LongDomain(252) + ">", kNone, "v@" + LongDomain(252)},
          {"<v@" + LongDomain(253) + ">", kTooLong},
          {"<v@" + LongDomain(256) + ">", kTooLong},
          {"<@" + LongDomain(200) + ":" + Times(64, 'l') + "@" + domain + ">", kNone,
           Times(64, 'l') + "@" + domain},
      },
      ParseForwardPath);
  EXPECT_EQ(64 + 1 + domain.size() + 2, 256u);
}

TEST(Address, EightBitIsToldApartFromBadSyntax) {
  ExpectCases(
      {
          {"<\xc3\xbc@our> X", kUtf8, "\xc3\xbc@our", " X"},
          {"<v@b\xc3\xbc.example>", kUtf8, "v@b\xc3\xbc.example"},
          {"<@x:\"\xc3\xbc x\"@our>", kUtf8, "\"\xc3\xbc x\"@our"},
          // A full-width dot, a right-to-left override: bytes like others.
          {"<v@our\xef\xbc\x8e.example>", kUtf8, "v@our\xef\xbc\x8e.example"},
          {"<v\xe2\x80\xae@our>", kUtf8, "v\xe2\x80\xae@our"},
          {"<\xf0\x9f\x93\xa7@our>", kUtf8, "\xf0\x9f\x93\xa7@our"},
          {"<\xf4\x8f\xbf\xbf@our>", kUtf8, "\xf4\x8f\xbf\xbf@our"},
          {"<\xc3\xbc%other@our>", kRelayTrick},
          {"<\"\xc3\xbc@other\"@our>", kRelayTrick},
          {"<\xfc@our>", kEightBit},
          {"<\xc3@our>", kEightBit},
          {"<\xc0\xae@our>", kEightBit},  // overlong dot
          {"<\xe0\x80\xae@our>", kEightBit},
          {"<\xf0\x80\x80\xae@our>", kEightBit},
          {"<\xed\xa0\x80@our>", kEightBit},  // surrogate
          {"<\xf4\x90\x80\x80@our>", kEightBit},
          {"<\xe2\x80@our>", kEightBit},
          {"<v@our\xff>", kEightBit},
          {"<\xc3\xbc our>", kSyntax},
      },
      ParseForwardPath);
}

TEST(Address, Utf8IsMeasuredInBytes) {
  const std::string eight = "\xf0\x9f\x93\xa7\xf0\x9f\x93\xa7";
  std::string local_part;
  for (int count = 0; count < 8; ++count) {
    local_part += eight;
  }
  ExpectCases(
      {
          {"<" + local_part + "@our>", kUtf8, local_part + "@our"},
          {"<l" + local_part + "@our>", kTooLong},
          // 63 bytes in ASCII may be more of them in UTF-8.
          {"<v@" + local_part + ".x>", kUtf8, "v@" + local_part + ".x"},
          {"<v@" + local_part + local_part + local_part + local_part + ".x>", kTooLong},
      },
      ParseForwardPath);
}

TEST(Address, DomainIsLowerCaseWithoutTheTrailingDot) {
  EXPECT_EQ(DomainOf("v@our.example"), "our.example");
  EXPECT_EQ(DomainOf("v@OUR.Example."), "our.example");
  EXPECT_EQ(DomainOf("\"a@b\"@Our"), "our");
  EXPECT_EQ(DomainOf("v@[IPv6:2001:DB8::1]"), "[ipv6:2001:db8::1]");
  EXPECT_EQ(DomainOf("v@B\xc3\xbc"
                     "CHER.Example."),
            "xn--bcher-kva.example");
  EXPECT_EQ(DomainOf("v@\xd1\x80\xd1\x84.\xd1\x80\xd1\x84"), "xn--p1ai.xn--p1ai");
  EXPECT_EQ(DomainOf("v@\xff.x"), "\xff.x");
  EXPECT_EQ(DomainOf("Postmaster"), "");
  EXPECT_EQ(DomainOf(""), "");
  std::string domain = "something else";
  AssignDomainOf("v@A.", domain);
  EXPECT_EQ(domain, "a");
  AssignDomainOf("Postmaster", domain);
  EXPECT_EQ(domain, "");
}

}  // namespace
}  // namespace backstay
