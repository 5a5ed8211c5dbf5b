// tests/tools/traffic/stamp_test.cc -- the stamp is found wherever it is cut, damage is seen.
#include "tools/traffic/stamp.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <string>

#include "core/base/crc32c.h"
#include "tests/support/certificates.h"
#include "tools/traffic/ledger_file.h"

namespace backstay {
namespace {

std::string Stamped(const std::string& body) {
  std::string text = "Received: from relay\r\nSubject: no X-Load-Id: here\r\n\r\n";
  AppendStamp({.id = 0xabcdef0123456789, .bytes = body.size(), .crc = Crc32c(0, AsBytes(body))},
              text);
  return text + body;
}

StampReader Read(const std::string& text, size_t piece) {
  StampReader reader;
  reader.Start();
  for (size_t at = 0; at < text.size(); at += piece) {
    reader.Take(AsBytes(std::string_view(text).substr(at, piece)));
  }
  return reader;
}

TEST(Stamp, IsFoundHoweverTheContentIsCut) {
  const std::string text = Stamped("body\r\n.dot\r\n");
  for (size_t piece = 1; piece <= text.size(); ++piece) {
    const StampReader reader = Read(text, piece);
    ASSERT_EQ(reader.Finish(), StampReader::Verdict::kIntact) << piece;
    ASSERT_EQ(reader.stamp().id, 0xabcdef0123456789);
  }
}

TEST(Stamp, OneAlteredByteBehindItIsDamage) {
  std::string text = Stamped("body\r\n");
  text[text.size() - 4] ^= 1;
  EXPECT_EQ(Read(text, 1000).Finish(), StampReader::Verdict::kDamaged);
}

TEST(Stamp, AMissingByteIsDamage) {
  std::string text = Stamped("body\r\n");
  text.pop_back();
  EXPECT_EQ(Read(text, 1000).Finish(), StampReader::Verdict::kDamaged);
}

TEST(Stamp, WhatStandsInTheMiddleOfALineIsNoStamp) {
  const std::string text = "Subject: X-Load-Id: abcdef0123456789 0 00000000\r\n";
  EXPECT_EQ(Read(text, 1000).Finish(), StampReader::Verdict::kNoStamp);
}

TEST(Stamp, ForeignMailIsGivenUpAndCostsNoMore) {
  const std::string text(2 * StampReader::kHeadBytesMax, 'x');
  EXPECT_EQ(Read(text + "\r\n" + Stamped(""), 16384).Finish(), StampReader::Verdict::kNoStamp);
}

TEST(LedgerFile, HasALineForEachRecipient) {
  const TestFolder folder;
  {
    LedgerFile ledger;
    ASSERT_TRUE(ledger.Open(folder.File("ledger")).ok());
    ledger.Add(0x12, "a@example.com");
    ledger.Add(0x12, "b@example.com");
    ledger.Flush();
    EXPECT_EQ(ReadTextFile(folder.File("ledger")),
              "0000000000000012 a@example.com\n0000000000000012 b@example.com\n");
  }
  LedgerFile none;
  EXPECT_TRUE(none.Open("").ok());
  none.Add(1, "nobody");
  EXPECT_FALSE(none.Open(folder.File("no/such/folder")).ok());
}

TEST(LedgerFileDeathTest, AFailedWriteEndsTheProgramWithASentence) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        LedgerFile ledger;
        if (ledger.Open("/dev/full").ok()) {
          ledger.Add(1, "a@example.com");
          ledger.Flush();
        }
      },
      testing::ExitedWithCode(74), "cannot write the ledger /dev/full: No space left on device");
}

}  // namespace
}  // namespace backstay
