// tests/core/queue/conduct_test.cc -- what is used up comes back, and only its user lacks it.
#include "core/queue/conduct.h"

#include <gtest/gtest.h>

#include "core/base/mark.h"

namespace backstay {
namespace {

Instant SecondOfConduct(int64_t seconds) {
  return Instant::FromNanoseconds(seconds * 1'000'000'000);
}

ClientKey Client(uint32_t number) {
  return {number, false};
}

TEST(Conduct, AnAllowanceIsInProportionToTheConnections) {
  for (const size_t connections : {1, 50}) {
    Conduct conduct(connections);
    for (size_t count = 0; count < 2 * connections; ++count) {
      EXPECT_TRUE(conduct.MayConnect(Client(1), Instant()).positive());
      conduct.Charge(Client(1), Offence::kUnknownRecipient, Instant());
    }
    EXPECT_EQ(conduct.MayConnect(Client(1), Instant()).enhanced, "4.7.0");
    EXPECT_TRUE(conduct.MayHandshake(Client(1), Instant()).positive());
    EXPECT_TRUE(conduct.MayConnect(Client(2), Instant()).positive());
  }
}

TEST(Conduct, HandshakesComeBackBySecondsAndTheOthersByMinutes) {
  Conduct conduct(50);
  for (int count = 0; count < 1000; ++count) {
    conduct.Charge(Client(1), Offence::kHandshake, SecondOfConduct(0));
    conduct.Charge(Client(1), Offence::kUnknownRecipient, SecondOfConduct(0));
  }
  EXPECT_EQ(conduct.MayHandshake(Client(1), SecondOfConduct(0)).code, 421);
  EXPECT_TRUE(conduct.MayHandshake(Client(1), SecondOfConduct(1)).positive());
  EXPECT_EQ(conduct.MayConnect(Client(1), SecondOfConduct(9)).code, 421);
  EXPECT_TRUE(conduct.MayConnect(Client(1), SecondOfConduct(11)).positive());
}

TEST(Conduct, MailThatIsTakenMakesUpForNames) {
  Conduct conduct(50);
  for (int count = 0; count < 100; ++count) {
    conduct.Charge(Client(1), Offence::kUnknownRecipient, Instant());
  }
  conduct.Reward(Client(1), 1, Instant());
  EXPECT_TRUE(conduct.MayConnect(Client(1), Instant()).positive());
  conduct.Reward(Client(1), 1000, Instant());
  EXPECT_EQ(conduct.clients(), 0U) << "nothing is saved up";
  conduct.Reward(Client(2), 1, Instant());
  EXPECT_EQ(conduct.clients(), 0U);
}

TEST(Conduct, BrokenMessages) {
  Conduct conduct(50);
  for (int count = 0; count < 25; ++count) {
    EXPECT_TRUE(conduct.MayConnect(Client(1), Instant()).positive());
    conduct.Charge(Client(1), Offence::kBrokenMessage, Instant());
  }
  EXPECT_EQ(conduct.MayConnect(Client(1), Instant()).code, 421);
  conduct.Reward(Client(1), 1000, Instant());
  EXPECT_TRUE(conduct.MayConnect(Client(1), Instant()).positive());
}

TEST(Conduct, ManyClientsAreForgiven) {
  Conduct conduct(1);
  for (uint32_t number = 0; number < 3 * Conduct::kClientsMax; ++number) {
    conduct.Charge(Client(number), Offence::kBrokenMessage, Instant());
    ASSERT_LE(conduct.clients(), Conduct::kClientsMax);
  }
  EXPECT_GT(MarkCount("client_forgiven"), 0U);
  conduct.Charge(Client(1'000'000), Offence::kBrokenMessage, SecondOfConduct(100'000));
  EXPECT_EQ(conduct.clients(), 1U) << "those who owe nothing any more go first";
}

TEST(Conduct, ALimitThatIsRaisedCountsAtOnce) {
  Conduct conduct(1);
  conduct.Charge(Client(1), Offence::kUnknownRecipient, Instant());
  conduct.Charge(Client(1), Offence::kUnknownRecipient, Instant());
  EXPECT_EQ(conduct.MayConnect(Client(1), Instant()).code, 421);
  conduct.SetLimit(2);
  EXPECT_TRUE(conduct.MayConnect(Client(1), Instant()).positive());
}

}  // namespace
}  // namespace backstay
