// tests/io/contract_names_test.cc -- Ask: one reply or one failure for each question.
#include <memory>

#include "core/dns/answer.h"
#include "tests/io/contract_fixture.h"

namespace backstay {
namespace {

class ContractNames : public ContractTest {
 protected:
  DnsAnswer Parse(const Recorder& recorder, std::string_view name, DnsType type) {
    return ParseDnsAnswer(AsBytes(recorder.received()), name, type);
  }
};

TEST_F(ContractNames, AskLendsTheReply) {
  world().zone().AddAddress("mx1.example", "192.0.2.1");
  Recorder ask;
  io().Ask(ask.op(), "mx1.example", DnsType::kA);
  ASSERT_TRUE(Await(ask));
  ASSERT_EQ(ask.events().size(), 1u);
  ASSERT_TRUE(ask.last().ok()) << Describe(ask.last().error);
  const DnsAnswer answer = Parse(ask, "mx1.example", DnsType::kA);
  ASSERT_EQ(answer.kind, DnsAnswer::Kind::kFound);
  EXPECT_EQ(answer.addresses[0].AddressString(), "192.0.2.1");
}

TEST_F(ContractNames, TheNameIsCopiedAndNothingCompletesInsideTheVerb) {
  world().zone().AddAddress("mx1.example", "192.0.2.1");
  Recorder ask;
  {
    auto name = std::make_unique<std::string>("mx1.example");
    io().Ask(ask.op(), *name, DnsType::kA);
  }
  EXPECT_FALSE(ask.done());
  ASSERT_TRUE(Await(ask));
  EXPECT_EQ(Parse(ask, "mx1.example", DnsType::kA).kind, DnsAnswer::Kind::kFound);
}

TEST_F(ContractNames, NoSuchNameAndNoSuchDataAreReplies) {
  world().zone().AddAddress("mx1.example", "192.0.2.1");
  Recorder gone;
  Recorder other;
  io().Ask(gone.op(), "gone.example", DnsType::kA);
  io().Ask(other.op(), "mx1.example", DnsType::kMx);
  ASSERT_TRUE(Await(gone) && Await(other));
  ASSERT_TRUE(gone.last().ok());
  ASSERT_TRUE(other.last().ok());
  EXPECT_EQ(Parse(gone, "gone.example", DnsType::kA).kind, DnsAnswer::Kind::kNoName);
  EXPECT_EQ(Parse(other, "mx1.example", DnsType::kMx).kind, DnsAnswer::Kind::kNoData);
}

TEST_F(ContractNames, AResolverThatFailsIsRefused) {
  world().zone().SetMood(DnsZone::Mood::kFails);
  Recorder ask;
  io().Ask(ask.op(), "mx1.example", DnsType::kA);
  ASSERT_TRUE(Await(ask));
  EXPECT_EQ(ask.last().error, IoError::kRefused);
}

TEST_F(ContractNames, WhatIsNoNameIsInvalid) {
  for (const std::string& name : {std::string(), std::string("a\0b.example", 11),
                                  std::string("a..example"), std::string(64, 'x') + ".example"}) {
    Recorder ask;
    io().Ask(ask.op(), name, DnsType::kA);
    EXPECT_FALSE(ask.done());
    ASSERT_TRUE(Await(ask));
    EXPECT_EQ(ask.last().error, IoError::kInvalid) << name;
  }
}

TEST_F(ContractNames, CancelEndsASilenceAndTheNextQuestionIsAnswered) {
  world().zone().SetMood(DnsZone::Mood::kSilent);
  Recorder ask;
  io().Ask(ask.op(), "mx1.example", DnsType::kA);
  world().RunFor(absl::Milliseconds(50));
  EXPECT_FALSE(ask.done());
  io().Cancel(ask.op());
  ASSERT_TRUE(Await(ask));
  EXPECT_EQ(ask.last().error, IoError::kCanceled);
  world().zone().SetMood(DnsZone::Mood::kAnswers);
  world().zone().AddAddress("mx1.example", "192.0.2.1");
  ask.Clear();
  io().Ask(ask.op(), "mx1.example", DnsType::kA);
  ASSERT_TRUE(Await(ask));
  EXPECT_TRUE(ask.last().ok());
  EXPECT_EQ(ask.events().size(), 1u);
}

TEST_F(ContractNames, ManyQuestionsEachHaveTheirOwnReply) {
  constexpr size_t kQuestions = 100;
  const auto name = [](size_t index) { return "h" + std::to_string(index) + ".example"; };
  std::vector<std::unique_ptr<Recorder>> asked;
  for (size_t index = 0; index < kQuestions; ++index) {
    world().zone().AddAddress(name(index), "10.0.0." + std::to_string(index + 1));
    asked.push_back(std::make_unique<Recorder>());
    io().Ask(asked.back()->op(), name(index), DnsType::kA);
  }
  for (size_t index = 0; index < kQuestions; ++index) {
    ASSERT_TRUE(Await(*asked[index]));
    const DnsAnswer answer = Parse(*asked[index], name(index), DnsType::kA);
    ASSERT_EQ(answer.addresses.size(), 1u);
    EXPECT_EQ(answer.addresses[0].AddressString(), "10.0.0." + std::to_string(index + 1));
  }
}

TEST_F(ContractNames, OwnAddressesAreThisHosts) {
  const std::vector<SocketAddress> own = io().OwnAddresses();
  const SocketAddress here = world().listen_address().WithPort(0);
  EXPECT_NE(std::find(own.begin(), own.end(), here), own.end());
}

}  // namespace
}  // namespace backstay
