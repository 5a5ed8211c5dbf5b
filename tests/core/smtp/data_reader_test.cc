// tests/core/smtp/data_reader_test.cc -- against a reader that sees everything at once.
#include "core/smtp/data_reader.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "core/base/random.h"
#include "core/smtp/line_scan.h"

namespace backstay {
namespace {

using Fault = DataReader::Fault;
using Mode = DataReader::Mode;

struct Decoded {
  bool done = false;
  size_t taken = 0;
  bool refused = false;
  std::string content;
  bool has_dot_lines = false;

  friend bool operator==(const Decoded&, const Decoded&) = default;
};

// The rule, read off RFC 5321 s4.5.2 for a whole stream: cut at the first CRLF.CRLF, split at CRLF,
// drop a leading dot, then look at what is left of CR, LF and NUL.
Decoded Reference(const std::string& wire, Mode mode) {
  Decoded decoded;
  const std::string framed = "\r\n" + wire;
  const size_t end = framed.find("\r\n.\r\n");
  decoded.done = end != std::string::npos;
  decoded.taken = decoded.done ? end + 3 : wire.size();
  if (!decoded.done) {
    return decoded;
  }
  std::string rest = end == 0 ? "" : framed.substr(2, end);
  while (!rest.empty()) {
    const size_t line_end = rest.find("\r\n");
    std::string line = rest.substr(0, line_end);
    rest.erase(0, line_end + 2);
    if (line.starts_with('.')) {
      line.erase(0, 1);
    }
    for (const char c : line) {
      const bool stray = c == '\r' || c == '\n';
      decoded.refused |= c == '\0' || (stray && mode == Mode::kReject);
      decoded.content += stray ? "\r\n" : std::string(1, c);
    }
    decoded.content += "\r\n";
  }
  decoded.has_dot_lines =
      decoded.content.starts_with('.') || decoded.content.find("\r\n.") != std::string::npos;
  if (decoded.refused) {
    decoded.content.clear();
    decoded.has_dot_lines = false;
  }
  return decoded;
}

// Feeds `wire` in the pieces that `next_piece` says.
template <typename NextPiece>
Decoded Read(const std::string& wire, Mode mode, NextPiece next_piece) {
  DataReader reader;
  reader.Start(mode);
  Decoded decoded;
  while (decoded.taken < wire.size() && !reader.done()) {
    const size_t piece = std::min<size_t>(next_piece(), wire.size() - decoded.taken);
    // A copy of its own, so that the sanitizer sees a read beyond the piece.
    const std::vector<uint8_t> bytes(wire.begin() + static_cast<ptrdiff_t>(decoded.taken),
                                     wire.begin() + static_cast<ptrdiff_t>(decoded.taken + piece));
    decoded.taken += reader.Consume(bytes, [&decoded](Bytes content) {
      EXPECT_FALSE(content.empty());
      decoded.content.append(AsText(content));
    });
  }
  decoded.done = reader.done();
  decoded.refused = reader.fault() != Fault::kNone;
  if (decoded.refused || !decoded.done) {
    decoded.content.clear();
  } else {
    decoded.has_dot_lines = reader.has_dot_lines();
  }
  return decoded;
}

Decoded ReadWhole(const std::string& wire, Mode mode) {
  return Read(wire, mode, [&wire] { return wire.size(); });
}

void ExpectLikeReference(const std::string& wire, Random& random) {
  for (const Mode mode : {Mode::kReject, Mode::kNormalize}) {
    const Decoded expected = Reference(wire, mode);
    ASSERT_EQ(ReadWhole(wire, mode), expected) << testing::PrintToString(wire);
    ASSERT_EQ(Read(wire, mode, [] { return size_t{1}; }), expected) << testing::PrintToString(wire);
    ASSERT_EQ(Read(wire, mode, [&random] { return random.Between(1, 5); }), expected)
        << testing::PrintToString(wire);
  }
}

TEST(DataReader, EveryShortStreamReadsAsTheReferenceSays) {
  constexpr std::string_view kAlphabet = "\r\n.a";
  Random random(1);
  for (unsigned length = 0; length <= 6; ++length) {
    const unsigned streams = 1u << (2 * length);
    for (unsigned number = 0; number < streams; ++number) {
      std::string wire;
      for (unsigned i = 0; i < length; ++i) {
        wire += kAlphabet[number >> (2 * i) & 3];
      }
      ExpectLikeReference(wire + "\r\n.\r\nNOOP", random);
    }
  }
}

TEST(DataReader, EveryFourByteStreamWithNulReadsAsTheReferenceSays) {
  constexpr std::string_view kAlphabet("\r\n.a\0", 5);
  Random random(2);
  for (unsigned number = 0; number < 5 * 5 * 5 * 5 * 5; ++number) {
    std::string wire;
    for (unsigned digits = number; wire.size() < 5; digits /= 5) {
      wire += kAlphabet[digits % 5];
    }
    ExpectLikeReference("x" + wire + "\r\n.\r\n", random);
  }
}

TEST(DataReader, BlockEdgesAreNoEdges) {
  Random random(3);
  const std::vector<std::string> middles = {
      "\r\n..\r\n", "\r\n.x\r\n", "\r\n",       "\r\n.\r\n",          "\n",       "\r",
      "\r\r\n",     "\n.\r\n",    "\r\n.\n",    std::string(1, '\0'), "\r\n.\rx", ".\r\n",
      "\n.",        "\r.",        "\r\n\r\n..", "\r\n...\r\n"};
  for (const std::string& middle : middles) {
    for (size_t before = 0; before < 140; ++before) {
      const std::string wire =
          std::string(before, 'a') + middle + std::string(before % 71, 'b') + "\r\n.\r\n";
      ExpectLikeReference(wire, random);
    }
  }
}

TEST(DataReader, RandomTextReadsAsTheReferenceSays) {
  Random random(4);
  const std::vector<std::string> words = {"word ", "\r\n", "\r\n", ".", "..", "\r\n.", "text"};
  const std::vector<std::string> strays = {"\r", "\n", std::string(1, '\0')};
  for (int round = 0; round < 2000; ++round) {
    std::string wire;
    for (uint64_t count = random.Below(60); count > 0; --count) {
      wire += words[random.Below(words.size())];
      if (round % 2 == 0 && random.Chance(1, 20)) {
        wire += strays[random.Below(strays.size())];
      }
    }
    ExpectLikeReference(wire + "\r\n.\r\nQUIT\r\n", random);
  }
}

TEST(DataReader, EmptyMessageIsADotAlone) {
  const Decoded decoded = ReadWhole(".\r\n", Mode::kReject);
  EXPECT_TRUE(decoded.done);
  EXPECT_EQ(decoded.content, "");
}

TEST(DataReader, DotsAreUnstuffedInHeaderAndBody) {
  const Decoded decoded =
      ReadWhole("..\r\nA: b\r\n\r\n..\r\n...\r\n.x\r\na.\r\n.\r\n", Mode::kReject);
  EXPECT_EQ(decoded.content, ".\r\nA: b\r\n\r\n.\r\n..\r\nx\r\na.\r\n");
  EXPECT_TRUE(decoded.has_dot_lines);
}

TEST(DataReader, UnstuffedTextIsNoDotLine) {
  EXPECT_FALSE(ReadWhole(".x\r\na.b\r\n.\r\n", Mode::kReject).has_dot_lines);
  EXPECT_TRUE(ReadWhole("..x\r\n.\r\n", Mode::kReject).has_dot_lines);
  // A dot behind a converted newline begins a stored line, so it must be stuffed when it is sent.
  EXPECT_TRUE(ReadWhole("a\n.b\r\n.\r\n", Mode::kNormalize).has_dot_lines);
  EXPECT_TRUE(ReadWhole("a\r.b\r\n.\r\n", Mode::kNormalize).has_dot_lines);
}

TEST(DataReader, LookalikesAreOrdinaryBytes) {
  const std::string text =
      "a\r\n \r\n. \r\n.\t\r\n\xef\xbc\x8e\r\n\xc2\x85.\xc2\x85\r\n\xe2\x80\xa8.\xe2\x80\xa8\r\n";
  const Decoded decoded = ReadWhole(text + ".\r\n", Mode::kReject);
  EXPECT_TRUE(decoded.done);
  EXPECT_FALSE(decoded.refused);
  EXPECT_EQ(decoded.content,
            "a\r\n \r\n \r\n\t\r\n"
            "\xef\xbc\x8e\r\n\xc2\x85.\xc2\x85\r\n\xe2\x80\xa8.\xe2\x80\xa8\r\n");
}

TEST(DataReader, FirstFaultIsTheOneThatIsNamed) {
  const auto fault_of = [](std::string_view wire, Mode mode) {
    DataReader reader;
    reader.Start(mode);
    reader.Consume(AsBytes(wire), [](Bytes) {});
    return reader.fault();
  };
  EXPECT_EQ(fault_of(std::string_view("a\nb\0", 4), Mode::kReject), Fault::kBareNewline);
  EXPECT_EQ(fault_of(std::string_view("a\0b\n", 4), Mode::kReject), Fault::kNul);
  EXPECT_EQ(fault_of(std::string_view("a\nb\0", 4), Mode::kNormalize), Fault::kNul);
  EXPECT_EQ(fault_of("a\r", Mode::kReject), Fault::kNone);
  EXPECT_EQ(fault_of("a\rb", Mode::kReject), Fault::kBareNewline);
}

TEST(DataReader, NothingIsEmittedBehindDiscardAndTheEndIsStillFound) {
  DataReader reader;
  reader.Start(Mode::kReject);
  size_t pieces = 0;
  const std::string wire = "a\r\n..b\r\n\n.\n" + std::string(300, 'x') + "\r\n.\r\nQUIT";
  const size_t taken = reader.Consume(AsBytes(wire), [&](Bytes) {
    ++pieces;
    reader.Discard();
  });
  EXPECT_EQ(pieces, 1u);
  EXPECT_EQ(taken, wire.size() - 4);
  EXPECT_TRUE(reader.done());
  EXPECT_EQ(reader.fault(), Fault::kNone);
}

TEST(DataReader, PlainContentIsEmittedAsItLies) {
  DataReader reader;
  reader.Start(Mode::kReject);
  const std::string wire = std::string(500, 'x') + "\r\n" + std::string(500, 'y') + "\r\n.\r\n";
  std::vector<Bytes> runs;
  reader.Consume(AsBytes(wire), [&runs](Bytes content) { runs.push_back(content); });
  ASSERT_EQ(runs.size(), 1u);
  EXPECT_EQ(runs[0].data(), AsBytes(wire).data());
  EXPECT_EQ(runs[0].size(), wire.size() - 3);
}

TEST(LineScan, BothDefinitionsAgree) {
  Random random(5);
  uint8_t block[kScanBytes];
  for (int round = 0; round < 2000; ++round) {
    for (uint8_t& byte : block) {
      static constexpr uint8_t kNear[] = {0, 1, 9, 10, 11, 13, 14, 45, 46, 47, 0x80, 0x8d, 0xff};
      byte = random.Chance(1, 2) ? kNear[random.Below(sizeof(kNear))]
                                 : static_cast<uint8_t>(random.Next());
    }
    const LineMasks portable = ScanBlockPortable(block);
    const LineMasks masks = ScanBlock(block);
    for (unsigned i = 0; i < kScanBytes; ++i) {
      ASSERT_EQ(portable.cr >> i & 1, uint64_t{block[i] == '\r'});
      ASSERT_EQ(portable.nul >> i & 1, uint64_t{block[i] == '\0'});
    }
    ASSERT_EQ(portable.cr, masks.cr);
    ASSERT_EQ(portable.lf, masks.lf);
    ASSERT_EQ(portable.nul, masks.nul);
    ASSERT_EQ(portable.dot, masks.dot);
  }
}

}  // namespace
}  // namespace backstay
