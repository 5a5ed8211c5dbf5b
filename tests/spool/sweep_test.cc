// tests/spool/sweep_test.cc -- a deletion is carried out to its end, whatever happens in between.
#include "spool/sweep.h"

#include <gtest/gtest.h>

#include <memory>

#include "fmt/format.h"

namespace backstay {
namespace {

class SweepTest : public testing::Test {
 protected:
  SweepTest() : segment_(AddSegment(1)) {}

  Segment* AddSegment(uint32_t number) {
    SegmentHeader header;
    header.segment = number;
    header.segment_bytes = 64_KiB;
    return segments_.Add(std::make_unique<Segment>(header, Fd()));
  }

  void Fill(uint32_t messages) {
    const DomainId domain = index_.Intern("a.example");
    for (uint32_t i = 0; i < messages; ++i) {
      index_.Add(*segment_, 64 + 16 * i, i, {&domain, 1}, {}, 1000);
    }
  }
  // Of domains d<first> to d<end - 1>, in turn.
  void FillMixed(Segment& segment, uint32_t messages, uint32_t first, uint32_t end) {
    for (uint32_t i = 0; i < messages; ++i) {
      const DomainId domain = index_.Intern(fmt::format("d{}", first + i % (end - first)));
      index_.Add(segment, i + 1, i, {&domain, 1}, {}, 1000);
    }
  }
  void Delete(MessageRef cut, std::span<const DomainId> domains = {}) {
    Rule rule;
    rule.verb = RuleVerb::kDelete;
    rule.epoch = 1;
    rules_.Apply(rule, cut, domains);
  }
  // How many turns it took.
  uint32_t StepToTheEnd(uint32_t messages_max) {
    uint32_t turns = 0;
    for (; !rules_.deletions().empty() && turns < 1'000; ++turns) {
      Step(messages_max);
    }
    return turns;
  }
  void Step(uint32_t messages_max) {
    sweep_.Step(rules_, messages_max, std::nullopt, 0, [](MessageRef, uint32_t) {});
  }

  SegmentSet segments_;
  Index index_{segments_};
  RuleBook rules_;
  Sweep sweep_{segments_, index_};
  Segment* segment_ = nullptr;
};

// Its messages have other numbers then.
TEST_F(SweepTest, GoesOnWhereItWasWhenTheFileOfTheSegmentWent) {
  Fill(8);
  Delete({2, 0});
  Step(3);
  EXPECT_EQ(index_.messages_owed(), 5U);
  index_.KeepMoved(*segment_);
  Step(3);
  Step(3);
  EXPECT_EQ(index_.messages_owed(), 0U);
  EXPECT_TRUE(rules_.deletions().empty());
}

// Once for each of them would be four hundred times the queue.
TEST_F(SweepTest, AnOrderForManyDomainsIsOneWalk) {
  constexpr uint32_t kMessages = 10'000;
  FillMixed(*segment_, kMessages, 0, 800);
  std::vector<DomainId> domains;
  for (uint32_t domain = 0; domain < 800; domain += 2) {
    domains.push_back(index_.Intern(fmt::format("d{}", 798 - domain)));  // in no order
  }
  Delete({1, 9'001}, domains);
  EXPECT_EQ(rules_.deletions().size(), 1U);
  StepToTheEnd(1000);
  EXPECT_EQ(index_.messages_owed(), kMessages - 4'500);
  EXPECT_EQ(index_.LiveRecipients(domains.front()), 1U);  // behind the cut
  EXPECT_EQ(index_.LiveRecipients(index_.Intern("d1")), 13U);
  EXPECT_LT(index_.entries_read(), 4U * kMessages);
}

TEST_F(SweepTest, WhatHasNoneOfTheDomainsIsPassedOver) {
  Segment* second = AddSegment(2);
  for (Segment* segment : {segment_, second, AddSegment(3)}) {
    FillMixed(*segment, 5'000, 0, 50);
  }
  const DomainId rare = index_.Intern("rare.example");
  index_.Add(*second, 6'000, 0, {&rare, 1}, {}, 1000);
  index_.Add(*second, 6'001, 0, {&rare, 1}, {}, 1000);
  index_.Settle({2, 6'000}, 0, std::nullopt, 0);  // a report is owed of it
  Delete({4, 0}, {&rare, 1});
  const uint64_t read = index_.entries_read();
  StepToTheEnd(1000);
  EXPECT_EQ(index_.LiveRecipients(rare), 0U);
  EXPECT_EQ(index_.PendingRecipients(rare), 0U);
  EXPECT_EQ(index_.messages_owed(), 15'000U);
  EXPECT_LT(index_.entries_read() - read, 300U);
}

// A report that is owed is reason enough, and the smallest step goes on.
TEST_F(SweepTest, WhatIsOnlyOwedAReportIsDeletedToo) {
  FillMixed(*segment_, 200, 0, 2);
  const std::vector<DomainId> domains = {index_.Intern("d1"), index_.Intern("d7")};
  for (uint32_t block = 2; block <= 200; block += 2) {
    index_.Settle({1, block}, 0, std::nullopt, 0);
  }
  Delete({2, 0}, domains);
  EXPECT_LE(StepToTheEnd(1), 203U);
  EXPECT_EQ(index_.PendingRecipients(domains[0]), 0U);
  EXPECT_EQ(index_.messages_owed(), 100U);
}

}  // namespace
}  // namespace backstay
