// tests/core/smtp/any_cut_test.cc -- a dialogue cut at any places gives the same replies.
#include <gtest/gtest.h>

#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/random.h"
#include "tests/core/smtp/session_fixture.h"

namespace backstay {
namespace {

// Groups of bytes that a client sends before it waits. Cuts fall inside groups: to join two of them
// would be another dialogue (RFC 2920).
using Script = std::vector<std::string>;

std::vector<Script> Scripts() {
  std::string recipients = "MAIL FROM:<a@b>\r\n";
  for (int i = 0; i < 40; ++i) {
    recipients += "RCPT TO:<v@our>\r\n";
  }
  const std::string nul(1, '\0');
  return {
      {"EHLO c\r\n", "MAIL FROM:<a@b>\r\nRCPT TO:<v@our>\r\nDATA\r\n",
       "Subject: x\r\n\r\n..\r\n.y\r\n.\r\nMAIL FROM:<>\r\nRCPT TO:<refused@our>\r\nDATA\r\n",
       "RSET\r\nQUIT\r\n"},
      {"HELO c\r\n", "MAIL FROM:<a@b>\r\n", "RCPT TO:<v@our>\r\n", "DATA\r\n", "a\r\n.\r\n",
       "QUIT\r\n"},
      {"ehlo [IPv6:::1]\r\n", recipients + "DATA\r\n", "text\r\n.\r\nNOOP\r\nVRFY x\r\nHELP\r\n"},
      {"EHLO c\r\n",
       "MAIL FROM:<a@b> SIZE=5 BODY=8BITMIME\r\nRCPT TO:<later@our>\r\nRSET\r\n"
       "MAIL FROM:<a@b> X=1\r\nMAIL FROM:<a@b> SIZE=5000\r\nAUTH x\r\nEHLO d\r\n"},
      {"EHLO c\r\n", "MAIL FROM:<a@b>\r\nRCPT TO:<v@our>\r\nDATA\r\n",
       std::string(990, 'x') + "\r\n" + std::string(20, 'y') + "\n.\n\r\n.\r\nNOOP\r\nQUIT\r\n"},
      {"EHLO c\r\n", "MAIL FROM:<a@b>\r\nRCPT TO:<v@our>\r\nDATA\r\n",
       "a\r\n.\nMAIL FROM:<x@y>\r\n.\r\nNOOP\r\n"},
      {"EHLO c\r\n", "MAIL FROM:<a@b>\r\nRCPT TO:<v@our>\r\nDATA\r\n",
       "a" + nul + "b\r\n.\r\nNOOP\r\n"},
      {"EHLO c\r\n", "MAIL FROM:<a@b>\r\nRCPT TO:<v@our>\r\nDATA\r\n",
       "Received: from x\r\n by mx2.example.net; d\r\nReceived: by\r\n mx2.example.net\r\n\r\nz\r\n"
       ".\r\nMAIL FROM:<a@b>\r\n"},
      {"EHLO c\r\n", "MAIL FROM:<a@b>\r\nRCPT TO:<v@our>\r\nDATA\r\n",
       "Received: by mx2.example.net; " + std::string(930, 'x') +
           "\r\nReceived: by mx2.example.net ; y\r\n" + nul + "\n.\n\r\n.\r\nNOOP\r\n"},
      {"EHLO c\r\n", "NOOP " + std::string(4090, 'x') + "\r\nNOOP " + std::string(4080, 'x') +
                         "\r\nNOOP " + std::string(8200, 'x') + "\r\nNOOP\r\n"},
      {"EHLO c\r\n", "NOOP\r\nNOOP\nNOOP\r\n"},
      {"EHLO c\r\n",
       "MAIL FROM:<a@b> RET=HDRS ENVID=a+2Bb\r\nRCPT TO:<v@our> NOTIFY=NEVER\r\n"
       "RCPT TO:<v@our> NOTIFY=NEVER,DELAY\r\nRCPT TO:<v@our> ORCPT=rfc822;x+00\r\nRSET\r\n"
       "MAIL FROM:<\xc3\xbc@b> SMTPUTF8\r\nRCPT TO:<\xc3\xbc@our> ORCPT=utf-8;\xc3\xbc\r\n"
       "VRFY \xc3\xbc SMTPUTF8\r\nRCPT TO:<\xed\xa0\x80@our>\r\nDATA\r\n",
       "\xc3\xbc\r\n.\r\nETRN our\r\nETRN @x y\r\nXCLIENT NAME=x HELO=y\r\n",
       "MAIL FROM:<a@b>\r\nXCLIENT X=y\r\n",
       "EHLO d\r\nETRN #q\r\nNOOP\r\nXCLIENT NAME=closing\r\n"},
      {"EHLO c\r\n",
       "NO\rOP\r\nMAIL FROM:<\xc3\xbc@b>\r\n\xff\r\n" + nul + "\r\n\r\nBDAT 3\r\nabc"},
      {"EHLO c\r\n", "GET / HTTP/1.0\r\nHost: x\r\n"},
      {"\x16\x03\x01 TLS\r\n"},
      {"A\r\nB\r\nC\r\nD\r\nE\r\nF\r\nG\r\nH\r\nI\r\nJ\r\nK\r\nL\r\nM\r\nN\r\nO\r\nP\r\nQ\r\nR\r\n"
       "S\r\nT\r\nU\r\n"},
  };
}

struct Heard {
  std::string transcript;
  std::string calls;
  std::vector<std::string> messages;
  bool closed = false;
  friend bool operator==(const Heard&, const Heard&) = default;
};

// `cut_one_in` 0: each group whole.
Heard Play(const Script& script, bool normalize, uint64_t cut_one_in, Random& random) {
  ServerParams params = Dialogue::DefaultParams();
  params.normalize_line_endings = normalize;
  Dialogue dialogue(params);
  dialogue.intake.rights = {.etrn = true, .xclient = true};
  for (const std::string& group : script) {
    size_t begin = 0;
    for (size_t at = 1; cut_one_in != 0 && at < group.size(); ++at) {
      if (random.Chance(1, cut_one_in)) {
        dialogue.Feed(std::string_view(group).substr(begin, at - begin));
        begin = at;
      }
    }
    dialogue.Feed(std::string_view(group).substr(begin));
  }
  return {dialogue.transcript, dialogue.intake.calls + " " + dialogue.intake.told,
          dialogue.intake.messages, dialogue.session.wants_close()};
}

void PrintTo(const Heard& heard, std::ostream* output) {
  *output << testing::PrintToString(heard.transcript) << " calls " << heard.calls << " closed "
          << heard.closed << " messages " << testing::PrintToString(heard.messages);
}

// 16 scripts, each in two ways, 320 times: 10,240 dialogues that are cut at random places.
TEST(ServerSession, AnyCutGivesTheSameReplies) {
  Random random(11);
  for (const Script& script : Scripts()) {
    for (const bool normalize : {false, true}) {
      const Heard whole = Play(script, normalize, 0, random);
      ASSERT_EQ(Play(script, normalize, 1, random), whole) << script.back();
      for (int round = 0; round < 320; ++round) {
        const uint64_t cut_one_in = random.Between(2, 40);
        ASSERT_EQ(Play(script, normalize, cut_one_in, random), whole) << script.back();
      }
    }
  }
}

}  // namespace
}  // namespace backstay
