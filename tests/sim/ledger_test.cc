// tests/sim/ledger_test.cc -- the ledger sees each thing that must not happen, and nothing else.
#include "tests/sim/ledger.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/sim/message.h"

namespace backstay {
namespace {

constexpr std::string_view kId = "0123456789BCDFGH";
constexpr std::string_view kStored = "2.0.0 Ok: queued as 0123456789BCDFGH";

class LedgerTest : public ::testing::Test {
 protected:
  // A message for user1 and gone1, both accepted at RCPT; the end of data is sent.
  void SetUp() override {
    number_ =
        ledger_.Offer({"a@sender.example", {"user1@d0.example", "gone1@d0.example"}, "x\r\n"});
    ledger_.OnRecipientReply(number_, 0, 250);
    ledger_.OnRecipientReply(number_, 1, 250);
    ledger_.OnEndOfDataSent(number_);
  }
  size_t Deliver(std::string_view content_behind = "x\r\n", Instant connected = Instant::Max()) {
    return ledger_.OnDelivered(
        std::min(connected, world_.Now()), "a@sender.example", {"user1@d0.example"},
        std::string("Received: from c ([10.2.0.1])\r\n\tby mx with ESMTP id ") + std::string(kId) +
            ";\r\n\tThu, 1 Jan 2026 00:00:00 +0000\r\n" + std::string(content_behind));
  }
  void Store() { ledger_.OnFinalReply(number_, 250, kStored); }
  void Reject() { ledger_.OnRejected("gone1@d0.example"); }
  size_t Violations(uint64_t live = 0, uint64_t pending = 1, uint64_t quarantined = 0,
                    uint64_t accepted = 2) {
    DomainAccount account;
    account.accepted = accepted;
    account.delivered = accepted - live - pending;
    ledger_.CheckEnd({live, pending, quarantined, account});
    return ledger_.violations().size();
  }

  World world_{1};
  Ledger ledger_{world_};
  size_t number_ = 0;
};

TEST_F(LedgerTest, DeliveredAndRefusedIsRight) {
  Store();
  Deliver();
  Reject();
  EXPECT_EQ(Violations(), 0U);
}

// ---- what a sender is told ----

class LedgerOfAskers : public ::testing::Test {
 protected:
  void SetUp() override {
    number_ = ledger_.Offer({"a@sender.example", {asking_, only_}, "x\r\n"});
    ledger_.OnRecipientReply(number_, 0, 250);
    ledger_.OnRecipientReply(number_, 1, 250);
    ledger_.OnEndOfDataSent(number_);
    ledger_.OnFinalReply(number_, 250, kStored);
  }
  void Take(std::string recipient) {
    ledger_.OnDelivered(
        world_.Now(), "a@sender.example", {std::move(recipient)},
        std::string("Received: from c by mx id ") + std::string(kId) + ";\r\nx\r\n");
  }
  void Report(std::string_view recipient, std::string_view action) {
    const std::string number = std::to_string(++reports_);
    ledger_.OnDelivered(world_.Now(), "", {"a@sender.example"},
                        "\r\nMessage-ID: <" + number +
                            ">\r\nContent-Type: multipart/report;\r\nFinal-Recipient: rfc822; " +
                            std::string(recipient) + "\r\nAction: " + std::string(action) + "\r\n");
  }
  size_t Violations(uint64_t pending) {
    const DomainAccount account{.accepted = 2, .delivered = 2 - pending};
    ledger_.CheckEnd({0, pending, 0, account});
    return ledger_.violations().size();
  }

  const std::string asking_ = "asks1@d0.example";
  const std::string only_ = "goneonly1@d0.example";
  World world_{1};
  Ledger ledger_{world_};
  size_t number_ = 0;
  int reports_ = 0;
};

TEST_F(LedgerOfAskers, WhatWasRelayedIsOwedOrTold) {
  Take(asking_);
  ledger_.OnRejected(only_);
  EXPECT_EQ(Violations(1), 0U);
  Report(asking_, "relayed");
  EXPECT_EQ(Violations(0), 0U);
}

TEST_F(LedgerOfAskers, AMissingReportOfSuccessIsSeen) {
  Take(asking_);
  ledger_.OnRejected(only_);
  EXPECT_EQ(Violations(0), 1U);
}

TEST_F(LedgerOfAskers, AReportBesideThatOfThePrimaryIsSeen) {
  Take(asking_);
  ledger_.OnPassedOn({asking_});
  ledger_.OnRejected(only_);
  EXPECT_EQ(Violations(0), 0U);
  Report(asking_, "relayed");
  EXPECT_GE(Violations(0), 1U);
}

TEST_F(LedgerOfAskers, ADeliveryThatIsToldAsAFailureIsSeen) {
  Take(asking_);
  ledger_.OnRejected(only_);
  Report(asking_, "failed");
  EXPECT_EQ(Violations(0), 1U);
}

TEST_F(LedgerOfAskers, AFailureThatNobodyWantsToHearOfIsSeen) {
  Take(asking_);
  Report(asking_, "relayed");
  ledger_.OnRejected(only_);
  EXPECT_EQ(Violations(0), 0U);
  Report(only_, "failed");
  EXPECT_GE(Violations(0), 1U);
}

TEST_F(LedgerTest, UnansweredMayBeDeliveredOrNot) {
  EXPECT_EQ(Violations(0, 0), 0U);
  Deliver();
  Reject();
  EXPECT_EQ(Violations(), 0U);
}

TEST_F(LedgerTest, AcknowledgedAndLostIsSeen) {
  Store();
  Reject();
  EXPECT_EQ(Violations(), 1U);
}

TEST_F(LedgerTest, StillQueuedIsSeen) {
  Store();
  Deliver();
  Reject();
  EXPECT_EQ(Violations(1), 1U);
}

TEST_F(LedgerTest, MissingDebtIsSeen) {
  Store();
  Deliver();
  Reject();
  EXPECT_EQ(Violations(0, 0), 1U);
}

TEST_F(LedgerTest, QuarantineWithoutDamageIsSeen) {
  Store();
  Deliver();
  Reject();
  EXPECT_EQ(Violations(0, 1, 1), 1U);
}

TEST_F(LedgerTest, AccountsThatLackWhatWasTakenAreSeen) {
  Store();
  Deliver();
  Reject();
  EXPECT_EQ(Violations(0, 1, 0, 1), 1U);
}

TEST_F(LedgerTest, AccountsThatKnowMoreThanWasSentAreSeen) {
  Store();
  Deliver();
  Reject();
  EXPECT_EQ(Violations(0, 1, 0, 3), 1U);
}

TEST_F(LedgerTest, WhatAStartCannotAccountForIsSeen) {
  ledger_.OnUnaccounted(0);
  EXPECT_EQ(ledger_.violations().size(), 0U);
  ledger_.OnUnaccounted(1);
  EXPECT_EQ(ledger_.violations().size(), 1U);
}

TEST_F(LedgerTest, ChangedContentIsSeen) {
  Store();
  Reject();
  Deliver("y\r\n");
  EXPECT_EQ(Violations(), 1U);
}

TEST_F(LedgerTest, SecondReceivedFieldIsSeen) {
  Store();
  Reject();
  Deliver("Received: from d by e\r\nx\r\n");
  EXPECT_EQ(Violations(), 1U);
}

TEST_F(LedgerTest, OtherQueueIdIsSeen) {
  Deliver();
  Reject();
  ledger_.OnFinalReply(number_, 250, "2.0.0 Ok: queued as 0000000000000000");
  EXPECT_EQ(Violations(), 1U);
}

TEST_F(LedgerTest, DeliveryOfRefusedDataIsSeenUnlessACrashCameBetween) {
  ledger_.OnFinalReply(number_, 451, "4.3.0 no");
  world_.RunFor(absl::Seconds(1));
  ledger_.OnCrash();
  Deliver();
  EXPECT_EQ(ledger_.violations().size(), 0U);
  const size_t other = ledger_.Offer({"", {"user2@d0.example"}, ""});
  ledger_.OnRecipientReply(other, 0, 250);
  ledger_.OnEndOfDataSent(other);
  world_.RunFor(absl::Seconds(1));
  ledger_.OnFinalReply(other, 451, "4.3.0 no");
  ledger_.OnDelivered(world_.Now(), "", {"user2@d0.example"},
                      "Received: from c id 0123456789BCDFGJ\r\n");
  EXPECT_EQ(ledger_.violations().size(), 1U);
}

TEST_F(LedgerTest, DeliveryWithoutEndOfDataIsSeen) {
  const size_t other = ledger_.Offer({"", {"user2@d0.example"}, ""});
  ledger_.OnRecipientReply(other, 0, 250);
  ledger_.OnDelivered(world_.Now(), "", {"user2@d0.example"},
                      "Received: from c id 0123456789BCDFGJ\r\n");
  EXPECT_EQ(ledger_.violations().size(), 1U);
}

TEST_F(LedgerTest, DeliveryToARefusedRecipientIsSeen) {
  ledger_.OnRecipientReply(number_, 0, 452);
  Deliver();
  EXPECT_EQ(ledger_.violations().size(), 1U);
}

TEST_F(LedgerTest, DeliveryToAStrangerIsSeen) {
  ledger_.OnDelivered(world_.Now(), "", {"stranger@d0.example"}, "");
  EXPECT_EQ(ledger_.violations().size(), 1U);
}

TEST_F(LedgerTest, OpenRelayIsSeen) {
  const size_t other = ledger_.Offer({"", {"user2@elsewhere.example"}, ""});
  ledger_.OnRecipientReply(other, 0, 250);
  EXPECT_EQ(ledger_.violations().size(), 1U);
}

TEST_F(LedgerTest, DuplicateIsExplainedByALostReply) {
  Store();
  Reject();
  Deliver();
  Deliver();
  EXPECT_EQ(Violations(), 0U);
}

TEST_F(LedgerTest, DuplicateAfterAConfirmedReplyIsSeen) {
  Store();
  Reject();
  ledger_.OnConfirmed(Deliver());
  world_.RunFor(absl::Seconds(1));
  Deliver();
  EXPECT_EQ(Violations(), 1U);
}

TEST_F(LedgerTest, DuplicateIsExplainedByASlowConnectionThatBeganBefore) {
  Store();
  Reject();
  const Instant before = world_.Now();
  world_.RunFor(absl::Seconds(1));
  ledger_.OnConfirmed(Deliver());
  world_.RunFor(absl::Seconds(1));
  Deliver("x\r\n", before);
  EXPECT_EQ(Violations(), 0U);
}

TEST_F(LedgerTest, DuplicateIsExplainedByACrashSoonAfter) {
  Store();
  Reject();
  ledger_.OnConfirmed(Deliver());
  world_.RunFor(absl::Seconds(1));
  ledger_.OnCrash();
  Deliver();
  EXPECT_EQ(Violations(), 0U);
}

TEST_F(LedgerTest, CrashLongAfterExplainsNothing) {
  Store();
  Reject();
  ledger_.OnConfirmed(Deliver());
  world_.RunFor(absl::Minutes(1));
  ledger_.OnCrash();
  Deliver();
  EXPECT_EQ(Violations(), 1U);
}

TEST_F(LedgerTest, DamageCostsOneMessageForEachPlace) {
  Store();
  Reject();
  ledger_.OnDamage();
  EXPECT_EQ(Violations(0, 1, 1), 0U);
  const size_t other = ledger_.Offer({"", {"user2@d0.example"}, ""});
  ledger_.OnRecipientReply(other, 0, 250);
  ledger_.OnEndOfDataSent(other);
  ledger_.OnFinalReply(other, 250, kStored);
  EXPECT_EQ(Violations(), 1U);
}

TEST(SimMessage, WireFormStuffsDotsAndEnds) {
  EXPECT_EQ(ToWire(""), ".\r\n");
  EXPECT_EQ(ToWire(".\r\na.\r\n..b\r\n"), "..\r\na.\r\n...b\r\n.\r\n");
}

TEST(SimMessage, DrawnContentIsLegalMail) {
  MessageShape shape;
  shape.domains = {"d0.example"};
  Random random(1);
  size_t empty = 0;
  for (uint64_t number = 0; number < 300; ++number) {
    const Message message = DrawMessage(random, shape, number);
    empty += message.content.empty() ? 1 : 0;
    EXPECT_TRUE(message.content.empty() || message.content.ends_with("\r\n"));
    EXPECT_EQ(message.content.find('\0'), std::string::npos);
    for (size_t at = 0; at < message.content.size(); ++at) {
      if (message.content[at] == '\r') {
        EXPECT_EQ(message.content[at + 1], '\n');
        ++at;
      } else {
        EXPECT_NE(message.content[at], '\n');
      }
    }
  }
  EXPECT_GT(empty, 0U);
}

}  // namespace
}  // namespace backstay
