// tests/spool/sweep_test.cc -- a deletion is carried out to its end, whatever happens in between.
#include "spool/sweep.h"

#include <gtest/gtest.h>

#include <memory>

namespace backstay {
namespace {

class SweepTest : public testing::Test {
 protected:
  SweepTest() {
    SegmentHeader header;
    header.segment = 1;
    header.segment_bytes = 64_KiB;
    segment_ = segments_.Add(std::make_unique<Segment>(header, Fd()));
  }

  void Fill(uint32_t messages) {
    const DomainId domain = index_.Intern("a.example");
    for (uint32_t i = 0; i < messages; ++i) {
      index_.Add(*segment_, 64 + 16 * i, i, {&domain, 1}, {}, 1000);
    }
  }
  void Delete(MessageRef cut) {
    Rule rule;
    rule.verb = RuleVerb::kDelete;
    rule.epoch = 1;
    rules_.Apply(rule, cut, {});
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

}  // namespace
}  // namespace backstay
