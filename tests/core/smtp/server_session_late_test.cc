// tests/core/smtp/server_session_late_test.cc -- a recipient whose verdict comes later.
#include <gtest/gtest.h>

#include "tests/core/smtp/session_fixture.h"

namespace backstay {
namespace {

class Late : public testing::Test {
 protected:
  Late() {
    d.FeedEach({"EHLO c\r\n", "MAIL FROM:<a@b>\r\n"});
    d.TakeReplies();
  }
  // As much as the session takes at once.
  size_t Offer(std::string_view text) {
    const size_t taken = d.session.Consume(AsBytes(text));
    d.Collect();
    return taken;
  }

  Dialogue d;
};

constexpr std::string_view kGroup =
    "RCPT TO:<pending@our>\r\nRCPT TO:<refused@our>\r\nRCPT TO:<v@our>\r\nDATA\r\n";

TEST_F(Late, NothingBehindItIsTakenUntilItIsAnswered) {
  const size_t taken = Offer(kGroup);
  EXPECT_EQ(taken, kGroup.find('\n') + 1);
  EXPECT_TRUE(d.session.awaiting_rcpt());
  EXPECT_EQ(Offer(kGroup.substr(taken)), 0u);
  d.Expect("");
  d.session.FinishRcpt("pending@our", replies::kRcptOk);
  d.Feed(kGroup.substr(taken));
  d.Expect("250 2.1.5|550 5.1.1|250 2.1.5|354");
}

TEST_F(Late, ARefusalCountsAsOne) {
  Offer("RCPT TO:<pending@our>\r\n");
  d.session.FinishRcpt("pending@our", replies::kUserUnknown);
  d.Feed("DATA\r\n");
  d.Expect("550 5.1.1|554 5.5.1");
}

TEST_F(Late, AShutdownWaitsForTheAnswer) {
  Offer("RCPT TO:<pending@our>\r\n");
  d.session.ShutDown();
  d.ExpectOpen("");
  d.session.FinishRcpt("pending@our", replies::kRcptOk);
  d.Collect();
  d.ExpectClosed("250 2.1.5|421 4.3.2");
}

TEST_F(Late, PipeliningBehindHeloClosesAfterTheAnswer) {
  Dialogue plain;
  plain.FeedEach({"HELO c\r\n", "MAIL FROM:<a@b>\r\n"});
  plain.TakeReplies();
  plain.session.Consume(AsBytes(kGroup));
  plain.Collect();
  plain.ExpectOpen("");
  plain.session.FinishRcpt("pending@our", replies::kRcptOk);
  plain.Collect();
  plain.ExpectClosed("250 2.1.5|554 5.5.0");
}

}  // namespace
}  // namespace backstay
