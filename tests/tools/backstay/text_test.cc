// tests/tools/backstay/text_test.cc -- numbers, times, foreign text, tables.
#include "tools/backstay/text.h"

#include <gtest/gtest.h>

#include <utility>

#include "tools/backstay/table.h"

namespace backstay {
namespace {

TEST(Text, NumbersAreGroupedAndBytesRounded) {
  EXPECT_EQ(GroupedNumber(0), "0");
  EXPECT_EQ(GroupedNumber(999), "999");
  EXPECT_EQ(GroupedNumber(1000), "1,000");
  EXPECT_EQ(GroupedNumber(1234567), "1,234,567");
  EXPECT_EQ(ReadableBytes(1023), "1023 B");
  EXPECT_EQ(ReadableBytes(1536), "1.5 KiB");
  EXPECT_EQ(ReadableBytes(uint64_t{3} << 40), "3.0 TiB");
}

TEST(Text, ACountIsDigitsAndFits) {
  EXPECT_EQ(ParseCount("0"), 0u);
  EXPECT_EQ(ParseCount("010"), 10u) << "not octal";
  EXPECT_EQ(ParseCount("18446744073709551615"), UINT64_MAX);
  for (const char* none :
       {"", "-1", "+1", " 1", "1 ", "x", "1x", "0x10", "1.5", "1e3", "18446744073709551616"}) {
    EXPECT_EQ(ParseCount(none), std::nullopt) << none;
  }
}

TEST(Text, TimeIsUtc) {
  EXPECT_EQ(IsoTime(WallTime()), "1970-01-01T00:00:00Z");
  EXPECT_EQ(IsoTime(WallTime::FromNanoseconds(1'700'000'000'999'999'999)), "2023-11-14T22:13:20Z");
}

TEST(Text, ADomainIsAsTheSpoolHasIt) {
  EXPECT_EQ(CanonicalDomain("Example.COM."), "example.com");
  EXPECT_EQ(CanonicalDomain("a"), "a");
  EXPECT_EQ(CanonicalDomain(""), "");
}

TEST(Text, NothingThatControlsATerminalIsPrintable) {
  EXPECT_EQ(Printable("plain"), "plain");
  EXPECT_EQ(Printable("\x1b[2J\x7f\r\n"), "\\x1b[2J\\x7f\\x0d\\x0a");
  EXPECT_EQ(Printable("gr\xc3\xbc\xc3\x9f"
                      "e"),
            "gr\xc3\xbc\xc3\x9f"
            "e");
  EXPECT_EQ(Printable("\xc2\x9b"), "\\xc2\\x9b");           // CSI as one character
  EXPECT_EQ(Printable("\xc0\xaf"), "\\xc0\\xaf");           // overlong
  EXPECT_EQ(Printable("\xed\xa0\x80"), "\\xed\\xa0\\x80");  // a surrogate
  EXPECT_EQ(Printable("\xe2\x82"), "\\xe2\\x82");           // cut off
  EXPECT_EQ(Printable("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80");
  EXPECT_EQ(Printable("v\xe2\x80\xaegpj.exe"), "v\\xe2\\x80\\xaegpj.exe");  // reads backwards
  EXPECT_EQ(Printable("a\xe2\x80\x8d"), "a\\xe2\\x80\\x8d");                // has no width
}

TEST(Text, JsonIsValidWhateverIsInIt) {
  JsonObject json;
  json.Text("text", "a\"\\\n\xff\xc3\xbc").Number("number", UINT64_MAX).Flag("flag", true);
  json.Json("list", "[]");
  EXPECT_EQ(std::move(json).Take(),
            "{\"text\":\"a\\\"\\\\\\u000a\\ufffd\xc3\xbc\",\"number\":18446744073709551615,"
            "\"flag\":true,\"list\":[]}");
  EXPECT_EQ(JsonObject().Take(), "{}");
}

TEST(Text, TableColumnsAreAsWideAsTheirWidestCell) {
  Table table({"NAME", "N"});
  table.Add({"a", "1,000"});
  table.Add({"longer", "2"});
  EXPECT_EQ(table.Text(),
            "NAME        N\n"
            "a       1,000\n"
            "longer      2\n");
}

}  // namespace
}  // namespace backstay
