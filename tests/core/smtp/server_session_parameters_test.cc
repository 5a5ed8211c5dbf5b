// tests/core/smtp/server_session_parameters_test.cc -- what stands behind an address, and UTF-8.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/core/smtp/session_fixture.h"

namespace backstay {
namespace {

struct ParameterCase {
  std::string line;
  std::string reply;
};

void ExpectReplies(const std::vector<std::string>& before,
                   const std::vector<ParameterCase>& cases) {
  for (const ParameterCase& test : cases) {
    SCOPED_TRACE(test.line);
    Dialogue dialogue;
    dialogue.FeedEach(before);
    dialogue.TakeReplies();
    dialogue.Feed(test.line);
    dialogue.ExpectOpen(test.reply);
  }
}

TEST(ServerSession, ParametersOfMailAreJudged) {
  ExpectReplies({"EHLO c\r\n"}, {
                                    {"MAIL FROM:<\xc3\xbc@b>\r\n", "553 5.6.7"},
                                    {"MAIL FROM:<\xfc@b>\r\n", "501 5.5.2"},
                                    {"MAIL FROM:<a@b> SIZE=1000\r\n", "250 2.1.0"},
                                    {"MAIL FROM:<a@b> SIZE=1001\r\n", "552 5.3.4"},
                                    {"MAIL FROM:<a@b> SIZE=x\r\n", "501 5.5.4"},
                                    {"MAIL FROM:<a@b> SMTPUTF8\r\n", "250 2.1.0"},
                                    {"MAIL FROM:<\xc3\xbc@b> SMTPUTF8\r\n", "250 2.1.0"},
                                    {"MAIL FROM:<\xfc@b> SMTPUTF8\r\n", "501 5.5.2"},
                                    {"MAIL FROM:<\xc0\xae@b> SMTPUTF8\r\n", "501 5.5.2"},
                                    {"MAIL FROM:<\xed\xa0\x80@b> SMTPUTF8\r\n", "501 5.5.2"},
                                    {"MAIL FROM:<\xc3\xbc@b> SIZE=x\r\n", "501 5.5.4"},
                                    {"MAIL FROM:<\xc3\xbc@b>x SMTPUTF8\r\n", "501 5.1.7"},
                                    {"MAIL FROM:<a@b> RET=HDRS ENVID=QQ+2B1\r\n", "250 2.1.0"},
                                    {"MAIL FROM:<a@b> RET=ALL\r\n", "501 5.5.4"},
                                    {"MAIL FROM:<a@b> AUTH=<>\r\n", "555 5.5.4"},
                                });
}

TEST(ServerSession, ParametersOfRcptAreJudged) {
  ExpectReplies({"EHLO c\r\n", "MAIL FROM:<a@b>\r\n"},
                {
                    {"RCPT TO:<v@our> NOTIFY=NEVER\r\n", "250 2.1.5"},
                    {"RCPT TO:<v@our> NOTIFY=NEVER,DELAY\r\n", "501 5.5.4"},
                    {"RCPT TO:<v@our> ORCPT=rfc822;v+2Bx@our\r\n", "250 2.1.5"},
                    {"RCPT TO:<v@our> ORCPT=utf-8;\xc3\xbc@our\r\n", "501 5.5.4"},
                    {"RCPT TO:<v@our> SIZE=1\r\n", "555 5.5.4"},
                });
}

TEST(ServerSession, VrfyInUtf8IsAnnounced) {
  ExpectReplies({"EHLO c\r\n"}, {
                                    {"VRFY \xc3\xbc\r\n", "553 5.6.7"},
                                    {"VRFY \xc3\xbc SMTPUTF8\r\n", "252 2.5.0"},
                                    {"VRFY \xc3\xbc smtputf8\r\n", "252 2.5.0"},
                                    {"VRFY \xfc SMTPUTF8\r\n", "501 5.5.2"},
                                });
}

TEST(ServerSession, ParametersArriveAtTheIntake) {
  Dialogue dialogue;
  dialogue.FeedEach({"EHLO c\r\n", "MAIL FROM:<a@b> RET=FULL ENVID=x+2B SMTPUTF8\r\n",
                     "RCPT TO:<v@our> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;w@our\r\n",
                     "RCPT TO:<\xc3\xbc@our> ORCPT=utf-8;\xc3\xbc@our\r\n",
                     "RCPT TO:<\xfc@our>\r\n"});
  dialogue.ExpectOpen("250|250 2.1.0|250 2.1.5|250 2.1.5|501 5.5.2");
  EXPECT_EQ(
      dialogue.intake.told,
      "ret 1 envid x+2B utf8|notify 10 orcpt rfc822;w@our|notify 0 orcpt utf-8;\xc3\xbc@our|");
}

TEST(ServerSession, SmtpUtf8EndsWithItsTransaction) {
  Dialogue dialogue;
  dialogue.FeedEach({"EHLO c\r\n", "MAIL FROM:<a@b> SMTPUTF8\r\n", "RSET\r\n",
                     "MAIL FROM:<a@b>\r\n", "RCPT TO:<\xc3\xbc@our>\r\n"});
  dialogue.ExpectOpen("250|250 2.1.0|250 2.0.0|250 2.1.0|553 5.6.7");
}

}  // namespace
}  // namespace backstay
