// tests/core/smtp/command_test.cc -- lines and their verbs, as tables.
#include "core/smtp/command.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace backstay {
namespace {

TEST(Command, VerbsInAnyCaseWithTheirArgument) {
  struct Case {
    std::string line;
    Verb verb;
    std::string argument;
  };
  const std::vector<Case> cases = {
      {"EHLO mx.example\r\n", Verb::kEhlo, "mx.example"},
      {"ehlo mx.example\r\n", Verb::kEhlo, "mx.example"},
      {"eHlO\tmx.example \t \r\n", Verb::kEhlo, "mx.example"},
      {"HELO\r\n", Verb::kHelo, ""},
      {"MAIL FROM:<a@b> SIZE=3\r\n", Verb::kMail, "FROM:<a@b> SIZE=3"},
      {"RCPT   TO:<a@b>\r\n", Verb::kRcpt, "TO:<a@b>"},
      {"DATA\r\n", Verb::kData, ""},
      {"DATA \r\n", Verb::kData, ""},
      {"RSET\r\n", Verb::kRset, ""},
      {"NOOP x y\r\n", Verb::kNoop, "x y"},
      {"QUIT\r\n", Verb::kQuit, ""},
      {"VRFY root\r\n", Verb::kVrfy, "root"},
      {"HELP\r\n", Verb::kHelp, ""},
      {"BDAT 10 LAST\r\n", Verb::kBdat, "10 LAST"},
      {"EXPN list\r\n", Verb::kNotImplemented, "list"},
      {"AUTH PLAIN\r\n", Verb::kNotImplemented, "PLAIN"},
      {"STARTTLS\r\n", Verb::kStartTls, ""},
      {"starttls x\r\n", Verb::kStartTls, "x"},
      {"STARTTLSX\r\n", Verb::kUnknown, ""},
      {"xclient ADDR=1.2.3.4\r\n", Verb::kXclient, "ADDR=1.2.3.4"},
      {"XFORWARD A=1\r\n", Verb::kNotImplemented, "A=1"},
      {"ETRN x\r\n", Verb::kEtrn, "x"},
      {"TURN\r\n", Verb::kNotImplemented, ""},
      {"ATRN\r\n", Verb::kNotImplemented, ""},
      {"SEND\r\n", Verb::kNotImplemented, ""},
      {"SOML\r\n", Verb::kNotImplemented, ""},
      {"SAML FROM:<a@b>\r\n", Verb::kNotImplemented, "FROM:<a@b>"},
      {"\r\n", Verb::kUnknown, ""},
      {"   \r\n", Verb::kUnknown, ""},
      {" NOOP\r\n", Verb::kUnknown, "NOOP"},
      {"NOO\r\n", Verb::kUnknown, ""},
      {"NOOPS\r\n", Verb::kUnknown, ""},
      {"MAILFROM:<a@b>\r\n", Verb::kUnknown, ""},
      {":\r\n", Verb::kUnknown, ""},
      {".\r\n", Verb::kUnknown, ""},
      {"\xcd\xc1\xc9\xcc x\r\n", Verb::kUnknown, "x"},  // "MAIL" with the eighth bit set
      {"M\x01IL x\r\n", Verb::kUnknown, "x"},
  };
  for (const Case& test : cases) {
    SCOPED_TRACE(test.line);
    const Command command = ParseCommand(test.line);
    EXPECT_EQ(static_cast<int>(command.verb), static_cast<int>(test.verb));
    EXPECT_EQ(command.argument, test.argument);
    EXPECT_EQ(static_cast<int>(command.fault), static_cast<int>(LineFault::kNone));
  }
}

TEST(Command, OtherProtocolsAreKnownByTheirFirstWord) {
  for (const std::string line :
       {"GET / HTTP/1.1\r\n", "POST /x HTTP/1.0\r\n", "HEAD / HTTP/1.0\n", "PUT / HTTP/1.1\r\n",
        "CONNECT a:25 HTTP/1.1\r\n", "OPTIONS * HTTP/1.1\r\n", "DELETE / HTTP/1.1\r\n",
        "PRI * HTTP/2.0\r\n", "SSH-2.0-OpenSSH_9.2\r\n", "SSH-2.0-Go\n", "Subject: x\r\n",
        "Host: a\r\n", "X-Y: \r\n"}) {
    SCOPED_TRACE(line);
    EXPECT_EQ(static_cast<int>(ParseCommand(line).verb), static_cast<int>(Verb::kNotSmtp));
  }
  EXPECT_TRUE(IsTlsHello('\x16'));
  EXPECT_FALSE(IsTlsHello('E'));
}

TEST(Command, OnlyCrLfEndsALineAndNoCrOrNulIsInside) {
  struct Case {
    std::string line;
    LineFault fault;
  };
  const std::vector<Case> cases = {
      {"NOOP\n", LineFault::kBareNewline},
      {"\n", LineFault::kBareNewline},
      {"NOOP\r\r\n", LineFault::kControlByte},
      {"NO\rOP\r\n", LineFault::kControlByte},
      {std::string("NOOP\0x\r\n", 8), LineFault::kControlByte},
      {"NO\rOP\n", LineFault::kBareNewline},
      {"NOOP " + std::string(kCommandBytesMax - 7, 'x') + "\r\n", LineFault::kNone},
      {"NOOP " + std::string(kCommandBytesMax - 6, 'x') + "\r\n", LineFault::kTooLong},
      {"NOOP " + std::string(kCommandBytesMax - 6, 'x') + "\n", LineFault::kBareNewline},
  };
  for (const Case& test : cases) {
    EXPECT_EQ(static_cast<int>(ParseCommand(test.line).fault), static_cast<int>(test.fault))
        << test.line.substr(0, 20) << " of " << test.line.size();
  }
}

TEST(Command, EightBitIsSeenAnywhere) {
  EXPECT_FALSE(ParseCommand("NOOP \x7f\r\n").eight_bit);
  EXPECT_TRUE(ParseCommand("NOOP \x80\r\n").eight_bit);
  EXPECT_TRUE(ParseCommand("\xffNOOP\r\n").eight_bit);
}

}  // namespace
}  // namespace backstay
