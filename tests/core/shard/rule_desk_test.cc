// tests/core/shard/rule_desk_test.cc -- one rule at a time, on every shard, across restarts.
#include "core/shard/rule_desk.h"

#include <gtest/gtest.h>

#include <vector>

#include "core/base/log.h"

namespace backstay {
namespace {

constexpr size_t kShards = 3;

Rule RuleOf(RuleVerb verb) {
  Rule rule;
  rule.verb = verb;
  return rule;
}

// Shards that only keep what they are told.
class RuleDeskTest : public testing::Test {
 protected:
  RuleDeskTest() {
    SetLogSink([](LogLevel, std::string_view) {});
  }
  ~RuleDeskTest() override { SetLogSink(nullptr); }

  void Drain() {
    for (size_t shard = 0; shard < kShards; ++shard) {
      post.Drain(shard, [&](const ShardMessage& message) {
        ASSERT_EQ(message.kind, ShardMessage::Kind::kRule);
        orders[shard].push_back(message.order);
      });
    }
  }
  void Answer(size_t shard, RuleResult result, uint64_t recipients = 0) {
    Drain();
    ASSERT_FALSE(orders[shard].empty());
    RuleAnswer answer{orders[shard].back()->number, shard, result, recipients};
    orders[shard].back()->known[shard] = {last[shard], stops[shard]};
    post.Post(shard, post.desk(), {.kind = ShardMessage::Kind::kRuleAnswer, .answer = answer});
    desk.Poll();
  }
  void StartAll() {
    desk.Start();
    for (size_t shard = 0; shard < kShards; ++shard) {
      EXPECT_FALSE(desk.ready());
      Answer(shard, RuleResult::kDone);
    }
  }

  PostOffice post{kShards};
  RuleDesk desk{post};
  Rule last[kShards];
  std::vector<Rule> stops[kShards];
  std::vector<const RuleOrder*> orders[kShards];
};

TEST_F(RuleDeskTest, ANewSpoolBeginsWithEpochOne) {
  StartAll();
  ASSERT_TRUE(desk.ready());
  desk.Begin(RuleOf(RuleVerb::kReset), /*counts_only=*/false);
  EXPECT_FALSE(desk.ready());
  Drain();
  for (size_t shard = 0; shard < kShards; ++shard) {
    ASSERT_EQ(orders[shard].size(), 2U);
    EXPECT_EQ(orders[shard][1]->task, RuleTask::kApply);
    EXPECT_EQ(orders[shard][1]->rule.epoch, 1U);
  }
  Answer(0, RuleResult::kDone, 5);
  Answer(2, RuleResult::kDone, 7);
  EXPECT_FALSE(desk.result().has_value());
  Answer(1, RuleResult::kDone, 11);
  ASSERT_TRUE(desk.result().has_value());
  EXPECT_EQ(desk.result()->recipients, 23U);
  EXPECT_TRUE(desk.result()->not_on_disk.empty());
  EXPECT_TRUE(desk.ready());
}

TEST_F(RuleDeskTest, TheNewestRuleIsGivenToThoseWhoMissedIt) {
  last[0].epoch = 7;
  last[1].epoch = 8;
  last[1].verb = RuleVerb::kHold;
  last[1].domains = {"a.example"};
  StartAll();
  EXPECT_FALSE(desk.ready());
  Drain();
  EXPECT_EQ(orders[1].size(), 1U);
  for (const size_t shard : {size_t{0}, size_t{2}}) {
    ASSERT_EQ(orders[shard].size(), 2U);
    EXPECT_EQ(orders[shard][1]->task, RuleTask::kComplete);
    EXPECT_EQ(orders[shard][1]->rule.epoch, 8U);
    EXPECT_EQ(orders[shard][1]->rule.domains, last[1].domains);
    Answer(shard, RuleResult::kDone);
  }
  EXPECT_TRUE(desk.ready());
  EXPECT_EQ(desk.epoch(), 8U);
}

TEST_F(RuleDeskTest, AShardThatIsNewGetsWhatIsStoppedOneAfterTheOther) {
  last[0].epoch = 9;
  last[1].epoch = 8;
  for (const uint64_t epoch : {3, 5}) {
    stops[0].push_back(RuleOf(RuleVerb::kStop));
    stops[0].back().epoch = epoch;
  }
  StartAll();
  for (const uint64_t epoch : {3, 5}) {
    EXPECT_FALSE(desk.ready());
    Drain();
    EXPECT_EQ(orders[1].size(), 1U);
    EXPECT_EQ(orders[2].back()->rule.epoch, epoch);
    EXPECT_EQ(orders[2].back()->rule.verb, RuleVerb::kStop);
    Answer(2, RuleResult::kDone);
  }
  Answer(2, RuleResult::kDone);
  EXPECT_FALSE(desk.ready());
  Answer(1, RuleResult::kDone);
  EXPECT_TRUE(desk.ready());
  EXPECT_EQ(orders[0].size(), 1U);
  EXPECT_EQ(orders[1].size(), 2U);
  EXPECT_EQ(orders[2].size(), 4U);
  EXPECT_EQ(orders[2].back()->rule.epoch, 9U);
}

TEST_F(RuleDeskTest, NoRuleIsTakenBeforeTheLastIsOnEveryDisk) {
  StartAll();
  desk.Begin(RuleOf(RuleVerb::kReset), /*counts_only=*/false);
  Answer(0, RuleResult::kDone, 1);
  Answer(1, RuleResult::kNotOnDisk, 1);
  Answer(2, RuleResult::kDone, 1);
  ASSERT_TRUE(desk.result().has_value());
  EXPECT_EQ(desk.result()->not_on_disk, std::vector<size_t>{1});
  EXPECT_FALSE(desk.ready());
  Answer(1, RuleResult::kDone, 1);
  EXPECT_TRUE(desk.ready());
}

TEST_F(RuleDeskTest, CountingTakesNoEpoch) {
  StartAll();
  desk.Begin(RuleOf(RuleVerb::kDelete), /*counts_only=*/true);
  for (size_t shard = 0; shard < kShards; ++shard) {
    Answer(shard, RuleResult::kDone, 2);
    EXPECT_EQ(orders[shard].back()->task, RuleTask::kCount);
  }
  EXPECT_EQ(desk.result()->recipients, 6U);
  EXPECT_EQ(desk.epoch(), 0U);
}

}  // namespace
}  // namespace backstay
