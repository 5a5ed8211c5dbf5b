// tests/core/smtp/smuggling_test.cc -- the published end-of-data sequences, at every place and cut.
//
// Each is followed by commands that a fooled server would execute. Whatever the place and the cut,
// there is one transaction, and no CR, LF or NUL gets out that is not half of a CRLF.
#include <gtest/gtest.h>

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "tests/core/smtp/session_fixture.h"

namespace backstay {
namespace {

// The union of what the public scanners send.
constexpr std::array<std::string_view, 12> kSequences = {
    "\n.\n",
    "\n.\r\n",
    "\r\n.\n",
    "\r.\r",
    "\r.\n",
    "\n.\r",
    "\r.\r\n",
    "\r\n.\r",
    std::string_view("\r\n\0.\r\n", 6),
    std::string_view("\r\n.\0\r\n", 6),
    "\r\n.\r\r\n",
    "\r\r\n.\r\r\n",
};

constexpr std::string_view kSmuggled =
    "MAIL FROM:<evil@b>\r\nRCPT TO:<victim@our>\r\nDATA\r\nSubject: forged\r\n\r\nx";

enum class Place { kStart, kMiddle, kEnd, kBehindTheLimit };

std::string Message(std::string_view sequence, Place place) {
  std::string message;
  switch (place) {
    case Place::kStart:
      break;
    case Place::kMiddle:
    case Place::kEnd:
      message = "Subject: x\r\n\r\ntext";
      break;
    case Place::kBehindTheLimit:
      message = std::string(200, 'x') + "\r\n" + std::string(200, 'y');
      break;
  }
  message += sequence;
  if (place != Place::kEnd) {
    message += kSmuggled;
  }
  return message + "\r\n.\r\n";
}

ServerParams Params(bool normalize) {
  ServerParams params = Dialogue::DefaultParams();
  params.message_bytes_max = 300;
  params.normalize_line_endings = normalize;
  return params;
}

bool HasStrayByte(std::string_view content) {
  for (size_t i = 0; i < content.size(); ++i) {
    const bool behind_cr = i > 0 && content[i - 1] == '\r';
    const bool before_lf = i + 1 < content.size() && content[i + 1] == '\n';
    if (content[i] == '\0' || (content[i] == '\n' && !behind_cr) ||
        (content[i] == '\r' && !before_lf)) {
      return true;
    }
  }
  return false;
}

// What the client must hear for its one message.
std::string ExpectedReply(std::string_view sequence, Place place, bool normalize) {
  if (place == Place::kBehindTheLimit) {
    return "552 5.3.4|221 2.0.0";
  }
  // Number 10 has the NUL first: its dot is followed by NUL, and nothing stray stands before it.
  if (sequence.find('\0') != std::string_view::npos) {
    return "550 5.6.0";
  }
  return normalize ? "250 2.0.0|221 2.0.0" : "521 5.5.2";
}

void RunCase(std::string_view sequence, Place place, bool normalize, size_t cut) {
  const std::string wire = Message(sequence, place) + "QUIT\r\n";
  Dialogue dialogue(Params(normalize));
  dialogue.StartData();
  dialogue.Feed(std::string_view(wire).substr(0, cut));
  dialogue.Feed(std::string_view(wire).substr(cut));
  dialogue.ExpectClosed(ExpectedReply(sequence, place, normalize));
  const bool taken = normalize && dialogue.intake.messages.size() == 1;
  ASSERT_EQ(dialogue.intake.calls, taken ? "MRDE" : "MRDX");
  for (const std::string& message : dialogue.intake.messages) {
    ASSERT_FALSE(HasStrayByte(message));
    ASSERT_EQ(message.find("forged") != std::string::npos, place != Place::kEnd);
  }
}

TEST(Smuggling, NoSequenceEndsDataAnywhereHoweverCut) {
  for (const std::string_view sequence : kSequences) {
    for (const Place place : {Place::kStart, Place::kMiddle, Place::kEnd, Place::kBehindTheLimit}) {
      for (const bool normalize : {false, true}) {
        for (size_t cut = 0; cut <= Message(sequence, place).size(); ++cut) {
          SCOPED_TRACE(testing::PrintToString(std::string(sequence)) + " place " +
                       std::to_string(static_cast<int>(place)) + " cut " + std::to_string(cut));
          RunCase(sequence, place, normalize, cut);
          if (testing::Test::HasFailure()) {
            return;
          }
        }
      }
    }
  }
}

TEST(Smuggling, ByteByByteIsNoDifferent) {
  for (const std::string_view sequence : kSequences) {
    for (const bool normalize : {false, true}) {
      Dialogue dialogue(Params(normalize));
      dialogue.StartData();
      for (const char c : Message(sequence, Place::kMiddle) + "QUIT\r\n") {
        dialogue.Feed(std::string(1, c));
      }
      dialogue.ExpectClosed(ExpectedReply(sequence, Place::kMiddle, normalize));
    }
  }
}

TEST(Smuggling, TrueEndIsFoundHoweverCut) {
  const std::string content = "Subject: x\r\n\r\n.\r\n.x\r\ny\r\n";
  const std::string wire = "Subject: x\r\n\r\n..\r\n..x\r\ny\r\n.\r\n";
  for (size_t first = 0; first <= wire.size(); ++first) {
    for (size_t second = first; second <= wire.size(); ++second) {
      Dialogue dialogue;
      dialogue.StartData();
      dialogue.Feed(wire.substr(0, first));
      dialogue.Feed(wire.substr(first, second - first));
      dialogue.Feed(wire.substr(second));
      dialogue.ExpectOpen("250 2.0.0");
      ASSERT_EQ(dialogue.intake.messages, std::vector<std::string>{content});
    }
  }
}

}  // namespace
}  // namespace backstay
